using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A posting from the side of one of its two accounts. Metadata is JSON text.</summary>
[method: ExplicitConstructor] // as of Transaction
public sealed record Entry(
    long TransactionId,
    string Type,
    string Direction,
    decimal Amount,
    string Currency,
    decimal BalanceAfter,
    long CounterpartyAccountId,
    long? ReversesTransactionId,
    long[] ReversedBy,
    long? HoldId,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt);

/// <summary>One page of an account's entries, newest first. <c>Next</c> is the cursor of the next page, or null on the last.</summary>
public sealed record HistoryPage(IReadOnlyList<Entry> Entries, long? Next);

/// <summary>Reads the entries of an account in pages.</summary>
public sealed class History(ReplicaReads database)
{
    // Each side of account_entry walks its own index (account, transaction_id) from the cursor down. PostgreSQL merges the two until the
    // page is full, so a page costs the same at any depth. Both columns are compared and sorted as one pair, which only these
    // indexes can serve. With "account_id = x ORDER BY transaction_id" the planner may walk the whole log by its primary key and
    // look for x.
    private const string PageSql = """
        SELECT transaction_id
             , type
             , direction
             , amount
             , currency
             , balance_after
             , counterparty_account_id
             , reverses_transaction_id
             , ARRAY(SELECT reversal.transaction_id
                       FROM transaction_log AS reversal
                      WHERE reversal.reverses_transaction_id = entry.transaction_id
                      ORDER BY reversal.transaction_id) AS reversed_by
             , hold_id
             , reference
             , metadata::text
             , created_at
          FROM account_entry AS entry
         WHERE (account_id, transaction_id) < (@account_id, @before)
           AND account_id >= @account_id
         ORDER BY account_id DESC, transaction_id DESC
         LIMIT @rows;
        """;

    private const string ExistsSql = """
        SELECT EXISTS (SELECT
                         FROM account
                        WHERE account_id = @account_id);
        """;

    /// <summary>At most <paramref name="limit"/> entries older than transaction <paramref name="before"/>, or null if there is no such account.</summary>
    public Task<HistoryPage?> PageAsync(long accountId, int limit, long before, CancellationToken cancellationToken) =>
        database.ReadAsync(
            connection => PageAsync(connection, accountId, limit, before), cancellationToken, transactionId: before == long.MaxValue ? 0 : before);

    private static async Task<HistoryPage?> PageAsync(NpgsqlConnection connection, long accountId, int limit, long before)
    {
        // One more row than asked for shows whether there is a next page.
        var parameters = new { account_id = accountId, before, rows = limit + 1 };
        var entries = (List<Entry>)await connection.QueryAsync<Entry>(PageSql, parameters);
        if (entries.Count == 0 && !await connection.ExecuteScalarAsync<bool>(ExistsSql, parameters))
        {
            return null;
        }

        if (entries.Count <= limit)
        {
            return new(entries, Next: null);
        }

        entries.RemoveAt(limit);
        return new(entries, Next: entries[^1].TransactionId);
    }
}
