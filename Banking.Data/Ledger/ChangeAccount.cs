namespace Banking.Data;

/// <summary>Corrects the owner's name of a customer's account, or sets its overdraft limit. A null leaves what is there.</summary>
public sealed record ChangeAccount(
    RequestId Id, byte[] RequestHash, long AccountId, string? OwnerName, decimal? OverdraftLimit, string? Reason) : AccountRequest(Id, RequestHash, Reason)
{
    public override string Operation => "change";

    internal override void Collect(LockSet needs) => needs.WholeAccount(AccountId);

    internal override Decision<Account> Decide(LockedBook book)
    {
        if (book.Customer(AccountId, out var account) is { } refused)
        {
            return refused;
        }

        var limit = OverdraftLimit ?? account.State.OverdraftLimit;
        if (OverdraftLimit is not null)
        {
            // The owner's name of a closed account can still be corrected or erased.
            if (account.State.Status == AccountStatus.Closed)
            {
                return LockedBook.Closed(AccountId);
            }

            if (!account.Currency.Fits(limit))
            {
                return LockedBook.TooPrecise(account.Currency, "overdraft_limit");
            }

            if (account.State.Balance - account.State.Held < -limit)
            {
                return new Refused(Refusal.LimitBelowUse, $"Account {AccountId} already uses more overdraft than the new limit allows. Choose a higher limit, or pay money in first.");
            }
        }

        return book.Record(this, AccountEventType.Changed, account, account.State with
        {
            OwnerName = OwnerName ?? account.State.OwnerName,
            OverdraftLimit = limit,
        });
    }
}
