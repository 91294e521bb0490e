namespace Banking.Data;

/// <summary>Makes free what is left of a pending hold, whatever the status of its account.</summary>
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
