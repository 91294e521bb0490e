namespace Banking.Data;

/// <summary>The kinds of posting, as the log and the API name them.</summary>
public static class PostingType
{
    public const string Deposit = "deposit";
    public const string Withdrawal = "withdrawal";
    public const string Transfer = "transfer";
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

    internal override void Collect(LockSet needs)
    {
        if (FromAccountId is { } from && ToAccountId is { } to)
        {
            needs.Account(from);
            needs.Account(to);
        }
        else
        {
            needs.AccountAndSettlement((FromAccountId ?? ToAccountId)!.Value);
        }
    }

    internal override Decision<Transaction> Decide(LockedBook book)
    {
        if (FromAccountId == ToAccountId)
        {
            return new Refused(Refusal.SameAccount, "from_account_id and to_account_id are the same. Choose two different accounts.");
        }

        // One side at least is a customer's: its currency names the settlement account that stands for a missing side.
        if (book.Customer((FromAccountId ?? ToAccountId)!.Value, out var one) is { } noOne)
        {
            return noOne;
        }

        if (book.Customer((ToAccountId ?? FromAccountId)!.Value, out var other) is { } noOther)
        {
            return noOther;
        }

        var from = FromAccountId is null ? book.Settlement(one.Currency) : one;
        var to = ToAccountId is null ? book.Settlement(one.Currency) : other;
        return LockedBook.Judge(from, to, Amount) is { } refused
            ? refused
            : book.Post(Id, Type, from, to, Amount, Reference, Metadata);
    }

    internal override Recorded Record(Transaction result) => new(result, Event: null);

    internal override Transaction? Replay(Recorded earlier) =>
        earlier is { Event: null, Transaction: { } made }
        && Type == made.Type
        && (FromAccountId ?? made.FromAccountId) == made.FromAccountId
        && (ToAccountId ?? made.ToAccountId) == made.ToAccountId
        && Amount == made.Amount
        && Reference == made.Reference
        && Data.Metadata.Same(Metadata, made.Metadata) ? made : null;
}
