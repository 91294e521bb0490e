using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A row of the log: a posting that was made. Metadata is JSON text.</summary>
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
public sealed class Transactions(NpgsqlDataSource dataSource)
{
    private const string GetSql = """
        SELECT transaction_id
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
          FROM transaction_log
         WHERE transaction_id = @transaction_id;
        """;

    /// <summary>The transaction, or null where there is none with that id.</summary>
    public Task<Transaction?> GetAsync(long transactionId, CancellationToken cancellationToken) => dataSource.ReadAsync(
        (connection, cancellation) => connection.QuerySingleOrDefaultAsync<Transaction>(
            new CommandDefinition(GetSql, new { transaction_id = transactionId }, commandTimeout: 0, cancellationToken: cancellation)),
        cancellationToken);
}
