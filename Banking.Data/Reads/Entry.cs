using System.Data.Common;

namespace Banking.Data;

/// <summary>
/// A posting from the side of one of its two accounts, whose currency its amounts have. Metadata is JSON text. Its reversals,
/// oldest first, are null in a statement, which does not show them.
/// </summary>
public sealed record Entry(
    long TransactionId,
    string Type,
    bool IsCredit,
    decimal Amount,
    decimal BalanceAfter,
    long CounterpartyAccountId,
    long? ReversesTransactionId,
    long? HoldId,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt,
    long[]? ReversedBy = null)
{
    internal const string Columns = """
        transaction_id
             , type
             , direction = 'credit' AS is_credit
             , amount
             , balance_after
             , counterparty_account_id
             , reverses_transaction_id
             , hold_id
             , reference
             , metadata::text
             , created_at
        """;

    /// <summary>How many <see cref="Columns"/> there are.</summary>
    internal const int ColumnCount = 11;

    // By hand: Dapper would put each number into an object of its own.
    internal static Entry Of(DbDataReader row, long[]? reversedBy = null) => new(
        row.GetInt64(0), row.GetString(1), row.GetBoolean(2), row.GetDecimal(3), row.GetDecimal(4), row.GetInt64(5),
        row.IsDBNull(6) ? null : row.GetInt64(6), row.IsDBNull(7) ? null : row.GetInt64(7),
        row.IsDBNull(8) ? null : row.GetString(8), row.IsDBNull(9) ? null : row.GetString(9), row.GetDateTime(10), reversedBy);
}
