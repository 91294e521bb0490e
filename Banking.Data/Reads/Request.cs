using System.Data;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>What a request made: its transactions, and the account that it opened or changed or the hold that it placed or ended, as they were afterwards.</summary>
public sealed record CompletedRequest(IReadOnlyList<Transaction> Transactions, Account? Account, Hold? Hold);

/// <summary>Finds what a caller's request made, by its idempotency key.</summary>
public sealed class Requests(ReadDatabase database)
{
    // Both use the unique index (client_id, idempotency_key) of their log.
    private const string GetSql = $"""
        SELECT {Transactions.Columns}
          FROM transaction_log AS log
         WHERE client_id = @client_id
           AND idempotency_key = @idempotency_key
         ORDER BY part;

        SELECT log.account_id
             , account.owner_name
             , account.currency
             , log.status_after AS status
             , log.balance_after AS balance
             , log.held_after AS held
             , log.overdraft_limit_after AS overdraft_limit
             , account.reference
             , account.metadata::text
             , account.created_at
          FROM account_log AS log
          JOIN account ON account.account_id = log.account_id
         WHERE log.client_id = @client_id
           AND log.idempotency_key = @idempotency_key
           AND log.hold_id IS NULL;

        SELECT type
             , hold_id
          FROM account_log
         WHERE client_id = @client_id
           AND idempotency_key = @idempotency_key
           AND hold_id IS NOT NULL;
        """;

    private sealed record HoldEvent(string Type, long HoldId);

    /// <summary>What the caller's request with this key made, or null if none was done.</summary>
    public Task<CompletedRequest?> GetAsync(string clientId, string idempotencyKey, CancellationToken cancellationToken) =>
        database.ReadAsync(connection => GetAsync(connection, clientId, idempotencyKey), cancellationToken);

    private static async Task<CompletedRequest?> GetAsync(NpgsqlConnection connection, string clientId, string idempotencyKey)
    {
        // One snapshot for both logs, so that an opening and its deposit are seen together or not at all.
        await using var snapshot = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead);
        var (transactions, account, placedOrEnded) = await ReadAsync();
        var hold = placedOrEnded is null ? null
            : (await connection.QuerySingleAsync<Hold>(Holds.GetSql, new { ids = new[] { placedOrEnded.HoldId } }, snapshot)).AfterEvent(placedOrEnded.Type);
        return transactions.Count == 0 && account is null && hold is null
            ? null
            : new(transactions, account is null ? null : OpenedAccount.AfterDeposit(account, transactions.SingleOrDefault()), hold);

        async Task<(List<Transaction> Transactions, Account? Account, HoldEvent? Hold)> ReadAsync()
        {
            using var read = await connection.QueryMultipleAsync(GetSql, new { client_id = clientId, idempotency_key = idempotencyKey }, snapshot);
            return (
                (await read.ReadAsync<Transaction>()).AsList(), await read.ReadSingleOrDefaultAsync<Account>(), await read.ReadSingleOrDefaultAsync<HoldEvent>());
        }
    }
}
