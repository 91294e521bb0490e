using System.Diagnostics;

/// <summary>
/// Runs inside the real program before its first line, if DOTNET_STARTUP_HOOKS names this assembly. The span in
/// BANKING_TEST_BROKEN_SPAN then throws whenever it starts. No request could cause that.
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
