using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Turns instants into places in the logs: the last transaction before an instant.</summary>
internal static class Instants
{
    // The index (created_at, block_id) ends at the block that was the last before the instant. Times never run backwards along blocks.
    private const string LastBeforeSql = """
        SELECT last_transaction_id
          FROM ledger_block
         WHERE created_at < @at
         ORDER BY created_at DESC, block_id DESC
         LIMIT 1;
        """;

    // A later block cannot get a time before that of the last one.
    private const string IsOverSql = """
        SELECT last_created_at >= @at AS is_over
             , clock_timestamp() >= @at AS is_past
          FROM ledger_head
         WHERE only_row;

        """;

    // Waits for the write transaction under way, which may have a time before the instant. One that comes later takes its time later.
    private const string WaitForWriterSql = """
        SELECT
          FROM ledger_head
         WHERE only_row
           FOR SHARE;

        """;

    private sealed record Standing(bool IsOver, bool IsPast);

    /// <summary>The last transaction before an instant, as committed now; 0 if there is none.</summary>
    public static Task<long> LastBeforeAsync(NpgsqlConnection connection, DateTime at) =>
        connection.ExecuteScalarAsync<long>(LastBeforeSql, new { at });

    /// <summary>
    /// The last transaction before an instant that has passed, for ever: none before the instant is committed later. 0 if there is none;
    /// null if the instant is in the future. A standby, which can't wait for a writer, refuses the wait as read-only (25006).
    /// </summary>
    public static async Task<long?> LastEverBeforeAsync(NpgsqlConnection connection, DateTime at)
    {
        using (var read = await connection.QueryMultipleAsync(IsOverSql + LastBeforeSql, new { at }))
        {
            var (standing, last) = (await read.ReadSingleAsync<Standing>(), await read.ReadSingleOrDefaultAsync<long>());
            if (standing.IsOver || !standing.IsPast)
            {
                return standing.IsOver ? last : null;
            }
        }

        await connection.ExecuteAsync(WaitForWriterSql);
        return await LastBeforeAsync(connection, at);
    }
}
