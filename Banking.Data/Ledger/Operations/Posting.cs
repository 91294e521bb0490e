namespace Banking.Data;

/// <summary>The kinds of posting, as the log and the API name them.</summary>
public static class PostingType
{
    public const string Deposit = "deposit";
    public const string Withdrawal = "withdrawal";
    public const string Transfer = "transfer";
    public const string Reversal = "reversal";
}

/// <summary>Moves an amount between two accounts. No account on one side means the settlement account of the other's currency.</summary>
public sealed record Posting(
    RequestId Id,
    string Type,
    long? FromAccountId,
    long? ToAccountId,
    decimal Amount,
    string? Reference = null,
    string? Metadata = null) : LedgerRequest<Transaction>(Id)
{
    public override string Operation => Type;

    internal override void Collect(LockSet needs) => needs.Accounts(FromAccountId, ToAccountId);

    internal override Decision<Transaction> Decide(LockedBook book) => Decide(book, Id);

    /// <summary>Decides it as a row of the log under this key: its own, or that of the batch which it is a part of.</summary>
    internal Decision<Transaction> Decide(LockedBook book, LogKey key) =>
        (book.Sides(FromAccountId, ToAccountId, out var from, out var to) ?? LockedBook.Judge(from, to, Amount)) is { } refused
            ? refused
            : book.Post(key, Type, from, to, Amount, Reference, Metadata);

    internal override Recorded Record(Transaction result) => new(result);

    internal override Transaction? Replay(Recorded earlier) =>
        earlier is { Event: null, RequestHash: null, Transaction: { } made }
        && Type == made.Type
        && (FromAccountId ?? made.FromAccountId) == made.FromAccountId
        && (ToAccountId ?? made.ToAccountId) == made.ToAccountId
        && Amount == made.Amount
        && Reference == made.Reference
        && Data.Metadata.Same(Metadata, made.Metadata) ? made : null;
}
