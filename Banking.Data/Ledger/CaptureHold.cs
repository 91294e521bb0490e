namespace Banking.Data;

/// <summary>
/// Pays a part of a hold, or all that is left of it, to the hold's payee. A final capture releases the rest. The hold's accounts
/// never change, so they are read before the lock.
/// </summary>
public sealed record CaptureHold(
    RequestId Id, byte[] RequestHash, Hold Hold, decimal? Amount, bool IsFinal) : LedgerRequest<Transaction>(Id)
{
    public override string Operation => "capture";

    internal override void Collect(LockSet needs)
    {
        needs.Accounts(Hold.AccountId, Hold.ToAccountId);
        needs.Hold(Hold.HoldId);
    }

    internal override Decision<Transaction> Decide(LockedBook book)
    {
        if (book.Pending(Hold.HoldId, out var hold) is { } over)
        {
            return over;
        }

        if (book.Sides(Hold.AccountId, Hold.ToAccountId, out var from, out var to) is { } refused)
        {
            return refused;
        }

        var amount = Amount ?? hold.Left;
        if (!from.Currency.Fits(amount))
        {
            return LockedBook.TooPrecise(from.Currency, "amount");
        }

        if (amount > hold.Left)
        {
            return new Refused(
                Refusal.CaptureAmountExceeded, $"Hold {Hold.HoldId} has {from.Currency.Format(hold.Left)} {from.Currency.Code} left. Capture at most that.");
        }

        if (LockedBook.Judge(from, to, amount, held: amount) is { } barred)
        {
            return barred;
        }

        var type = Hold.ToAccountId is null ? PostingType.Withdrawal : PostingType.Transfer;
        var capture = book.Post(new(Id, RequestHash: RequestHash), type, from, to, amount, Hold.Reference, Hold.Metadata, hold: hold);
        if (IsFinal && hold.Left > 0)
        {
            book.End(hold, HoldStatus.Captured, AccountEventType.HoldReleased, Id, RequestHash);
        }

        return capture;
    }

    internal override Recorded Record(Transaction result) => new(result, RequestHash: RequestHash);

    internal override Transaction? Replay(Recorded earlier) => earlier.IsOf(RequestHash) ? earlier.Transaction : null;
}
