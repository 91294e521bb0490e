namespace Banking.Data;

/// <summary>Lifts the freeze of a customer's account.</summary>
public sealed record UnfreezeAccount(RequestId Id, byte[] RequestHash, long AccountId, string? Reason) : AccountRequest(Id, RequestHash, Reason)
{
    public override string Operation => "unfreeze";

    internal override void Collect(LockSet needs) => needs.WholeAccount(AccountId);

    internal override Decision<Account> Decide(LockedBook book)
    {
        if (book.Customer(AccountId, out var account) is { } refused)
        {
            return refused;
        }

        return account.State.Status switch
        {
            AccountStatus.Closed => LockedBook.Closed(AccountId),
            AccountStatus.Active => new Refused(Refusal.AccountNotFrozen, $"Account {AccountId} is not frozen. There is no freeze to lift."),
            _ => book.Record(this, AccountEventType.Unfrozen, account, account.State with { Status = AccountStatus.Active }),
        };
    }
}
