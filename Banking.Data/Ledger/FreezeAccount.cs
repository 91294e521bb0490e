namespace Banking.Data;

/// <summary>Stops all postings of a customer's account, or only those that take money out of it.</summary>
public sealed record FreezeAccount(
    RequestId Id, byte[] RequestHash, long AccountId, bool DebitsOnly, string? Reason) : AccountRequest(Id, RequestHash, Reason)
{
    public override string Operation => "freeze";

    internal override void Collect(LockSet needs) => needs.WholeAccount(AccountId);

    internal override Decision<Account> Decide(LockedBook book)
    {
        if (book.Customer(AccountId, out var account) is { } refused)
        {
            return refused;
        }

        return (account.State.Status, DebitsOnly) switch
        {
            (AccountStatus.Closed, _) => LockedBook.Closed(AccountId),
            // A freeze of debits can be widened to all. Anything less strict needs an unfreeze.
            (AccountStatus.Frozen, _) or (AccountStatus.DebitsBlocked, true) =>
                new Refused(Refusal.AccountFrozen, $"Account {AccountId} is already frozen. To loosen the freeze, unfreeze the account first."),
            _ => book.Record(
                this, AccountEventType.Frozen, account, account.State with { Status = DebitsOnly ? AccountStatus.DebitsBlocked : AccountStatus.Frozen }),
        };
    }
}
