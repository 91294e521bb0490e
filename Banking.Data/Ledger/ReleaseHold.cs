namespace Banking.Data;

/// <summary>Makes the rest of a pending hold available again. The account may be frozen.</summary>
public sealed record ReleaseHold(RequestId Id, byte[] RequestHash, Hold Hold, string? Reason) : HoldRequest(Id, RequestHash)
{
    public override string Operation => "release";

    internal override void Collect(LockSet needs)
    {
        needs.Account(Hold.AccountId);
        needs.Hold(Hold.HoldId);
    }

    internal override Decision<Hold> Decide(LockedBook book) => book.Pending(Hold.HoldId, out var hold) is { } refused
        ? refused
        : book.End(hold, HoldStatus.Released, AccountEventType.HoldReleased, Id, RequestHash, Reason);
}
