using System.Globalization;
using Banking.Client;
using Banking.Client.Models;
using Microsoft.Kiota.Abstractions.Authentication;
using Microsoft.Kiota.Http.HttpClientLibrary;

var http = new HttpClient(new RetryHandler());
http.DefaultRequestHeaders.Authorization = new("Bearer", Environment.GetEnvironmentVariable("BANKING_TOKEN"));
var adapter = new HttpClientRequestAdapter(new AnonymousAuthenticationProvider(), httpClient: http)
{
    BaseUrl = Environment.GetEnvironmentVariable("BANKING_URL"),
};
var bank = new BankingClient(adapter).Api;

var account = await bank.Create_account.PostAsync(
    new() { OwnerName = "Ada Lovelace", Currency = "EUR", InitialDeposit = "100.00" },
    request => request.Headers.Add("Idempotency-Key", "account-17"));
var balance = decimal.Parse(account!.Balance!, CultureInfo.InvariantCulture);
Console.WriteLine($"balance {balance}");

var deposit = await bank.Deposit.PostAsync(
    new() { AccountId = account.AccountId, Amount = "10.50" },
    request => request.Headers.Add("Idempotency-Key", "deposit-4711"));
Console.WriteLine($"balance {deposit!.ToBalanceAfter}");

try
{
    await bank.Withdraw.PostAsync(
        new() { AccountId = account.AccountId, Amount = "1000.00" },
        request => request.Headers.Add("Idempotency-Key", "withdrawal-4712"));
}
catch (Problem problem) when (problem.Code == "insufficient_funds")
{
    Console.WriteLine($"refused: {problem.Code}");
}

string? cursor = null;
do
{
    var page = await bank.Transaction_history.GetAsync(request =>
    {
        request.QueryParameters.AccountId = account.AccountId;
        request.QueryParameters.Limit = 1;
        request.QueryParameters.Cursor = cursor;
    });
    foreach (var entry in page!.Transactions!)
    {
        Console.WriteLine($"{entry.Direction} {entry.Amount}");
    }

    cursor = page.NextCursor;
}
while (cursor is not null);

// The other calls, each once, so that a generator that trips over one of them is noticed.
var other = await bank.Create_account.PostAsync(
    new() { OwnerName = "Charles Babbage", Currency = "EUR", Reference = "customer-18", Metadata = new() { AdditionalData = { ["branch"] = "London" } } });
Console.WriteLine($"createAccount {other!.AccountId} {other.Reference} {other.Metadata!.AdditionalData["branch"]}");
var withdrawal = await bank.Withdraw.PostAsync(new() { AccountId = account.AccountId, Amount = "10.50" });
Console.WriteLine($"withdraw {withdrawal!.TransactionId} {withdrawal.FromBalanceAfter}");
var transfer = await bank.Transaction.PostAsync(
    new() { FromAccountId = account.AccountId, ToAccountId = other.AccountId, Amount = "100.00" },
    request => request.Headers.Add("Idempotency-Key", "invoice-4713"));
Console.WriteLine($"transaction {transfer!.TransactionId} {transfer.FromBalanceAfter} {transfer.ToBalanceAfter}");
var read = await bank.Get_one_transaction.GetAsync(request => request.QueryParameters.TransactionId = transfer.TransactionId);
Console.WriteLine($"getOneTransaction {read!.Type} {read.Amount} {read.Currency}");
var made = await bank.Get_one_request.GetAsync(request => request.QueryParameters.IdempotencyKey = "invoice-4713");
Console.WriteLine($"getOneRequest {made!.IdempotencyKey} {made.Transactions!.Single().TransactionId} {made.Accounts!.Count}");
var placed = await bank.Place_hold.PostAsync(
    new() { AccountId = other.AccountId, ToAccountId = account.AccountId, Amount = "30.00", ExpiresAt = DateTimeOffset.UtcNow.AddHours(36) });
Console.WriteLine($"placeHold {placed!.HoldId} {placed.Amount} {(placed.ExpiresAt - placed.CreatedAt)?.Days}");
var captured = await bank.Capture_hold.PostAsync(new() { HoldId = placed.HoldId, Amount = "12.50", Final = false });
Console.WriteLine($"captureHold {captured!.TransactionId} {captured.Amount}");
var hold = await bank.Get_one_hold.GetAsync(request => request.QueryParameters.HoldId = placed.HoldId);
Console.WriteLine($"getOneHold {hold!.Status} {hold.CapturedAmount}");
var pending = await bank.List_holds.GetAsync(request =>
{
    request.QueryParameters.AccountId = other.AccountId;
    request.QueryParameters.Status = ListHoldsStatus.Pending;
});
Console.WriteLine($"listHolds {pending!.Holds!.Single().HoldId}");
var released = await bank.Release_hold.PostAsync(new() { HoldId = placed.HoldId, Reason = "Order cancelled" });
Console.WriteLine($"releaseHold {released!.Status} {released.CapturedAmount}");
var reversal = await bank.Reverse_transaction.PostAsync(new() { TransactionId = captured.TransactionId });
Console.WriteLine($"reverseTransaction {reversal!.ReversesTransactionId} {reversal.Amount}");
var tried = await bank.Batch.PostAsync(new()
{
    Mode = BatchRequest_mode.Independent,
    DryRun = true,
    Postings =
    [
        new() { Type = BatchPosting_type.Deposit, AccountId = account.AccountId, Amount = "25.00" },
        new() { Type = BatchPosting_type.Withdrawal, AccountId = account.AccountId, Amount = "1000.00" },
    ],
});
Console.WriteLine($"batch dry run: {string.Join(", ", tried!.Results!.Select(result => result.Transaction?.Amount ?? result.Problem?.Code))}");
var batch = await bank.Batch.PostAsync(new()
{
    Mode = BatchRequest_mode.Atomic,
    Postings =
    [
        new() { Type = BatchPosting_type.Deposit, AccountId = account.AccountId, Amount = "25.00" },
        new() { Type = BatchPosting_type.Transfer, FromAccountId = account.AccountId, ToAccountId = other.AccountId, Amount = "25.00" },
    ],
});
Console.WriteLine($"batch {batch!.Transactions!.Last().ToBalanceAfter}");
var changed = await bank.Change_account.PostAsync(new() { AccountId = other.AccountId, OverdraftLimit = "50.00", Reason = "Agreed" });
Console.WriteLine($"changeAccount {changed!.OverdraftLimit} {changed.Available}");
var frozen = await bank.Freeze_account.PostAsync(new() { AccountId = other.AccountId, Blocks = FreezeAccountRequest_blocks.Debits, Reason = "Court order" });
Console.WriteLine($"freezeAccount {frozen!.Status}");
var list = await bank.List_accounts.GetAsync(request => request.QueryParameters.Status = ListAccountsStatus.Debits_blocked);
Console.WriteLine($"listAccounts {list!.Accounts!.Single().AccountId}");
var unfrozen = await bank.Unfreeze_account.PostAsync(new() { AccountId = other.AccountId, Reason = "Order lifted" });
Console.WriteLine($"unfreezeAccount {unfrozen!.Status}");
var events = await bank.Account_events.GetAsync(request => request.QueryParameters.AccountId = other.AccountId);
Console.WriteLine($"accountEvents {string.Join(' ', events!.Events!.Select(happened => happened.Type))}");
var paid = await bank.Transaction_history.GetAsync(request =>
{
    request.QueryParameters.AccountId = account.AccountId;
    request.QueryParameters.From = account.CreatedAt;
    request.QueryParameters.Type = TransactionHistoryType.Transfer;
    request.QueryParameters.Direction = TransactionHistoryDirection.Debit;
});
Console.WriteLine($"transactionHistory {string.Join(' ', paid!.Transactions!.Select(entry => entry.Amount))}");
var past = await bank.Balance_at.GetAsync(request =>
{
    request.QueryParameters.AccountId = account.AccountId;
    request.QueryParameters.At = transfer.CreatedAt;
});
Console.WriteLine($"balanceAt {past!.Balance} {past.TransactionId}");
var statement = await bank.Statement.GetAsync(request =>
{
    request.QueryParameters.AccountId = account.AccountId;
    request.QueryParameters.From = account.CreatedAt;
    request.QueryParameters.To = transfer.CreatedAt;
});
Console.WriteLine($"statement {statement!.Entries!.Count} {statement.Totals!.Credits!.Amount} {statement.ClosingBalance}");
var happenings = await bank.Events.GetAsync(request =>
{
    request.QueryParameters.After = "0-1";
    request.QueryParameters.Limit = 2;
    request.QueryParameters.Wait = 1;
});
Console.WriteLine($"events {string.Join(' ', happenings!.Select(happened => happened.Id))} {happenings![0].Data!.Transaction!.Amount}");
var closed = await bank.Close_account.PostAsync(new() { AccountId = account.AccountId, Reason = "Customer left" });
Console.WriteLine($"closeAccount {closed!.Status}");
var shown = await bank.Get_one_account.GetAsync(request => request.QueryParameters.AccountId = account.AccountId);
Console.WriteLine($"getOneAccount {shown!.Status} {shown.Balance}");
var head = await bank.Audit_head.GetAsync();
Console.WriteLine($"auditHead {head!.TransactionId} {head.Hash!.Length}");
