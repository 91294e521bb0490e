using System.Runtime.InteropServices;

namespace Banking.Api;

/// <summary>
/// Hears SIGTERM and Ctrl+C from the first moment. The host hears them only once it runs, and as the first process of a container
/// the program would ignore them until then.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly PosixSignalRegistration[] registrations;

    public StopSignals() =>
        registrations = [.. new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGQUIT }.Select(signal => PosixSignalRegistration.Create(signal, Stop))];

    public CancellationToken Token => stop.Token;

    public void Dispose()
    {
        Array.ForEach(registrations, registration => registration.Dispose());
        stop.Dispose();
    }

    private void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true; // the program ends by itself, with its own exit code
        stop.Cancel();
    }
}
