namespace Banking.Data;

/// <summary>
/// Reserves money of a customer's account for a later payment: to another account, or to the settlement account if none is named.
/// The rules of that payment apply. Without a time it expires after 7 days.
/// </summary>
public sealed record PlaceHold(
    RequestId Id,
    byte[] RequestHash,
    long AccountId,
    long? ToAccountId,
    decimal Amount,
    DateTime? ExpiresAt = null,
    string? Reference = null,
    string? Metadata = null) : HoldRequest(Id, RequestHash)
{
    private static readonly TimeSpan DefaultDuration = TimeSpan.FromDays(7);

    public override string Operation => "hold";

    internal override void Collect(LockSet needs) => needs.Accounts(AccountId, ToAccountId);

    internal override Decision<Hold> Decide(LockedBook book)
    {
        var expiresAt = ExpiresAt ?? (book.Head.Now + DefaultDuration);
        if (expiresAt <= book.Head.Now || expiresAt > book.Head.Now.AddYears(1))
        {
            return new Refused(Refusal.ValidationFailed, "must be in the future, at most one year from now.", "expires_at");
        }

        return (book.Sides(AccountId, ToAccountId, out var account, out var to) ?? LockedBook.Judge(account, to, Amount)) is { } refused
            ? refused
            : book.Place(this, account, expiresAt);
    }
}
