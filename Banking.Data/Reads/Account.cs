namespace Banking.Data;

/// <summary>The statuses of an account, as the database and the API name them.</summary>
public static class AccountStatus
{
    public const string Active = "active";
    public const string DebitsBlocked = "debits_blocked";
    public const string Frozen = "frozen";
    public const string Closed = "closed";
}

/// <summary>An account. Amounts are in units of its currency. Metadata is JSON text.</summary>
public sealed record Account(
    long AccountId,
    string OwnerName,
    string Currency,
    string Status,
    decimal Balance,
    decimal Held,
    decimal OverdraftLimit,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt)
{
    /// <summary>The amount that may still be paid out.</summary>
    public decimal Available => Balance - Held + OverdraftLimit;
}

/// <summary>Reads accounts by their ids.</summary>
public sealed class Accounts(ReadDatabase database, LedgerOptions options)
{
    internal const string Columns = """
        account_id
             , owner_name
             , currency
             , status
             , balance
             , held
             , overdraft_limit
             , reference
             , metadata::text
             , created_at
        """;

    private const string GetSql = $"""
        SELECT {Columns}
          FROM account
         WHERE account_id = ANY (@ids);
        """;

    private readonly Lookup<Account> byId = new(database, options, "accounts", GetSql, account => account.AccountId);

    /// <summary>The account, or null if there is none with this id.</summary>
    public Task<Account?> GetAsync(long accountId, CancellationToken cancellationToken) => byId.FindAsync(accountId, cancellationToken);

    /// <summary>Answers the callers of <see cref="GetAsync"/> until it is stopped.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
