using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Banking.Tests;

/// <summary>The one waiting loop: for a state that another process or task brings about.</summary>
internal static class Wait
{
    public static Task UntilAsync(
        Func<bool> condition, int seconds = 30, [CallerArgumentExpression(nameof(condition))] string expression = "") =>
        UntilAsync(() => Task.FromResult(condition()), seconds, expression);

    public static async Task UntilAsync(
        Func<Task<bool>> condition, int seconds = 30, [CallerArgumentExpression(nameof(condition))] string expression = "")
    {
        var since = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(since) > TimeSpan.FromSeconds(seconds))
            {
                throw new TimeoutException($"Not within {seconds} s: {expression}");
            }

            await Task.Delay(10);
        }
    }
}
