namespace Banking.Data;

/// <summary>What an account may do, as the database and the API name it.</summary>
public static class AccountStatus
{
    public const string Active = "active";
    public const string DebitsBlocked = "debits_blocked";
    public const string Frozen = "frozen";
    public const string Closed = "closed";
}

/// <summary>An account as its owner sees it. Amounts are in the units of its currency. Metadata is JSON text.</summary>
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
    /// <summary>What may still be paid out.</summary>
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

    private readonly Lookup<Account> byId = new(database, options, GetSql, account => account.AccountId);

    /// <summary>The account, or null where there is none with that id.</summary>
    public Task<Account?> GetAsync(long accountId, CancellationToken cancellationToken) => byId.FindAsync(accountId, cancellationToken);

    /// <summary>Does the work for those who wait in <see cref="GetAsync"/>, until it is told to stop.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
