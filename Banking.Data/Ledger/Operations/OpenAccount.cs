namespace Banking.Data;

/// <summary>A new account, and the posting of its initial deposit, if it had one.</summary>
public sealed record OpenedAccount(Account Account, Transaction? Deposit)
{
    /// <summary>The account as its opening left it. The deposit comes after the opening's event, under the same key.</summary>
    internal static Account AfterDeposit(Account opened, Transaction? deposit) =>
        deposit is null ? opened : opened with { Balance = opened.Balance + deposit.Amount };
}

/// <summary>Opens a customer's account and, where the initial deposit is above zero, posts that too: both or neither.</summary>
public sealed record OpenAccount(
    RequestId Id,
    byte[] RequestHash,
    string OwnerName,
    Currency Currency,
    decimal InitialDeposit = 0,
    decimal OverdraftLimit = 0,
    string? Reference = null,
    string? Metadata = null) : LedgerRequest<OpenedAccount>(Id)
{
    public override string Operation => "opening";

    internal override void Collect(LockSet needs)
    {
        if (InitialDeposit > 0)
        {
            needs.Account(Currency.SettlementAccountId);
        }
    }

    internal override Decision<OpenedAccount> Decide(LockedBook book)
    {
        if (!Currency.Fits(OverdraftLimit))
        {
            return LockedBook.TooPrecise(Currency, "overdraft_limit");
        }

        var account = book.Open(this);
        if (InitialDeposit == 0)
        {
            return new OpenedAccount(account.ToAccount(), Deposit: null);
        }

        var settlement = book.Settlement(Currency);
        if (LockedBook.Judge(settlement, account, InitialDeposit, "initial_deposit") is { } refused)
        {
            return refused;
        }

        var deposit = book.Post(Id, PostingType.Deposit, settlement, account, InitialDeposit);
        return new OpenedAccount(account.ToAccount(), deposit);
    }

    internal override Recorded Record(OpenedAccount result) => new(result.Deposit, new(RequestHash, result.Account));

    internal override OpenedAccount? Replay(Recorded earlier) =>
        earlier.Event is { Account: { } account } opened && opened.IsOf(RequestHash) ? new(account, earlier.Transaction) : null;
}
