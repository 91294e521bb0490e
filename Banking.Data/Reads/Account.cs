namespace Banking.Data;

/// <summary>An account as its owner sees it. Amounts are in the units of its currency.</summary>
public sealed record Account(
    long AccountId,
    string OwnerName,
    string Currency,
    string Status,
    decimal Balance,
    decimal OverdraftLimit,
    DateTime CreatedAt);

/// <summary>Reads accounts.</summary>
public sealed class Accounts(ReadDatabase database, BankingOptions options)
{
    private const string GetSql = """
        SELECT account_id
             , owner_name
             , currency
             , status
             , balance
             , overdraft_limit
             , created_at
          FROM account
         WHERE account_id = ANY (@ids);
        """;

    private readonly Lookup<Account> byId = new(database, options, GetSql, account => account.AccountId);

    /// <summary>The account, or null where there is none with that id.</summary>
    public Task<Account?> GetAsync(long accountId, CancellationToken cancellationToken) => byId.FindAsync(accountId, cancellationToken);

    /// <summary>Does the work for those who wait in <see cref="GetAsync"/>, until it is told to stop.</summary>
    public Task RunAsync(CancellationToken stop) => byId.RunAsync(stop);
}
