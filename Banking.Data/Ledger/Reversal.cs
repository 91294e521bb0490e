namespace Banking.Data;

/// <summary>
/// Gives back a transaction's money, in whole or in part: from the account that received it to the account that paid. The original
/// never changes, so it is read before the lock.
/// </summary>
public sealed record Reversal(
    RequestId Id, byte[] RequestHash, Transaction Original, decimal? Amount, string? Reference = null, string? Metadata = null) : LedgerRequest<Transaction>(Id)
{
    public override string Operation => PostingType.Reversal;

    internal override void Collect(LockSet needs)
    {
        needs.Account(Original.FromAccountId);
        needs.Account(Original.ToAccountId);
        needs.Original(Original.TransactionId);
    }

    internal override Decision<Transaction> Decide(LockedBook book)
    {
        if (Original.Type == PostingType.Reversal)
        {
            return new Refused(Refusal.NotReversible, $"Transaction {Original.TransactionId} is a reversal. Post a new transaction instead.");
        }

        var left = Original.Amount - book.ReversedOf(Original.TransactionId);
        if (left == 0)
        {
            return new Refused(Refusal.AlreadyReversed, $"Transaction {Original.TransactionId} is already reversed in full. Nothing is left to reverse.");
        }

        var (from, to, amount) = (book.AccountOf(Original.ToAccountId), book.AccountOf(Original.FromAccountId), Amount ?? left);
        if (!from.Currency.Fits(amount))
        {
            return LockedBook.TooPrecise(from.Currency, "amount");
        }

        if (amount > left)
        {
            return new Refused(
                Refusal.ReversalAmountExceeded,
                $"Transaction {Original.TransactionId} has {from.Currency.Format(left)} {from.Currency.Code} left to reverse. Reverse at most that.");
        }

        return LockedBook.Judge(from, to, amount) is { } refused
            ? refused
            : book.Post(new(Id, RequestHash: RequestHash), PostingType.Reversal, from, to, amount, Reference, Metadata, reverses: Original.TransactionId);
    }

    internal override Recorded Record(Transaction result) => new(result, RequestHash: RequestHash);

    internal override Transaction? Replay(Recorded earlier) => earlier.IsOf(RequestHash) ? earlier.Transaction : null;
}
