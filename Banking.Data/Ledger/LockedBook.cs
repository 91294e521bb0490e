namespace Banking.Data;

/// <summary>An account's row as read under its lock; its balance moves as the batch is decided.</summary>
internal sealed class LockedAccount(
    long accountId, string currency, string kind, string status, decimal balance, decimal overdraftLimit)
{
    public long AccountId { get; } = accountId;
    public string Currency { get; } = currency;
    public string Status { get; } = status;
    public bool IsCustomer { get; } = kind == "customer";
    public decimal OverdraftLimit { get; } = overdraftLimit;
    public decimal Balance { get; private set; } = balance;
    public bool Changed { get; private set; }

    public void Add(decimal amount)
    {
        Balance += amount;
        Changed = true;
    }
}

/// <summary>What an idempotency key stands for: the account it opened, the transaction it posted, or (an opening with a deposit) both.</summary>
internal sealed record Recorded(Account? Account, Transaction? Transaction);

/// <summary>Whose key it is, and the key.</summary>
internal readonly record struct RequestKey(string ClientId, string IdempotencyKey);

/// <summary>
/// One write transaction's decisions, made in the order of the requests against the rows that the transaction has locked.
/// Pure: it reads no clock and no database.
/// </summary>
internal sealed class Batch(
    Currencies currencies,
    long lastTransactionId,
    DateTime now,
    IReadOnlyDictionary<long, LockedAccount> accounts,
    IReadOnlySet<long> busyAccountIds,
    Dictionary<RequestKey, Recorded> recorded,
    Queue<long> newAccountIds)
{
    /// <summary>The largest balance, either way, that numeric(19,4) holds.</summary>
    public const decimal BalanceLimit = 999_999_999_999_999.9999m;

    public List<(RequestKey Key, Account Account)> OpenedAccounts { get; } = [];

    public List<(RequestKey Key, Transaction Transaction)> Transactions { get; } = [];

    public IReadOnlyList<LockedAccount> ChangedAccounts => [.. accounts.Values.Where(account => account.Changed)];

    public bool WritesNothing => OpenedAccounts.Count == 0 && Transactions.Count == 0;

    /// <summary>The request's outcome; null where one of its accounts is locked by somebody else, so that it has to wait.</summary>
    public Outcome? Decide(LedgerRequest request, RequestKey key)
    {
        if (recorded.TryGetValue(key, out var earlier))
        {
            return Replay(request, earlier);
        }

        return request switch
        {
            Opening opening => Open(opening, key),
            Posting posting => Post(posting, key),
            _ => throw new ArgumentException($"No rule for a {request.GetType().Name}.", nameof(request)),
        };
    }

    private static Outcome Replay(LedgerRequest request, Recorded earlier) => (request, earlier) switch
    {
        (Opening opening, { Account: { } account }) when IsSame(opening, account, earlier.Transaction) =>
            new Outcome.Opened(account with { Balance = opening.InitialDeposit }, Replayed: true),
        (Posting posting, { Account: null, Transaction: { } transaction }) when IsSame(posting, transaction) =>
            new Outcome.Posted(transaction, Replayed: true),
        _ => new Outcome.Refused(
            Refusal.IdempotencyKeyReused, "This Idempotency-Key belongs to an earlier request with another body."),
    };

    private static bool IsSame(Opening opening, Account account, Transaction? deposit) =>
        opening.OwnerName == account.OwnerName
        && opening.Currency.Code == account.Currency
        && opening.OverdraftLimit == account.OverdraftLimit
        && opening.InitialDeposit == (deposit?.Amount ?? 0);

    private static bool IsSame(Posting posting, Transaction transaction) =>
        posting.Type == transaction.Type
        && (posting.FromAccountId ?? transaction.FromAccountId) == transaction.FromAccountId
        && (posting.ToAccountId ?? transaction.ToAccountId) == transaction.ToAccountId
        && posting.Amount == transaction.Amount
        && posting.Reference == transaction.Reference
        && Metadata.Same(posting.Metadata, transaction.Metadata);

    private Outcome? Open(Opening opening, RequestKey key)
    {
        var currency = opening.Currency;
        if (!currency.Fits(opening.InitialDeposit) || !currency.Fits(opening.OverdraftLimit))
        {
            return TooPrecise(currency);
        }

        LockedAccount? settlement = null;
        if (opening.InitialDeposit > 0 && !accounts.TryGetValue(currency.SettlementAccountId, out settlement))
        {
            return null;
        }

        var opened = new LockedAccount(newAccountIds.Peek(), currency.Code, "customer", "active", balance: 0, opening.OverdraftLimit);
        Transaction? deposit = null;
        if (settlement is not null)
        {
            if (Judge(settlement, opened, opening.InitialDeposit, currency) is { } refused)
            {
                return refused;
            }

            deposit = Write(key, PostingType.Deposit, settlement, opened, opening.InitialDeposit, reference: null, metadata: null);
        }

        newAccountIds.Dequeue();
        var account = new Account(
            opened.AccountId, opening.OwnerName, opened.Currency, opened.Status, opened.Balance, opened.OverdraftLimit, now);
        OpenedAccounts.Add((key, account));
        recorded[key] = new(account, deposit);
        return new Outcome.Opened(account, Replayed: false);
    }

    private Outcome? Post(Posting posting, RequestKey key)
    {
        if (posting.FromAccountId == posting.ToAccountId)
        {
            return new Outcome.Refused(Refusal.SameAccount, "A transfer needs two different accounts.");
        }

        if (IsBusy(posting.FromAccountId) || IsBusy(posting.ToAccountId))
        {
            return null;
        }

        // One side at least is a customer's: its currency names the settlement account that stands for a missing side.
        if (Customer(posting.FromAccountId ?? posting.ToAccountId!.Value) is not { } one)
        {
            return NotFound(posting.FromAccountId ?? posting.ToAccountId!.Value);
        }

        if (Customer(posting.ToAccountId ?? posting.FromAccountId!.Value) is not { } other)
        {
            return NotFound(posting.ToAccountId ?? posting.FromAccountId!.Value);
        }

        var currency = currencies[one.Currency];
        if ((posting.FromAccountId is null || posting.ToAccountId is null) && !accounts.ContainsKey(currency.SettlementAccountId))
        {
            return null;
        }

        var from = posting.FromAccountId is null ? accounts[currency.SettlementAccountId] : one;
        var to = posting.ToAccountId is null ? accounts[currency.SettlementAccountId] : other;
        if (Judge(from, to, posting.Amount, currency) is { } refused)
        {
            return refused;
        }

        var transaction = Write(key, posting.Type, from, to, posting.Amount, posting.Reference, posting.Metadata);
        recorded[key] = new(Account: null, transaction);
        return new Outcome.Posted(transaction, Replayed: false);
    }

    private bool IsBusy(long? accountId) => accountId is { } id && busyAccountIds.Contains(id);

    private LockedAccount? Customer(long accountId) =>
        accounts.TryGetValue(accountId, out var account) && account.IsCustomer ? account : null;

    /// <summary>The rules of posting, in the order in which a client hears of them; null where the posting may be made.</summary>
    private static Outcome.Refused? Judge(LockedAccount from, LockedAccount to, decimal amount, Currency currency)
    {
        if ((from.Status != "active" ? from : to.Status != "active" ? to : null) is { } barred)
        {
            return new(
                barred.Status == "frozen" ? Refusal.AccountFrozen : Refusal.AccountClosed,
                $"Account {barred.AccountId} is {barred.Status}.");
        }

        if (from.Currency != to.Currency)
        {
            return new(
                Refusal.CurrencyMismatch,
                $"Account {from.AccountId} is in {from.Currency}, account {to.AccountId} in {to.Currency}.");
        }

        if (!currency.Fits(amount))
        {
            return TooPrecise(currency);
        }

        if (from.IsCustomer && from.Balance - amount < -from.OverdraftLimit)
        {
            return new(
                Refusal.InsufficientFunds,
                $"Account {from.AccountId} would fall below its limit; its balance and overdraft do not cover the amount.");
        }

        if (to.Balance + amount > BalanceLimit || from.Balance - amount < -BalanceLimit)
        {
            var full = to.Balance + amount > BalanceLimit ? to : from;
            return new(
                Refusal.BalanceLimitExceeded,
                $"Account {full.AccountId} can't hold a balance beyond {BalanceLimit} {full.Currency}.");
        }

        return null;
    }

    private Transaction Write(
        RequestKey key, string type, LockedAccount from, LockedAccount to, decimal amount, string? reference, string? metadata)
    {
        from.Add(-amount);
        to.Add(amount);
        var transaction = new Transaction(
            lastTransactionId + Transactions.Count + 1, type, from.AccountId, to.AccountId, amount, from.Currency,
            from.Balance, to.Balance, reference, metadata, now);
        Transactions.Add((key, transaction));
        return transaction;
    }

    private static Outcome.Refused NotFound(long accountId) =>
        new(Refusal.AccountNotFound, $"There is no customer's account {accountId}.");

    private static Outcome.Refused TooPrecise(Currency currency) =>
        new(Refusal.AmountPrecision, $"An amount in {currency.Code} has at most {currency.MinorUnit} decimals.");
}
