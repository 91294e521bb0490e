namespace Banking.Data;

/// <summary>Closes a customer's account for ever. It must be active, empty and without holds.</summary>
public sealed record CloseAccount(RequestId Id, byte[] RequestHash, long AccountId, string? Reason) : AccountRequest(Id, RequestHash, Reason)
{
    public override string Operation => "closing";

    internal override void Collect(LockSet needs) => needs.WholeAccount(AccountId);

    internal override Decision<Account> Decide(LockedBook book)
    {
        if (book.Customer(AccountId, out var account) is { } refused)
        {
            return refused;
        }

        return account.State switch
        {
            { Status: AccountStatus.Closed } => LockedBook.Closed(AccountId),
            { Status: not AccountStatus.Active } => new Refused(Refusal.AccountFrozen, $"Account {AccountId} is frozen. Unfreeze it before you close it."),
            { Held: not 0 } => new Refused(Refusal.AccountHasHolds, $"Account {AccountId} has pending holds. Capture or release them before you close it."),
            { Balance: not 0 } => new Refused(Refusal.AccountNotEmpty, $"The balance of account {AccountId} is not zero. Bring it to zero before you close the account."),
            var state => book.Record(this, AccountEventType.Closed, account, state with { Status = AccountStatus.Closed }),
        };
    }
}
