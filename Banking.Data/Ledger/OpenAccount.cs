namespace Banking.Data;

/// <summary>Opens a customer's account and, where the initial deposit is above zero, posts that too: both or neither.</summary>
public sealed record OpenAccount(
    RequestId Id,
    byte[] RequestHash,
    string OwnerName,
    Currency Currency,
    decimal InitialDeposit = 0,
    decimal OverdraftLimit = 0,
    string? Reference = null,
    string? Metadata = null) : AccountRequest(RequestHash: RequestHash, Id: Id, Reason: null)
{
    public override string Operation => "opening";

    internal override void Collect(LockSet needs)
    {
        if (InitialDeposit > 0)
        {
            needs.Account(Currency.SettlementAccountId);
        }
    }

    internal override Decision<Account> Decide(LockedBook book)
    {
        if (!Currency.Fits(OverdraftLimit))
        {
            return LockedBook.TooPrecise(Currency, "overdraft_limit");
        }

        var account = book.Open(this);
        if (InitialDeposit == 0)
        {
            return account.ToAccount();
        }

        var settlement = book.Settlement(Currency);
        if (LockedBook.Judge(settlement, account, InitialDeposit, "initial_deposit") is { } refused)
        {
            return refused;
        }

        book.Post(Id, PostingType.Deposit, settlement, account, InitialDeposit);
        return account.ToAccount();
    }
}
