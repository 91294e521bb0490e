namespace Banking.Api;

/// <summary>A loop that answers callers. If it ended, they would wait for ever.</summary>
internal sealed record CriticalLoop(string Name, Func<CancellationToken, Task> RunAsync);

/// <summary>Runs the critical loops. If one fails, the process ends with exit code 1.</summary>
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
        catch (Exception exception) // whatever it was, the loop has ended
        {
            LogFailed(exception, loop.Name);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    [LoggerMessage(LogLevel.Critical, "The {Loop} has failed and answers nobody any more. This process now stops with exit code 1. Start it again, and report the exception.")]
    private partial void LogFailed(Exception exception, string loop);
}
