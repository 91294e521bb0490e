using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// The standby in ConnectionStrings__Replica. Once a second it is compared with the primary: whether it answers, holds the same book
/// and is close enough behind. What uses it may only read what may be some seconds old.
/// </summary>
public sealed partial class Standby(string connectionString, NpgsqlDataSource primary, LedgerOptions options, ILogger<Standby> logger) : IAsyncDisposable
{
    private enum State
    {
        New,
        InUse,
        Unreadable,
        Behind,
        OfAnotherBook,
    }

    private sealed record Head(long LastBlockId, byte[] LastHash, byte[]? PreviousHash);

    private sealed record Comparison(bool IsSameBook, double? Lag);

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private const string HeadSql = """
        SELECT head.last_block_id
             , head.last_hash
             , block.previous_hash
          FROM ledger_head AS head
          LEFT JOIN ledger_block AS block ON block.block_id = head.last_block_id
         WHERE head.only_row;
        """;

    // A standby may show the commit under way before the primary does, which waits for other standbys. Then the block before it counts.
    private const string CompareSql = """
        SELECT COALESCE((SELECT hash = @last_hash
                           FROM ledger_block
                          WHERE block_id = @last_block_id)
                      , (SELECT hash = @previous_hash
                           FROM ledger_block
                          WHERE block_id = @last_block_id - 1)
                      , @last_block_id = 0) AS is_same_book
             , (SELECT EXTRACT(EPOCH FROM clock_timestamp() - created_at)::float8
                  FROM ledger_block
                 WHERE block_id = @last_block_id + 1) AS lag;
        """;

    private readonly NpgsqlConnectionStringBuilder named = new(connectionString);
    private volatile CancellationTokenSource? use;
    private State state;

    internal ReadDatabase Reads { get; } = new(connectionString, options, head: null);

    /// <summary>Not null while the standby may be used. Cancelled when it may no longer be.</summary>
    internal CancellationTokenSource? Use => use;

    /// <summary>A read met a broken connection. Nobody uses the standby until it has answered again.</summary>
    internal void Leave(CancellationTokenSource used)
    {
        if (Interlocked.CompareExchange(ref use, null, used) == used)
        {
            used.Cancel();
        }
    }

    /// <summary>Compares the two once a second until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var check = Reads.ForLoop("replica check");
        using var timer = new PeriodicTimer(Interval);
        do
        {
            await CompareAsync(check, stop);
        }
        while (await timer.WaitForNextTickAsync(stop));
    }

    private async Task CompareAsync(AbandonableReads check, CancellationToken stop)
    {
        Head head;
        try
        {
            // One question at a time, however long a standby that hangs takes to answer it.
            var asking = check.ReadAsync(connection => connection.QuerySingleAsync<Head>(HeadSql), stop);
            if (await Task.WhenAny(asking, Task.Delay(Patience, stop)) != asking)
            {
                stop.ThrowIfCancellationRequested();
                LeaveAs(State.Unreadable, () => LogUnreadable(Name, $"no answer within {Patience.TotalSeconds} s"));
            }

            head = await asking.WaitAsync(stop);
        }
        catch (Exception exception) when (!stop.IsCancellationRequested) // whatever it is, the standby is of no use
        {
            LeaveAs(State.Unreadable, () => LogUnreadable(Name, Database.ReasonOf(exception)));
            return;
        }

        Comparison found;
        try
        {
            found = await primary.UseAsync(connection => connection.QuerySingleAsync<Comparison>(CompareSql, new
            {
                last_block_id = head.LastBlockId,
                last_hash = head.LastHash,
                previous_hash = head.PreviousHash,
            })).WaitAsync(stop);
        }
        catch (Exception) when (!stop.IsCancellationRequested)
        {
            // The standby answers and the primary does not. What was last known of the standby still counts.
            if (state == State.InUse)
            {
                use ??= new();
            }

            return;
        }

        Judge(head, found);
    }

    private void Judge(Head head, Comparison found)
    {
        if (!found.IsSameBook)
        {
            LeaveAs(State.OfAnotherBook, () => LogOfAnotherBook(Name, head.LastBlockId));
            return;
        }

        var lag = Math.Max(found.Lag ?? 0, 0);
        Telemetry.ReplicaLag.Record(lag);
        if (lag > options.ReplicaLagSeconds)
        {
            LeaveAs(State.Behind, () => LogBehind(Name, lag, options.ReplicaLagSeconds));
            return;
        }

        use ??= new();
        Become(State.InUse, () => LogInUse(Name, lag));
    }

    private void LeaveAs(State next, Action log)
    {
        if (use is { } used)
        {
            Leave(used);
        }

        Become(next, log);
    }

    /// <summary>Logs only what has changed.</summary>
    private void Become(State next, Action log)
    {
        Telemetry.ReplicaUsed.Record(next == State.InUse ? 1 : 0);
        if (state != next)
        {
            state = next;
            log();
        }
    }

    private string Name => $"{named.Host}:{named.Port}";

    public ValueTask DisposeAsync() => Reads.DisposeAsync();

    [LoggerMessage(LogLevel.Information, "The standby {Standby} is {Lag:F1} s behind the primary. History, lists and statements are now read from it.")]
    private partial void LogInUse(string standby, double lag);

    [LoggerMessage(LogLevel.Warning, "The standby {Standby} cannot be read: {Reason}. History, lists and statements are now read from the primary. Check that the standby runs and that ConnectionStrings__Replica is right. The service tries it again every second.")]
    private partial void LogUnreadable(string standby, string reason);

    [LoggerMessage(LogLevel.Warning, "The standby {Standby} is {Lag:F1} s behind the primary, more than Banking__ReplicaLagSeconds ({Seconds}). History, lists and statements are now read from the primary until it has caught up. Check the replication: pg_stat_replication on the primary, pg_is_wal_replay_paused() on the standby.")]
    private partial void LogBehind(string standby, double lag, int seconds);

    [LoggerMessage(LogLevel.Error, "The standby {Standby} holds another book: its block {BlockId} is not the primary's. Nothing is read from it. Correct ConnectionStrings__Replica and Banking__Schema, or build the standby again from the primary.")]
    private partial void LogOfAnotherBook(string standby, long blockId);
}
