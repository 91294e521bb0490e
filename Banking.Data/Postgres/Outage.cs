using System.Diagnostics;

namespace Banking.Data;

/// <summary>
/// Keeps the log of an outage short. It counts every fault and says when a line is due: at the first fault, at the first refused
/// request, then every ten seconds, and at the end.
/// </summary>
public sealed class Outage
{
    /// <summary>What has happened since the first fault.</summary>
    public readonly record struct Sums(double Seconds, long Faults, long Refused);

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5); // what fails every other second is one outage, not many

    private readonly Lock counting = new();
    private long began; // 0 where nothing has failed lately
    private long last;
    private long said;
    private long faults;
    private long refused;

    /// <summary>Counts a fault, or requests refused after it. Not null if a line is due.</summary>
    /// <param name="waited">How long the failed work had waited. The outage began that much earlier.</param>
    public Sums? Count(int faults = 0, int refused = 0, TimeSpan waited = default)
    {
        lock (counting)
        {
            var isFirst = began == 0;
            last = Stopwatch.GetTimestamp();
            if (isFirst)
            {
                began = last - (long)(waited.TotalSeconds * Stopwatch.Frequency);
            }

            var isDue = isFirst || (refused > 0 && this.refused == 0) || Stopwatch.GetElapsedTime(said, last) >= Interval;
            this.faults += faults;
            this.refused += refused;
            if (!isDue)
            {
                return null;
            }

            said = last;
            return Summed;
        }
    }

    /// <summary>Something worked. Not null if this ends an outage, some seconds after its last fault.</summary>
    public Sums? End()
    {
        if (Volatile.Read(ref began) == 0)
        {
            return null;
        }

        lock (counting)
        {
            if (began == 0 || Stopwatch.GetElapsedTime(last) < Quiet)
            {
                return null;
            }

            var sums = Summed;
            (began, faults, refused) = (0, 0, 0);
            return sums;
        }
    }

    private Sums Summed => new(Stopwatch.GetElapsedTime(began, last).TotalSeconds, faults, refused);
}
