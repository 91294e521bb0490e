using System.Globalization;
using Banking.Client;

var http = new HttpClient(new RetryHandler()) { BaseAddress = new(Environment.GetEnvironmentVariable("BANKING_URL")!) };
http.DefaultRequestHeaders.Authorization = new("Bearer", Environment.GetEnvironmentVariable("BANKING_TOKEN"));
var bank = new BankingClient(http);

var account = await bank.CreateAccountAsync(
    new() { Owner_name = "Ada Lovelace", Currency = "EUR", Initial_deposit = "100.00" }, idempotency_Key: "account-17");
var balance = decimal.Parse(account.Balance, CultureInfo.InvariantCulture);
Console.WriteLine($"balance {balance}");

var deposit = await bank.DepositAsync(new() { Account_id = account.Account_id, Amount = "10.50" }, idempotency_Key: "deposit-4711");
Console.WriteLine($"balance {deposit.To_balance_after}");

try
{
    await bank.WithdrawAsync(new() { Account_id = account.Account_id, Amount = "1000.00" }, idempotency_Key: "withdrawal-4712");
}
catch (ApiException<Problem> refused) when (refused.Result.Code == "insufficient_funds")
{
    Console.WriteLine($"refused: {refused.Result.Code}");
}

string? cursor = null;
do
{
    var page = await bank.TransactionHistoryAsync(account.Account_id, limit: 1, cursor);
    foreach (var entry in page.Transactions)
    {
        Console.WriteLine($"{entry.Direction} {entry.Amount}");
    }

    cursor = page.Next_cursor;
}
while (cursor is not null);

// The other calls, each once, so that a generator that trips over one of them is noticed.
var other = await bank.CreateAccountAsync(
    new() { Owner_name = "Charles Babbage", Currency = "EUR", Reference = "customer-18", Metadata = new() { ["branch"] = "London" } });
Console.WriteLine($"createAccount {other.Account_id} {other.Reference} {other.Metadata!["branch"]}");
var withdrawal = await bank.WithdrawAsync(new() { Account_id = account.Account_id, Amount = "10.50" });
Console.WriteLine($"withdraw {withdrawal.Transaction_id} {withdrawal.From_balance_after}");
var transfer = await bank.TransactionAsync(
    new() { From_account_id = account.Account_id, To_account_id = other.Account_id, Amount = "100.00" }, idempotency_Key: "invoice-4713");
Console.WriteLine($"transaction {transfer.Transaction_id} {transfer.From_balance_after} {transfer.To_balance_after}");
var read = await bank.GetOneTransactionAsync(transfer.Transaction_id);
Console.WriteLine($"getOneTransaction {read.Type} {read.Amount} {read.Currency}");
var made = await bank.GetOneRequestAsync("invoice-4713");
Console.WriteLine($"getOneRequest {made.Idempotency_key} {made.Transactions.Single().Transaction_id} {made.Accounts.Count}");
var placed = await bank.PlaceHoldAsync(
    new() { Account_id = other.Account_id, To_account_id = account.Account_id, Amount = "30.00", Expires_at = DateTimeOffset.UtcNow.AddHours(36) });
Console.WriteLine($"placeHold {placed.Hold_id} {placed.Amount} {(placed.Expires_at - placed.Created_at).Days}");
var captured = await bank.CaptureHoldAsync(new() { Hold_id = placed.Hold_id, Amount = "12.50", Final = false });
Console.WriteLine($"captureHold {captured.Transaction_id} {captured.Amount}");
var hold = await bank.GetOneHoldAsync(placed.Hold_id);
Console.WriteLine($"getOneHold {hold.Status} {hold.Captured_amount}");
var pending = await bank.ListHoldsAsync(other.Account_id, ListHoldsStatus.Pending);
Console.WriteLine($"listHolds {pending.Holds.Single().Hold_id}");
var released = await bank.ReleaseHoldAsync(new() { Hold_id = placed.Hold_id, Reason = "Order cancelled" });
Console.WriteLine($"releaseHold {released.Status} {released.Captured_amount}");
var reversal = await bank.ReverseTransactionAsync(new() { Transaction_id = captured.Transaction_id });
Console.WriteLine($"reverseTransaction {reversal.Reverses_transaction_id} {reversal.Amount}");
var tried = await bank.BatchAsync(new()
{
    Mode = BatchRequestMode.Independent,
    Dry_run = true,
    Postings =
    [
        new() { Type = BatchPostingType.Deposit, Account_id = account.Account_id, Amount = "25.00" },
        new() { Type = BatchPostingType.Withdrawal, Account_id = account.Account_id, Amount = "1000.00" },
    ],
});
Console.WriteLine($"batch dry run: {string.Join(", ", tried.Results!.Select(result => result.Transaction?.Amount ?? result.Problem?.Code))}");
var batch = await bank.BatchAsync(new()
{
    Mode = BatchRequestMode.Atomic,
    Postings =
    [
        new() { Type = BatchPostingType.Deposit, Account_id = account.Account_id, Amount = "25.00" },
        new() { Type = BatchPostingType.Transfer, From_account_id = account.Account_id, To_account_id = other.Account_id, Amount = "25.00" },
    ],
});
Console.WriteLine($"batch {batch.Transactions!.Last().To_balance_after}");
var changed = await bank.ChangeAccountAsync(new() { Account_id = other.Account_id, Overdraft_limit = "50.00", Reason = "Agreed" });
Console.WriteLine($"changeAccount {changed.Overdraft_limit} {changed.Available}");
var frozen = await bank.FreezeAccountAsync(new() { Account_id = other.Account_id, Blocks = FreezeAccountRequestBlocks.Debits, Reason = "Court order" });
Console.WriteLine($"freezeAccount {frozen.Status}");
var list = await bank.ListAccountsAsync(status: ListAccountsStatus.Debits_blocked);
Console.WriteLine($"listAccounts {list.Accounts.Single().Account_id}");
var unfrozen = await bank.UnfreezeAccountAsync(new() { Account_id = other.Account_id, Reason = "Order lifted" });
Console.WriteLine($"unfreezeAccount {unfrozen.Status}");
var events = await bank.AccountEventsAsync(other.Account_id);
Console.WriteLine($"accountEvents {string.Join(' ', events.Events.Select(happened => happened.Type))}");
var paid = await bank.TransactionHistoryAsync(
    account.Account_id, from: account.Created_at, type: TransactionHistoryType.Transfer, direction: TransactionHistoryDirection.Debit);
Console.WriteLine($"transactionHistory {string.Join(' ', paid.Transactions.Select(entry => entry.Amount))}");
var past = await bank.BalanceAtAsync(account.Account_id, at: transfer.Created_at);
Console.WriteLine($"balanceAt {past.Balance} {past.Transaction_id}");
var statement = await bank.StatementAsync(account.Account_id, from: account.Created_at, to: transfer.Created_at);
Console.WriteLine($"statement {statement.Entries.Count} {statement.Totals.Credits.Amount} {statement.Closing_balance}");
var happenings = await bank.EventsAsync(after: "0-1", limit: 2, wait: 1);
Console.WriteLine($"events {string.Join(' ', happenings.Select(happened => happened.Id))} {happenings.First().Data.Transaction!.Amount}");
var closed = await bank.CloseAccountAsync(new() { Account_id = account.Account_id, Reason = "Customer left" });
Console.WriteLine($"closeAccount {closed.Status}");
var shown = await bank.GetOneAccountAsync(account.Account_id);
Console.WriteLine($"getOneAccount {shown.Status} {shown.Balance}");
var head = await bank.AuditHeadAsync();
Console.WriteLine($"auditHead {head.Transaction_id} {head.Hash.Length}");
