namespace Banking.Data;

/// <summary>
/// The rows that a write transaction has locked, and what it decides on them. The rules of posting are here and nowhere else, and no
/// other code moves a balance. Pure: it reads no clock and no database.
/// </summary>
internal sealed class LockedBook
{
    /// <summary>The largest balance, either way, that numeric(19,4) holds.</summary>
    public const decimal BalanceLimit = 999_999_999_999_999.9999m;

    private readonly LockedHead head;
    private readonly Dictionary<long, LockedAccount> accounts;
    private readonly Dictionary<long, LockedHold> holds;
    private readonly LockedRows rows;
    private readonly List<(LockedAccount Account, AccountState State)> replaced = [];
    private readonly List<(LockedHold Hold, HoldState State)> replacedHolds = [];

    /// <summary>Starts with what was read. Holds that are due expire first, so that no request meets one.</summary>
    public LockedBook(LockedRows rows)
    {
        (this.rows, head, accounts, holds) = (rows, rows.Head, rows.Accounts, rows.Holds);
        foreach (var hold in holds.Values.Where(hold => hold.Left > 0 && hold.Row.ExpiresAt <= head.Now && accounts.ContainsKey(hold.Row.AccountId)))
        {
            End(hold, HoldStatus.Expired, AccountEventType.HoldExpired, new(RequestId.Service, $"hold-{hold.Row.HoldId}"), requestHash: null);
        }
    }

    /// <summary>A place to come back to.</summary>
    internal readonly record struct Mark(int Transactions, int Events, int Opened, int Placed, int Replaced, int ReplacedHolds);

    public LockedHead Head => head;

    public List<(LogKey Key, Transaction Transaction)> Transactions { get; } = [];

    public List<LoggedEvent> Events { get; } = [];

    public List<LockedAccount> Opened { get; } = [];

    public List<LockedHold> Placed { get; } = [];

    public bool WritesNothing => Transactions.Count == 0 && Events.Count == 0;

    public long LastTransactionId => head.LastTransactionId + Transactions.Count;

    public long LastAccountEventId => head.LastAccountEventId + Events.Count;

    public long LastAccountId => head.LastAccountId + Opened.Count;

    /// <summary>The holds that the database had and that have changed.</summary>
    public IEnumerable<LockedHold> ChangedHolds => replacedHolds.Select(one => one.Hold).Distinct().Except(Placed);

    /// <summary>The accounts that the database had whose balance has moved while nothing else has changed.</summary>
    public IEnumerable<LockedAccount> Moved => accounts.Values.Where(account =>
        account.AccountId <= head.LastAccountId && account.State != account.Before && !HasChanged(account));

    /// <summary>The accounts that the database had of which more than the balance has changed.</summary>
    public IEnumerable<LockedAccount> Changed => Events.Count == 0 && replacedHolds.Count == 0 ? [] : accounts.Values.Where(account =>
        account.AccountId <= head.LastAccountId && HasChanged(account));

    /// <summary>The settlement accounts among those that are locked.</summary>
    public IEnumerable<LockedAccount> Settlements => accounts.Values.Where(account => !account.IsCustomer);

    /// <summary>Decides one request. The requests come in the order of their arrival. A refused one leaves nothing behind.</summary>
    public Decision<T> Decide<T>(LedgerRequest<T> request)
        where T : class
    {
        if (rows.Recorded.TryGetValue(request.Id, out var earlier) && !request.IsUnfinished(earlier))
        {
            return request.Replay(earlier) is { } answer
                ? new Decision<T>(answer, Replayed: true)
                : new Refused(Refusal.IdempotencyKeyReused, "An earlier request with another path or body has this Idempotency-Key. Use a new key.");
        }

        if (NeedsBusyRow(request))
        {
            return Decision<T>.Wait;
        }

        var mark = Save();
        var decision = request.Decide(this);
        if (decision.Result is not { } result)
        {
            RollBackTo(mark);
        }
        else if (request.Record(result) is { } made)
        {
            rows.Recorded[request.Id] = made;
        }

        return decision;
    }

    /// <summary>The transactions that an earlier try of this batch made, by part; null where there was none.</summary>
    public IReadOnlyDictionary<short, Transaction>? PartsOf(RequestId id) => rows.Recorded.GetValueOrDefault(id)?.Parts;

    public LockedAccount AccountOf(long accountId) => accounts[accountId];

    public LockedHold HoldOf(long holdId) => holds[holdId];

    /// <summary>How much of a transaction is reversed so far, by this batch too.</summary>
    public decimal ReversedOf(long transactionId) => rows.ReversedAmounts.GetValueOrDefault(transactionId)
        + Transactions.Where(made => made.Transaction.ReversesTransactionId == transactionId).Sum(made => made.Transaction.Amount);

    /// <summary>Finds a customer's account, or says that there is none.</summary>
    public Refused? Customer(long accountId, out LockedAccount account) => accounts.TryGetValue(accountId, out account!)
        ? account.IsCustomer ? null : new(Refusal.AccountNotFound, $"Account {accountId} is a settlement account. Only deposits and withdrawals change it. Use a customer's account.")
        : new(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");

    /// <summary>
    /// Finds the two accounts of a posting, or says why they are none. A side without an account is the settlement account of the
    /// other's currency.
    /// </summary>
    public Refused? Sides(long? fromAccountId, long? toAccountId, out LockedAccount from, out LockedAccount to)
    {
        if (fromAccountId == toAccountId)
        {
            from = to = null!;
            return new(Refusal.SameAccount, $"Account {fromAccountId} is named twice. Choose two different accounts.");
        }

        if (Customer((fromAccountId ?? toAccountId)!.Value, out from) is { } noFrom)
        {
            to = null!;
            return noFrom;
        }

        if (Customer((toAccountId ?? fromAccountId)!.Value, out to) is { } noTo)
        {
            return noTo;
        }

        from = fromAccountId is null ? Settlement(from.Currency) : from;
        to = toAccountId is null ? Settlement(to.Currency) : to;
        return null;
    }

    /// <summary>Finds a hold that is still pending, or says what became of it.</summary>
    public Refused? Pending(long holdId, out LockedHold hold)
    {
        hold = holds[holdId];
        return hold.Row.Status == HoldStatus.Pending ? null : new(Refusal.HoldNotPending, $"Hold {holdId} is {hold.Row.Status}. Only a pending hold can be captured or released.");
    }

    public LockedAccount Settlement(Currency currency) => accounts[currency.SettlementAccountId];

    /// <summary>The rules of posting, in the order in which a client meets them; null where the posting may be made.</summary>
    /// <param name="held">How much of the amount is held for this posting.</param>
    public static Refused? Judge(LockedAccount from, LockedAccount to, decimal amount, string field = "amount", decimal held = 0)
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

        if (from.IsCustomer && from.State.Balance - (from.State.Held - held) - amount < -from.State.OverdraftLimit)
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

    /// <summary>Moves an amount that <see cref="Judge"/> let pass, and adds its row to the log. A hold that it captures has that much less left.</summary>
    public Transaction Post(
        LogKey key, string type, LockedAccount from, LockedAccount to, decimal amount, string? reference = null, string? metadata = null,
        long? reverses = null, LockedHold? hold = null)
    {
        Set(from, from.State with { Balance = from.State.Balance - amount, Held = from.State.Held - (hold is null ? 0 : amount) });
        Set(to, to.State with { Balance = to.State.Balance + amount });
        if (hold is not null)
        {
            Set(hold, new(amount == hold.Left ? HoldStatus.Captured : HoldStatus.Pending, hold.State.CapturedAmount + amount));
        }

        var transaction = new Transaction(
            LastTransactionId + 1, type, from.AccountId, to.AccountId, amount, from.Currency.Code,
            from.State.Balance, to.State.Balance, reverses, hold?.Row.HoldId, reference, metadata, head.Now);
        Transactions.Add((key, transaction));
        return transaction;
    }

    /// <summary>Adds a hold that <see cref="Judge"/> let pass, with its first event. The event's id is the hold's.</summary>
    public Hold Place(PlaceHold request, LockedAccount account, DateTime expiresAt)
    {
        var hold = new LockedHold(new(
            LastAccountEventId + 1, account.AccountId, request.ToAccountId, account.Currency.Code, request.Amount, CapturedAmount: 0,
            HoldStatus.Pending, expiresAt, request.Reference, request.Metadata, head.Now));
        holds.Add(hold.Row.HoldId, hold);
        Placed.Add(hold);
        Record(
            request.Id, request.RequestHash, reason: null, AccountEventType.HoldPlaced, account,
            account.State with { Held = account.State.Held + request.Amount }, hold.Row, request.Amount);
        return hold.Row;
    }

    /// <summary>Makes free what is left of a pending hold, and adds the event to its account's log.</summary>
    public Hold End(LockedHold hold, string status, string eventType, RequestId id, byte[]? requestHash, string? reason = null)
    {
        var (account, left) = (accounts[hold.Row.AccountId], hold.Left);
        Set(hold, hold.State with { Status = status });
        Record(id, requestHash, reason, eventType, account, account.State with { Held = account.State.Held - left }, hold.Row, left);
        return hold.Row;
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

    public Mark Save() => new(Transactions.Count, Events.Count, Opened.Count, Placed.Count, replaced.Count, replacedHolds.Count);

    /// <summary>Takes back everything since the mark.</summary>
    public void RollBackTo(Mark mark)
    {
        for (var i = replaced.Count - 1; i >= mark.Replaced; i--)
        {
            replaced[i].Account.State = replaced[i].State;
        }

        for (var i = replacedHolds.Count - 1; i >= mark.ReplacedHolds; i--)
        {
            replacedHolds[i].Hold.State = replacedHolds[i].State;
        }

        foreach (var account in Opened[mark.Opened..])
        {
            accounts.Remove(account.AccountId);
        }

        foreach (var hold in Placed[mark.Placed..])
        {
            holds.Remove(hold.Row.HoldId);
        }

        Cut(replaced, mark.Replaced);
        Cut(replacedHolds, mark.ReplacedHolds);
        Cut(Placed, mark.Placed);
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

    private void Record(
        RequestId id, byte[]? requestHash, string? reason, string type, LockedAccount account, AccountState after, Hold? hold = null, decimal? amount = null)
    {
        Set(account, after);
        Events.Add(new(id, requestHash, new(
            LastAccountEventId + 1, type, account.AccountId, hold?.HoldId, amount, after.Status, after.OverdraftLimit,
            after.Held, after.Balance, LastTransactionId, id.ClientId, reason, head.Now), type == AccountEventType.HoldPlaced ? hold : null));
    }

    private void Set(LockedAccount account, AccountState state)
    {
        replaced.Add((account, account.State));
        account.State = state;
    }

    private void Set(LockedHold hold, HoldState state)
    {
        replacedHolds.Add((hold, hold.State));
        hold.State = state;
    }

    /// <summary>Whether another session has locked a row that the request needs. Its hold is there: it was read before.</summary>
    private bool NeedsBusyRow<T>(LedgerRequest<T> request)
        where T : class
    {
        if (rows.BusyAccountIds.Count == 0 && !rows.HasBusyHolds)
        {
            return false;
        }

        var needs = new LockSet();
        request.Collect(needs);
        return needs.AccountIds.Any(rows.BusyAccountIds.Contains)
            || needs.HoldIds.Any(id => !holds.ContainsKey(id))
            || needs.WithSettlement.Any(id => accounts.TryGetValue(id, out var account) && rows.BusyAccountIds.Contains(account.Currency.SettlementAccountId));
    }
}
