using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Banking.Data;

/// <summary>
/// Whether the book is ahead of the database's clock. Times in the book never go back. So once that clock was ahead, everything that is
/// written gets the last time again, until the clock, now set right, has reached it.
/// </summary>
internal sealed partial class HeadClock(ILogger logger)
{
    private static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(1); // of clocks that are kept right, and of the next primary's

    private long reachedAt = Stopwatch.GetTimestamp(); // when the clock reaches the book's last time
    private bool isAhead;

    public TimeSpan Ahead
    {
        get
        {
            var left = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), Volatile.Read(ref reachedAt));
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    /// <summary>Takes what a write transaction has read, and logs a change.</summary>
    public void Observe(TimeSpan ahead)
    {
        Volatile.Write(ref reachedAt, Stopwatch.GetTimestamp() + (long)(ahead.TotalSeconds * Stopwatch.Frequency));
        if ((ahead > Tolerance) == isAhead)
        {
            return;
        }

        isAhead = !isAhead;
        if (isAhead)
        {
            LogAhead(ahead.TotalSeconds);
        }
        else
        {
            LogReached();
        }
    }

    [LoggerMessage(LogLevel.Warning, "The last time in the book is {Seconds:F1} s ahead of the database's clock: that clock was ahead before. Nothing is lost, but everything that is written gets that time until the clock reaches it. Check the clock of the database's machine. docs/operate.md, \"CoreBankingHeadIsAhead\", says what to do.")]
    private partial void LogAhead(double seconds);

    [LoggerMessage(LogLevel.Information, "The database's clock has reached the last time in the book. What is written gets the right time again.")]
    private partial void LogReached();
}
