namespace Banking.Data;

/// <summary>The kinds of refusal. Each has one HTTP status.</summary>
public enum RefusalKind
{
    /// <summary>A member of the request is not valid.</summary>
    Invalid,

    /// <summary>What the request names does not exist.</summary>
    NotFound,

    /// <summary>The present state forbids the request.</summary>
    Conflict,

    /// <summary>The request breaks a rule.</summary>
    BrokenRule,

    /// <summary>The request failed for a passing reason. A retry may succeed.</summary>
    NotNow,
}

/// <summary>A refusal's kind, its title for clients and, where a retry may help, the seconds to wait before it.</summary>
[AttributeUsage(AttributeTargets.Field)]
public sealed class MeaningAttribute(RefusalKind kind, string title, int retryAfter = 0) : Attribute
{
    public RefusalKind Kind => kind;

    public string Title => title;

    public int RetryAfter => retryAfter;
}

/// <summary>Why a request is refused. Clients see the member's name in snake_case as the code.</summary>
public enum Refusal
{
    [Meaning(RefusalKind.Invalid, "The request is invalid")]
    ValidationFailed,

    [Meaning(RefusalKind.NotFound, "The account does not exist")]
    AccountNotFound,

    [Meaning(RefusalKind.NotFound, "The transaction does not exist")]
    TransactionNotFound,

    [Meaning(RefusalKind.NotFound, "The hold does not exist")]
    HoldNotFound,

    [Meaning(RefusalKind.NotFound, "No completed request has this Idempotency-Key")]
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

    [Meaning(RefusalKind.Conflict, "The transaction is already reversed in full")]
    AlreadyReversed,

    [Meaning(RefusalKind.Conflict, "A reversal can't be reversed")]
    NotReversible,

    [Meaning(RefusalKind.BrokenRule, "The two accounts are the same")]
    SameAccount,

    [Meaning(RefusalKind.BrokenRule, "The accounts have different currencies")]
    CurrencyMismatch,

    [Meaning(RefusalKind.BrokenRule, "The amount has too many decimals for its currency")]
    AmountPrecision,

    [Meaning(RefusalKind.BrokenRule, "The available balance does not cover the amount")]
    InsufficientFunds,

    [Meaning(RefusalKind.BrokenRule, "The balance would become too large")]
    BalanceLimitExceeded,

    [Meaning(RefusalKind.BrokenRule, "The amount is more than the hold has left")]
    CaptureAmountExceeded,

    [Meaning(RefusalKind.BrokenRule, "The amount is more than the transaction has left to reverse")]
    ReversalAmountExceeded,

    [Meaning(RefusalKind.BrokenRule, "The new limit is below the overdraft in use")]
    LimitBelowUse,

    [Meaning(RefusalKind.BrokenRule, "The Idempotency-Key belongs to another request")]
    IdempotencyKeyReused,

    [Meaning(RefusalKind.NotNow, "Another database session has locked the account", retryAfter: 1)]
    AccountBusy,

    [Meaning(RefusalKind.NotNow, "Too many requests are waiting", retryAfter: 1)]
    Overloaded,

    [Meaning(RefusalKind.NotNow, "The database is unavailable", retryAfter: 2)]
    DatabaseUnavailable,
}

/// <summary>A refused request. The detail tells the client what is wrong and what to do. The field is the member that breaks the rule, if one does. The index is that of the refused posting in an atomic batch.</summary>
public sealed record Refused(Refusal Refusal, string Detail, string? Field = null, int? Index = null);
