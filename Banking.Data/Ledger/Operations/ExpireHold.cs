namespace Banking.Data;

/// <summary>Has a due hold expired. The book does that itself when it locks a due hold, so naming the hold is all there is to do.</summary>
internal sealed record ExpireHold(long HoldId, long AccountId) : LedgerRequest<LockedHold>(RequestId.Of(RequestId.Service, idempotencyKey: null))
{
    public override string Operation => "expiry";

    internal override void Collect(LockSet needs)
    {
        needs.Account(AccountId);
        needs.Hold(HoldId);
    }

    internal override Decision<LockedHold> Decide(LockedBook book) => book.HoldOf(HoldId);

    internal override Recorded? Record(LockedHold result) => null;

    internal override LockedHold? Replay(Recorded earlier) => null;
}
