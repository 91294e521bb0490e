using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// The last block that this process has committed. A server without it is an old primary that came back, or one that lost commits at
/// a failover: it is passed over, as what was acknowledged is not there.
/// </summary>
public sealed partial class CommittedHead(ILogger<CommittedHead> logger)
{
    internal sealed record Block(long BlockId, byte[] Hash);

    internal sealed record Answer(bool HasBlock, bool IsStandby);

    internal const string AskSql = """
        SELECT EXISTS (SELECT
                         FROM ledger_block
                        WHERE block_id = @BlockId
                          AND hash = @Hash) AS has_block
             , pg_is_in_recovery() AS is_standby;
        """;

    private volatile Block? last;
    private (string? Host, int Port, int ProcessId) session; // that committed it
    private string refused = "";

    /// <summary>
    /// Another session than before has committed, perhaps on a new primary. An old primary that was only frozen keeps its connections
    /// open: those for reads must be replaced.
    /// </summary>
    internal event Action? SessionReplaced;

    internal Block? Last => last;

    internal void Observe(Block committed, NpgsqlConnection connection)
    {
        last = committed.BlockId > 0 ? committed : last; // an empty book has no block
        var (before, now) = (session, (connection.Host, connection.Port, connection.ProcessID));
        session = now;
        // Not at the first commit: nothing was there before, and behind a small pooler a burst of new connections keeps readiness waiting.
        if (before != default && before != now)
        {
            SessionReplaced?.Invoke();
        }
    }

    /// <param name="committed">What had been committed when the server was asked.</param>
    /// <param name="found">The server's answer.</param>
    /// <exception cref="NpgsqlException">The server lacks the block, or has another.</exception>
    internal void Check(NpgsqlConnection connection, Block committed, Answer found)
    {
        var server = $"{connection.Host}:{connection.Port}";
        if (found.HasBlock)
        {
            Interlocked.CompareExchange(ref refused, "", server);
            return;
        }

        // A standby may be behind, and is refused without a word: its connection would stay, unchecked, when it is promoted.
        if (!found.IsStandby && Interlocked.Exchange(ref refused, server) != server)
        {
            LogRefused(server, committed.BlockId);
        }

        throw new NpgsqlException($"The server {server} lacks block {committed.BlockId}, which this instance has committed. It is not the primary that took it.");
    }

    [LoggerMessage(LogLevel.Error, "The server {Server} calls itself the primary but lacks block {BlockId}, which this instance has committed. Nothing is written to it or read from it. It is an old primary that came back: stop it, or make it a standby of the new one. If the failover itself lost commits, or the book was restored, follow docs/operate.md, \"Restore\", and restart all instances.")]
    private partial void LogRefused(string server, long blockId);
}
