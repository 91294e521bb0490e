using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Some holds, newest first. <c>Next</c> is where the following page starts, or null on the last one.</summary>
public sealed record HoldPage(IReadOnlyList<Hold> Holds, long? Next);

/// <summary>Lists accounts' holds a page at a time.</summary>
public sealed class HoldList(ReadDatabase database)
{
    // A filter that few pass makes a page short, not slow: one page looks at this many holds at most.
    private const int MostLookedAt = 5_000;

    // As one pair, as in History: no other index than (account_id, hold_id) can serve it.
    private const string OlderSql = """
        (account_id, hold_id) < (@account_id, @before)
           AND account_id >= @account_id
        """;

    /// <summary>The last hold to look at; null where there are fewer.</summary>
    private const string EndSql = $"""
        SELECT hold_id
          FROM hold
         WHERE {OlderSql}
         ORDER BY account_id DESC, hold_id DESC
        OFFSET @most - 1
         LIMIT 1;
        """;

    private const string PageSql = $"""
        SELECT {Holds.Columns}
          FROM hold
         WHERE {OlderSql}
           AND hold_id >= @end
           AND (@status::text IS NULL OR status = @status)
         ORDER BY account_id DESC, hold_id DESC
         LIMIT @rows;
        """;

    private const string ExistsSql = """
        SELECT EXISTS (SELECT
                         FROM account
                        WHERE account_id = @account_id);
        """;

    /// <summary>At most <paramref name="limit"/> holds older than hold <paramref name="before"/>, or null where there is no such account.</summary>
    public Task<HoldPage?> PageAsync(long accountId, string? status, int limit, long before, CancellationToken cancellationToken) =>
        database.ReadAsync(connection => PageAsync(connection, accountId, status, limit, before), cancellationToken);

    private static async Task<HoldPage?> PageAsync(NpgsqlConnection connection, long accountId, string? status, int limit, long before)
    {
        var end = await connection.ExecuteScalarAsync<long?>(EndSql, new { account_id = accountId, before, most = MostLookedAt });
        // One row more than asked for tells whether there is a next page.
        var holds = (await connection.QueryAsync<Hold>(
            PageSql, new { account_id = accountId, before, end = end ?? 0, status, rows = limit + 1 })).AsList();
        if (holds.Count == 0 && !await connection.ExecuteScalarAsync<bool>(ExistsSql, new { account_id = accountId }))
        {
            return null;
        }

        if (holds.Count <= limit)
        {
            return new(holds, Next: end);
        }

        holds.RemoveAt(limit);
        return new(holds, Next: holds[^1].HoldId);
    }
}
