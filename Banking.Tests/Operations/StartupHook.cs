using System.Diagnostics;

/// <summary>
/// Runs inside the real program before its own first line, where DOTNET_STARTUP_HOOKS names this assembly: the span that
/// BANKING_TEST_BROKEN_SPAN names then throws whenever it starts, which no request can bring about.
/// </summary>
internal static class StartupHook
{
    public static void Initialize()
    {
        if (Environment.GetEnvironmentVariable("BANKING_TEST_BROKEN_SPAN") is { Length: > 0 } broken)
        {
            ActivitySource.AddActivityListener(new()
            {
                ShouldListenTo = source => source.Name == "Banking",
                Sample = (ref _) => ActivitySamplingResult.AllData,
                ActivityStarted = span => _ = span.OperationName == broken ? throw new InvalidOperationException($"{broken} is broken.") : 0,
            });
        }
    }
}
