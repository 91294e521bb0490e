using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// An account's balance after its last transaction before an instant. It never changes, unless the instant is in the future or before the
/// account was opened.
/// </summary>
public sealed record PastBalance(string Currency, DateTime Opened, bool IsFuture, decimal Balance, long? TransactionId);

/// <summary>Reads balances of the past from the log.</summary>
public sealed class PastBalances(ReadDatabase database, Instants instants)
{
    private const string AccountSql = """
        SELECT currency
             , created_at
          FROM account
         WHERE account_id = @account_id;

        """;

    // Walks the same two indexes as History, for one row.
    private const string LastEntrySql = """
        SELECT transaction_id
             , balance_after
          FROM account_entry
         WHERE (account_id, transaction_id) <= (@account_id, @last)
           AND account_id >= @account_id
         ORDER BY account_id DESC, transaction_id DESC
         LIMIT 1;
        """;

    private sealed record AccountRow(string Currency, DateTime CreatedAt);

    private sealed record LastEntry(long TransactionId, decimal BalanceAfter);

    /// <summary>The balance at the instant, or null if there is no such account.</summary>
    public async Task<PastBalance?> GetAsync(long accountId, DateTime at, CancellationToken cancellationToken)
    {
        var last = await instants.LastEverBeforeAsync(at, cancellationToken);
        return await database.ReadAsync(connection => GetAsync(connection, accountId, last), cancellationToken);
    }

    private static async Task<PastBalance?> GetAsync(NpgsqlConnection connection, long accountId, long? last)
    {
        using var read = await connection.QueryMultipleAsync(AccountSql + LastEntrySql, new { account_id = accountId, last = last ?? 0 });
        var account = await read.ReadSingleOrDefaultAsync<AccountRow>();
        var entry = await read.ReadSingleOrDefaultAsync<LastEntry>();
        return account is null ? null : new(account.Currency, account.CreatedAt, IsFuture: last is null, entry?.BalanceAfter ?? 0, entry?.TransactionId);
    }
}
