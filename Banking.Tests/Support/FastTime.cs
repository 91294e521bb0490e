namespace Banking.Tests;

/// <summary>A clock whose timers run out a hundred times as fast.</summary>
internal sealed class FastTime : TimeProvider
{
    private const int Factor = 100;

    public override long TimestampFrequency => base.TimestampFrequency / Factor;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(callback, state, dueTime > TimeSpan.Zero ? dueTime / Factor : dueTime, period);
}
