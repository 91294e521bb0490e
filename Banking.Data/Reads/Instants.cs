using System.Diagnostics;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Turns instants into places in the log: the last transaction before an instant.</summary>
public sealed class Instants(ReadDatabase database) : IDisposable
{
    // The index (created_at, block_id) ends at the block that was the last before the instant. Times never run backwards along blocks.
    internal const string LastBeforeSql = """
        SELECT last_transaction_id
          FROM ledger_block
         WHERE created_at <
        """;

    internal const string LastSql = """
        ORDER BY created_at DESC, block_id DESC
         LIMIT 1
        """;

    private const string LastBeforeAtSql = $"{LastBeforeSql} @at {LastSql};";

    // A later block cannot get a time before that of the last one.
    private const string StandingSql = """
        SELECT last_created_at >= @at AS is_over
             , clock_timestamp() >= @at AS is_past
          FROM ledger_head
         WHERE only_row;

        """;

    // Waits for the write transaction under way, which may have a time before the instant. One that comes later takes its time later.
    // There is nothing to keep, so its own commit does not wait for the disk.
    private const string WaitForWriterSql = """
        SELECT set_config('synchronous_commit', 'off', true)
          FROM ledger_head
         WHERE only_row
           FOR SHARE;
        """;

    private readonly SemaphoreSlim turn = new(1);
    private long lastWaitBegan;

    private sealed record Standing(bool IsOver, bool IsPast);

    /// <summary>The last transaction before an instant, as committed now; 0 if there is none.</summary>
    internal static Task<long> LastBeforeAsync(NpgsqlConnection connection, DateTime at) =>
        connection.ExecuteScalarAsync<long>(LastBeforeAtSql, new { at });

    /// <summary>
    /// The last transaction before an instant that has passed, for ever: none before the instant is committed later. 0 if there is none;
    /// null if the instant is in the future.
    /// </summary>
    public async Task<long?> LastEverBeforeAsync(DateTime at, CancellationToken cancellationToken)
    {
        var (standing, last) = await database.ReadAsync(connection => StandAsync(connection, at), cancellationToken);
        if (standing.IsOver || !standing.IsPast)
        {
            return standing.IsOver ? last : null;
        }

        await WaitForWriterAsync(cancellationToken);
        return await database.ReadAsync(connection => LastBeforeAsync(connection, at), cancellationToken);
    }

    public void Dispose() => turn.Dispose();

    private static async Task<(Standing Standing, long Last)> StandAsync(NpgsqlConnection connection, DateTime at)
    {
        using var read = await connection.QueryMultipleAsync(StandingSql + LastBeforeAtSql, new { at });
        return (await read.ReadSingleAsync<Standing>(), await read.ReadSingleOrDefaultAsync<long>());
    }

    /// <summary>One waits for all who came before it began. If a writer is stuck, many at once would take all connections from the pages.</summary>
    private async Task WaitForWriterAsync(CancellationToken cancellationToken)
    {
        var came = Stopwatch.GetTimestamp();
        await turn.WaitAsync(cancellationToken);
        try
        {
            if (lastWaitBegan < came)
            {
                var began = Stopwatch.GetTimestamp();
                await database.ReadAsync(connection => connection.ExecuteAsync(WaitForWriterSql), cancellationToken);
                lastWaitBegan = began;
            }
        }
        finally
        {
            turn.Release();
        }
    }
}
