namespace Banking.Data;

/// <summary>The kinds of posting, as the log and the API name them.</summary>
public static class PostingType
{
    public const string Deposit = "deposit";
    public const string Withdrawal = "withdrawal";
    public const string Transfer = "transfer";
}

/// <summary>
/// Something for the ledger to write, exactly once. The key, with the caller, is the request's identity: without one from
/// the client it gets one of its own.
/// </summary>
public abstract record LedgerRequest(string ClientId, string? IdempotencyKey);

/// <summary>Move an amount between two accounts. No account on one side means the settlement account of the other's currency.</summary>
public sealed record Posting(
    string ClientId,
    string? IdempotencyKey,
    string Type,
    long? FromAccountId,
    long? ToAccountId,
    decimal Amount,
    string? Reference = null,
    string? Metadata = null) : LedgerRequest(ClientId, IdempotencyKey);

/// <summary>Open a customer's account and, where the initial deposit is above zero, post that too.</summary>
public sealed record Opening(
    string ClientId,
    string? IdempotencyKey,
    string OwnerName,
    Currency Currency,
    decimal InitialDeposit,
    decimal OverdraftLimit) : LedgerRequest(ClientId, IdempotencyKey);

/// <summary>Why the ledger did not do what it was asked for.</summary>
public enum Refusal
{
    AccountNotFound,
    AccountFrozen,
    AccountClosed,
    SameAccount,
    CurrencyMismatch,
    AmountPrecision,
    InsufficientFunds,
    BalanceLimitExceeded,
    IdempotencyKeyReused,
    AccountBusy,
    Overloaded,
    DatabaseUnavailable,
}

/// <summary>The ledger's one answer to a request.</summary>
public abstract record Outcome
{
    private Outcome() { }

    /// <summary>The posting is in the log, durably; replayed where an earlier request with its key put it there.</summary>
    public sealed record Posted(Transaction Transaction, bool Replayed) : Outcome;

    /// <summary>The account is open, durably, and shown as it was opened.</summary>
    public sealed record Opened(Account Account, bool Replayed) : Outcome;

    /// <summary>Nothing was written. The detail is one sentence for the client.</summary>
    public sealed record Refused(Refusal Refusal, string Detail) : Outcome;
}
