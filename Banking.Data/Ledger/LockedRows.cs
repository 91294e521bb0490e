namespace Banking.Data;

/// <summary>The part of an account that can change.</summary>
internal readonly record struct AccountState(string Status, decimal Balance, decimal Held, decimal OverdraftLimit, string? OwnerName = null);

/// <summary>The part of an account that never changes and that only its own answer shows. Metadata is JSON text.</summary>
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

/// <summary>The part of a hold that can change.</summary>
internal readonly record struct HoldState(string Status, decimal CapturedAmount);

/// <summary>A hold's row as read under its lock. Its state moves as the batch is decided.</summary>
internal sealed class LockedHold(Hold row)
{
    /// <summary>The hold as it stands now.</summary>
    public Hold Row { get; private set; } = row;

    public decimal Left => Row.Left;

    public HoldState State
    {
        get => new(Row.Status, Row.CapturedAmount);
        set => Row = Row with { Status = value.Status, CapturedAmount = value.CapturedAmount };
    }
}

/// <summary>
/// Where the book ended when its head was locked, and the time of everything that is written under this lock. <c>Ahead</c> is how far
/// the book's last time is ahead of the database's clock.
/// </summary>
internal sealed record LockedHead(
    long LastBlockId, long LastTransactionId, long LastAccountEventId, long LastAccountId, byte[] LastHash, DateTime Now, TimeSpan Ahead = default);

/// <summary>What a write transaction read under its locks. A row that another session has locked is not here.</summary>
internal sealed record LockedRows(
    LockedHead Head,
    Dictionary<long, LockedAccount> Accounts,
    IReadOnlySet<long> BusyAccountIds,
    Dictionary<long, LockedHold> Holds,
    bool HasBusyHolds,
    IReadOnlyDictionary<long, decimal> ReversedAmounts,
    Dictionary<RequestId, Recorded> Recorded);

/// <summary>An event to write. <c>Placed</c> is the hold that it places.</summary>
internal sealed record LoggedEvent(RequestId Id, byte[]? RequestHash, AccountEvent Event, Hold? Placed = null);
