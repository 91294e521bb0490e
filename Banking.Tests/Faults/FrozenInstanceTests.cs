using System.Diagnostics;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A machine that freezes closes no socket, so its transaction stays open.</summary>
public sealed class FrozenInstanceTests(TestDatabase database)
{
    [Fact]
    public async Task An_instance_that_freezes_with_the_head_locked_stops_the_others_for_seconds_and_loses_nothing()
    {
        var schema = $"book_{Guid.NewGuid():N}";
        await using var book = new BookInspector(database.ConnectionString, schema);
        await using var freezing = new ServiceProcess(database.ConnectionString, schema, ("Banking__RetrySeconds", "60"));
        await using var other = new ServiceProcess(database.ConnectionString, schema);
        await freezing.StartAsync();
        await other.StartAsync();
        var account = await other.OpenAsync("1");
        // It waits for the head and freezes. Then the database gives it the lock.
        Task<Reply> frozen;
        await using (var head = await book.HoldHeadAsync())
        {
            frozen = freezing.DepositAsync(account, "10", "frozen");
            await head.BlocksAsync();
            await SignalAsync("-STOP", freezing);
        }

        var since = Stopwatch.GetTimestamp();
        var reply = await other.DepositAsync(account, "1", "other");
        var took = Stopwatch.GetElapsedTime(since);

        Report.Write($"Beside a frozen instance that held the head, a deposit took {took.TotalSeconds:F1} s: {(int)reply.Status}.");
        reply.ShouldBeCreated();
        frozen.IsCompleted.Should().BeFalse();
        await SignalAsync("-CONT", freezing);
        (await frozen).ShouldBeCreated();
        (await other.BalanceAsync(account)).Should().Be("12.00");
        (await other.DepositAsync(account, "10", "frozen")).Replayed.Should().BeTrue();
        freezing.Errors.Should().BeEmpty("it is a passing fault");
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    private static async Task SignalAsync(string signal, ServiceProcess service) =>
        (await Run.ToEndAsync(new("kill", [signal, $"{service.ProcessId}"]))).ExitCode.Should().Be(0);
}
