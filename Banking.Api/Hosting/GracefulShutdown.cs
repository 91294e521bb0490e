namespace Banking.Api;

/// <summary>
/// Runs first on SIGTERM: readiness turns false while the service still serves, so that a load balancer sends nothing more before the
/// port closes.
/// </summary>
internal sealed class GracefulShutdown(ServiceOptions options) : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource drained = new();

    public bool HasBegun { get; private set; }

    /// <summary>Cancelled when the port closes. Requests that only wait end then.</summary>
    public CancellationToken Drained => drained.Token;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        HasBegun = true;
        await Task.Delay(TimeSpan.FromSeconds(options.DrainSeconds), cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await drained.CancelAsync();
    }

    public void Dispose() => drained.Dispose();

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
