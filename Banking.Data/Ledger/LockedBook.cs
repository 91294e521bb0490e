namespace Banking.Data;

/// <summary>What of an account can change.</summary>
internal readonly record struct AccountState(string Status, decimal Balance, decimal Held, decimal OverdraftLimit, string? OwnerName = null);

/// <summary>What of an account never changes and only its own answer shows. Metadata is JSON text.</summary>
internal sealed record AccountOrigin(string? Reference, string? Metadata, DateTime CreatedAt);

/// <summary>An account's row as read under its lock. Its state moves as the batch is decided.</summary>
internal sealed class LockedAccount(long accountId, bool isCustomer, Currency currency, AccountState state, AccountOrigin? origin = null)
{
    public long AccountId { get; } = accountId;

    public bool IsCustomer { get; } = isCustomer;

    public Currency Currency { get; } = currency;

    /// <summary>The state that the database has.</summary>
    public AccountState Before { get; } = state;

    public AccountState State { get; internal set; } = state;

    public AccountOrigin? Origin { get; } = origin;

    /// <summary>The account as its owner sees it, for an operation that asked for the whole of it.</summary>
    public Account ToAccount() => new(
        AccountId, State.OwnerName!, Currency.Code, State.Status, State.Balance, State.Held, State.OverdraftLimit,
        Origin!.Reference, Origin.Metadata, Origin.CreatedAt);
}

/// <summary>Where the book ended when its head was locked, and the time of everything that is written under this lock.</summary>
internal sealed record LockedHead(
    long LastBlockId, long LastTransactionId, long LastAccountEventId, long LastAccountId, byte[] LastHash, DateTime Now);

/// <summary>
/// The rows that a write transaction has locked, and what it decides on them: the one home of the posting rules, and the only
/// code that moves a balance. Pure: it reads no clock and no database.
/// </summary>
internal sealed class LockedBook(
    LockedHead head,
    Dictionary<long, LockedAccount> accounts,
    IReadOnlySet<long> busyAccountIds,
    Dictionary<RequestId, Recorded> recorded)
{
    /// <summary>The largest balance, either way, that numeric(19,4) holds.</summary>
    public const decimal BalanceLimit = 999_999_999_999_999.9999m;

    private readonly List<(LockedAccount Account, AccountState State)> replaced = [];
    private readonly List<RequestId> done = [];

    /// <summary>A place to come back to.</summary>
    internal readonly record struct Mark(int Transactions, int Events, int Opened, int Replaced, int Done);

    public LockedHead Head => head;

    public List<(RequestId Id, Transaction Transaction)> Transactions { get; } = [];

    public List<(RequestId Id, byte[] RequestHash, AccountEvent Event)> Events { get; } = [];

    public List<LockedAccount> Opened { get; } = [];

    public bool WritesNothing => Transactions.Count == 0 && Events.Count == 0;

    public long LastTransactionId => head.LastTransactionId + Transactions.Count;

    public long LastAccountEventId => head.LastAccountEventId + Events.Count;

    public long LastAccountId => head.LastAccountId + Opened.Count;

    /// <summary>The accounts that the database had and of which the balance has moved and nothing else has changed.</summary>
    public IEnumerable<LockedAccount> Moved => accounts.Values.Where(account =>
        account.AccountId <= head.LastAccountId && account.State != account.Before && !HasChanged(account));

    /// <summary>The accounts that the database had and of which more than the balance has changed.</summary>
    public IEnumerable<LockedAccount> Changed => Events.Count == 0 ? [] : accounts.Values.Where(account =>
        account.AccountId <= head.LastAccountId && HasChanged(account));

    /// <summary>The settlement accounts among those that are locked.</summary>
    public IEnumerable<LockedAccount> Settlements => accounts.Values.Where(account => !account.IsCustomer);

    /// <summary>Decides one request, in the order of their arrival. A request that is refused leaves nothing behind.</summary>
    public Decision<T> Decide<T>(LedgerRequest<T> request)
        where T : class
    {
        if (recorded.TryGetValue(request.Id, out var earlier))
        {
            return request.Replay(earlier) is { } answer
                ? new Decision<T>(answer, Replayed: true)
                : new Refused(Refusal.IdempotencyKeyReused, "An earlier request with another path or body has this Idempotency-Key. Use a new key.");
        }

        if (busyAccountIds.Count > 0 && NeedsBusyAccount(request))
        {
            return Decision<T>.Wait;
        }

        var mark = Save();
        var decision = request.Decide(this);
        if (decision.Result is { } result)
        {
            recorded.Add(request.Id, request.Record(result));
            done.Add(request.Id);
        }
        else
        {
            RollBackTo(mark);
        }

        return decision;
    }

    /// <summary>Finds a customer's account, or says that there is none.</summary>
    public Refused? Customer(long accountId, out LockedAccount account) => accounts.TryGetValue(accountId, out account!)
        ? account.IsCustomer ? null : new(Refusal.AccountNotFound, $"Account {accountId} is a settlement account. Only deposits and withdrawals change it. Use a customer's account.")
        : new(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");

    public LockedAccount Settlement(Currency currency) => accounts[currency.SettlementAccountId];

    /// <summary>The rules of posting, in the order in which a client hears of them; null where the posting may be made.</summary>
    public static Refused? Judge(LockedAccount from, LockedAccount to, decimal amount, string field = "amount")
    {
        if ((Barred(from, isDebit: true) ?? Barred(to, isDebit: false)) is { } barred)
        {
            return barred;
        }

        if (from.Currency.Code != to.Currency.Code)
        {
            return new(
                Refusal.CurrencyMismatch,
                $"Account {from.AccountId} is in {from.Currency.Code}, account {to.AccountId} is in {to.Currency.Code}. Choose two accounts in one currency.");
        }

        if (!from.Currency.Fits(amount))
        {
            return TooPrecise(from.Currency, field);
        }

        if (from.IsCustomer && from.State.Balance - from.State.Held - amount < -from.State.OverdraftLimit)
        {
            return new(Refusal.InsufficientFunds, $"The available balance of account {from.AccountId} does not cover the amount. Send a smaller amount, or pay money in first.");
        }

        if (to.State.Balance + amount > BalanceLimit || from.State.Balance - amount < -BalanceLimit)
        {
            var full = to.State.Balance + amount > BalanceLimit ? to : from;
            return new(Refusal.BalanceLimitExceeded, full.IsCustomer
                ? $"Account {full.AccountId} can't hold more than {BalanceLimit} {full.Currency.Code}. Send a smaller amount."
                : $"Settlement account {full.AccountId} is full: all deposits minus all withdrawals can't exceed {BalanceLimit} {full.Currency.Code}. Send a smaller amount, and tell the operator.");
        }

        return null;
    }

    /// <summary>Moves an amount that <see cref="Judge"/> let pass, and adds its row to the log.</summary>
    public Transaction Post(
        RequestId id, string type, LockedAccount from, LockedAccount to, decimal amount, string? reference = null, string? metadata = null)
    {
        Set(from, from.State with { Balance = from.State.Balance - amount });
        Set(to, to.State with { Balance = to.State.Balance + amount });
        var transaction = new Transaction(
            LastTransactionId + 1, type, from.AccountId, to.AccountId, amount, from.Currency.Code,
            from.State.Balance, to.State.Balance, reference, metadata, head.Now);
        Transactions.Add((id, transaction));
        return transaction;
    }

    /// <summary>Adds a new account, empty, with its first event.</summary>
    public LockedAccount Open(OpenAccount request)
    {
        var account = new LockedAccount(
            LastAccountId + 1, isCustomer: true, request.Currency,
            new(AccountStatus.Active, Balance: 0, Held: 0, request.OverdraftLimit, request.OwnerName),
            new(request.Reference, request.Metadata, head.Now));
        accounts.Add(account.AccountId, account);
        Opened.Add(account);
        Record(request.Id, request.RequestHash, reason: null, AccountEventType.Opened, account, account.State);
        return account;
    }

    /// <summary>Gives an account its new state, and adds the event to its log.</summary>
    public Account Record(AccountRequest request, string type, LockedAccount account, AccountState after)
    {
        Record(request.Id, request.RequestHash, request.Reason, type, account, after);
        return account.ToAccount();
    }

    public Mark Save() => new(Transactions.Count, Events.Count, Opened.Count, replaced.Count, done.Count);

    /// <summary>Takes back everything since the mark.</summary>
    public void RollBackTo(Mark mark)
    {
        for (var i = replaced.Count - 1; i >= mark.Replaced; i--)
        {
            replaced[i].Account.State = replaced[i].State;
        }

        foreach (var account in Opened[mark.Opened..])
        {
            accounts.Remove(account.AccountId);
        }

        foreach (var id in done[mark.Done..])
        {
            recorded.Remove(id);
        }

        Cut(replaced, mark.Replaced);
        Cut(done, mark.Done);
        Cut(Transactions, mark.Transactions);
        Cut(Events, mark.Events);
        Cut(Opened, mark.Opened);
    }

    public static Refused TooPrecise(Currency currency, string field) => new(
        Refusal.AmountPrecision,
        currency.MinorUnit == 0
            ? $"Amounts in {currency.Code} have no decimals. Send a whole number."
            : $"Amounts in {currency.Code} have at most {currency.MinorUnit} decimals. Send an amount with fewer decimals.",
        field);

    public static Refused Closed(long accountId) => new(Refusal.AccountClosed, $"Account {accountId} is closed and can't be reopened. Use another account.");

    private static void Cut<TItem>(List<TItem> list, int length) => list.RemoveRange(length, list.Count - length);

    private static bool HasChanged(LockedAccount account) => account.State with { Balance = account.Before.Balance } != account.Before;

    private static Refused? Barred(LockedAccount account, bool isDebit) => account.State.Status switch
    {
        AccountStatus.Closed => Closed(account.AccountId),
        AccountStatus.Frozen => new(Refusal.AccountFrozen, $"Account {account.AccountId} is frozen. Unfreeze it first, or use another account."),
        AccountStatus.DebitsBlocked when isDebit => new(Refusal.AccountFrozen, $"Account {account.AccountId} is frozen for debits: it can receive money, but not pay it. Unfreeze it first, or use another account."),
        _ => null,
    };

    private void Record(RequestId id, byte[] requestHash, string? reason, string type, LockedAccount account, AccountState after)
    {
        Set(account, after);
        Events.Add((id, requestHash, new(
            LastAccountEventId + 1, type, account.AccountId, HoldId: null, Amount: null, after.Status, after.OverdraftLimit,
            after.Held, after.Balance, LastTransactionId, id.ClientId, reason, head.Now)));
    }

    private void Set(LockedAccount account, AccountState state)
    {
        replaced.Add((account, account.State));
        account.State = state;
    }

    private bool NeedsBusyAccount<T>(LedgerRequest<T> request)
        where T : class
    {
        var needs = new LockSet();
        request.Collect(needs);
        return needs.AccountIds.Any(busyAccountIds.Contains)
            || needs.WithSettlement.Any(id => accounts.TryGetValue(id, out var account) && busyAccountIds.Contains(account.Currency.SettlementAccountId));
    }
}
