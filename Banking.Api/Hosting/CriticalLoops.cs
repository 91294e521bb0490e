namespace Banking.Api;

/// <summary>A loop that answers callers, who would wait in vain if it ended.</summary>
internal sealed record CriticalLoop(string Name, Func<CancellationToken, Task> RunAsync);

/// <summary>Runs the critical loops, and ends the process with exit code 1 where one of them fails.</summary>
internal sealed partial class CriticalLoops(
    IEnumerable<CriticalLoop> loops, IHostApplicationLifetime lifetime, ILogger<CriticalLoops> logger) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(loops.Select(loop => RunAsync(loop, stoppingToken)));

    private async Task RunAsync(CriticalLoop loop, CancellationToken stoppingToken)
    {
        try
        {
            await loop.RunAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
        catch (Exception exception) // whatever it is, the loop is no more
        {
            LogFailed(exception, loop.Name);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    [LoggerMessage(LogLevel.Critical, "The {Loop} has failed, so its callers get no answers. This process ends with exit code 1; start it again.")]
    private partial void LogFailed(Exception exception, string loop);
}
