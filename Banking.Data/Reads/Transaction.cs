using Dapper;

namespace Banking.Data;

/// <summary>A posting: a row of the log. It never changes. The last two members say what was reversed of it when it was read. Metadata is JSON text.</summary>
[method: ExplicitConstructor] // Dapper cannot match it: Npgsql says of an array's column only that it is an array
public sealed record Transaction(
    long TransactionId,
    string Type,
    long FromAccountId,
    long ToAccountId,
    decimal Amount,
    string Currency,
    decimal FromBalanceAfter,
    decimal ToBalanceAfter,
    long? ReversesTransactionId,
    long? HoldId,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt,
    decimal ReversedAmount = 0,
    long[]? ReversedBy = null);

/// <summary>Reads single rows of the log.</summary>
public sealed class Transactions(ReadDatabase database, LedgerOptions options)
{
    internal const string Columns = """
        transaction_id
             , type
             , from_account_id
             , to_account_id
             , amount
             , currency
             , from_balance_after
             , to_balance_after
             , reverses_transaction_id
             , hold_id
             , reference
             , metadata::text
             , created_at
             , COALESCE((SELECT sum(reversal.amount)
                           FROM transaction_log AS reversal
                          WHERE reversal.reverses_transaction_id = log.transaction_id), 0) AS reversed_amount
             , ARRAY(SELECT reversal.transaction_id
                       FROM transaction_log AS reversal
                      WHERE reversal.reverses_transaction_id = log.transaction_id
                      ORDER BY reversal.transaction_id) AS reversed_by
        """;

    private const string GetSql = $"""
        SELECT {Columns}
          FROM transaction_log AS log
         WHERE transaction_id = ANY (@ids);
        """;

    private readonly Lookup<Transaction> byId = new(database, options, "transactions", GetSql, transaction => transaction.TransactionId);

    /// <summary>The transaction, or null if there is none with this id.</summary>
    public Task<Transaction?> GetAsync(long transactionId, CancellationToken cancellationToken) => byId.FindAsync(transactionId, cancellationToken);

    /// <summary>Answers the callers of <see cref="GetAsync"/> until it is stopped.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
