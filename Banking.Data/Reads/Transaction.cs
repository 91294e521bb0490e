namespace Banking.Data;

/// <summary>A posting: a row of the log. Metadata is JSON text.</summary>
public sealed record Transaction(
    long TransactionId,
    string Type,
    long FromAccountId,
    long ToAccountId,
    decimal Amount,
    string Currency,
    decimal FromBalanceAfter,
    decimal ToBalanceAfter,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt);

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
             , reference
             , metadata::text
             , created_at
        """;

    private const string GetSql = $"""
        SELECT {Columns}
          FROM transaction_log
         WHERE transaction_id = ANY (@ids);
        """;

    private readonly Lookup<Transaction> byId = new(database, options, GetSql, transaction => transaction.TransactionId);

    /// <summary>The transaction, or null if there is none with this id.</summary>
    public Task<Transaction?> GetAsync(long transactionId, CancellationToken cancellationToken) => byId.FindAsync(transactionId, cancellationToken);

    /// <summary>Answers the callers of <see cref="GetAsync"/> until it is stopped.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
