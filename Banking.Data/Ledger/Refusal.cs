namespace Banking.Data;

/// <summary>What sort of answer a refusal is.</summary>
public enum RefusalKind
{
    /// <summary>What the request says makes no sense.</summary>
    Invalid,

    /// <summary>Nothing has this id.</summary>
    NotFound,

    /// <summary>The state of what is there forbids it.</summary>
    Conflict,

    /// <summary>It breaks a rule, whatever the state is.</summary>
    BrokenRule,

    /// <summary>Nothing was done, and a retry may succeed.</summary>
    NotNow,
}

/// <summary>What a refusal says to a client: its kind, its title and, for a retry, after how many seconds.</summary>
[AttributeUsage(AttributeTargets.Field)]
public sealed class MeaningAttribute(RefusalKind kind, string title, int retryAfter = 0) : Attribute
{
    public RefusalKind Kind => kind;

    public string Title => title;

    public int RetryAfter => retryAfter;
}

/// <summary>Why something is not done. The member's name in snake_case is the code that clients see.</summary>
public enum Refusal
{
    [Meaning(RefusalKind.Invalid, "The request is invalid")]
    ValidationFailed,

    [Meaning(RefusalKind.NotFound, "There is no such account")]
    AccountNotFound,

    [Meaning(RefusalKind.NotFound, "There is no such transaction")]
    TransactionNotFound,

    [Meaning(RefusalKind.NotFound, "There is no such hold")]
    HoldNotFound,

    [Meaning(RefusalKind.NotFound, "No request was done with this key")]
    RequestNotFound,

    [Meaning(RefusalKind.Conflict, "The account is frozen")]
    AccountFrozen,

    [Meaning(RefusalKind.Conflict, "The account is not frozen")]
    AccountNotFrozen,

    [Meaning(RefusalKind.Conflict, "The account is closed")]
    AccountClosed,

    [Meaning(RefusalKind.Conflict, "The account's balance is not zero")]
    AccountNotEmpty,

    [Meaning(RefusalKind.Conflict, "The account has pending holds")]
    AccountHasHolds,

    [Meaning(RefusalKind.Conflict, "The hold is not pending")]
    HoldNotPending,

    [Meaning(RefusalKind.Conflict, "The transaction is reversed in full")]
    AlreadyReversed,

    [Meaning(RefusalKind.Conflict, "A reversal cannot be reversed")]
    NotReversible,

    [Meaning(RefusalKind.BrokenRule, "The two accounts are the same")]
    SameAccount,

    [Meaning(RefusalKind.BrokenRule, "The accounts are in different currencies")]
    CurrencyMismatch,

    [Meaning(RefusalKind.BrokenRule, "The amount has more decimals than its currency")]
    AmountPrecision,

    [Meaning(RefusalKind.BrokenRule, "The available balance does not cover the amount")]
    InsufficientFunds,

    [Meaning(RefusalKind.BrokenRule, "The balance would become too large")]
    BalanceLimitExceeded,

    [Meaning(RefusalKind.BrokenRule, "The amount is more than the hold has left")]
    CaptureAmountExceeded,

    [Meaning(RefusalKind.BrokenRule, "The amount is more than is left to reverse")]
    ReversalAmountExceeded,

    [Meaning(RefusalKind.BrokenRule, "The account already uses more than the new limit")]
    LimitBelowUse,

    [Meaning(RefusalKind.BrokenRule, "The Idempotency-Key belongs to another request")]
    IdempotencyKeyReused,

    [Meaning(RefusalKind.NotNow, "Another database session has locked the account", retryAfter: 1)]
    AccountBusy,

    [Meaning(RefusalKind.NotNow, "Too many requests are waiting", retryAfter: 1)]
    Overloaded,

    [Meaning(RefusalKind.NotNow, "The database does not answer", retryAfter: 2)]
    DatabaseUnavailable,
}

/// <summary>
/// Nothing was done. The detail is for the client: a sentence, or the rule that the field breaks (a member of the request). The index is
/// that of the posting in an atomic batch.
/// </summary>
public sealed record Refused(Refusal Refusal, string Detail, string? Field = null, int? Index = null);
