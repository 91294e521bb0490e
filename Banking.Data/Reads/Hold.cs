namespace Banking.Data;

/// <summary>Where a hold stands, as the database and the API name it.</summary>
public static class HoldStatus
{
    public const string Pending = "pending";
    public const string Captured = "captured";
    public const string Released = "released";
    public const string Expired = "expired";
}

/// <summary>An amount of an account that is reserved for a later payment: to another account, or out of the book where there is none. Metadata is JSON text.</summary>
public sealed record Hold(
    long HoldId,
    long AccountId,
    long? ToAccountId,
    string Currency,
    decimal Amount,
    decimal CapturedAmount,
    string Status,
    DateTime ExpiresAt,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt)
{
    /// <summary>What can still be captured or released.</summary>
    public decimal Left => Status == HoldStatus.Pending ? Amount - CapturedAmount : 0;

    /// <summary>The hold as its placing left it, or as it ended.</summary>
    internal Hold AfterEvent(string type) => type == AccountEventType.HoldPlaced ? this with { Status = HoldStatus.Pending, CapturedAmount = 0 } : this;
}

/// <summary>Reads holds by their ids.</summary>
public sealed class Holds(ReadDatabase database, LedgerOptions options)
{
    internal const string Columns = """
        hold_id
             , account_id
             , to_account_id
             , currency
             , amount
             , captured_amount
             , status
             , expires_at
             , reference
             , metadata::text
             , created_at
        """;

    internal const string GetSql = $"""
        SELECT {Columns}
          FROM hold
         WHERE hold_id = ANY (@ids);
        """;

    private readonly Lookup<Hold> byId = new(database, options, "holds", GetSql, hold => hold.HoldId);

    /// <summary>The hold, or null where there is none with that id.</summary>
    public Task<Hold?> GetAsync(long holdId, CancellationToken cancellationToken) => byId.FindAsync(holdId, cancellationToken);

    /// <summary>Answers the callers of <see cref="GetAsync"/> until it is stopped.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
