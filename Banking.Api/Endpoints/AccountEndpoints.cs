using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>An account to open. Its amounts are in its currency.</summary>
[Example("""
    {"owner_name":"Ada Lovelace","currency":"EUR","initial_deposit":"100.00","overdraft_limit":"0"}
    """)]
public sealed record CreateAccountRequest(
    [property: Needed, Text(1, 200, NotBlank = true), Description("The name of the account's owner.")] string? OwnerName,
    [property: CurrencyCode, Description("The account's currency as an ISO 4217 code. Default: the service's default currency.")] string? Currency = null,
    [property: JsonConverter(typeof(MoneyConverter)), Description("Money to pay in when the account is opened. Default: 0.")] decimal? InitialDeposit = null,
    [property: JsonConverter(typeof(MoneyConverter)), Description("How far below zero the balance may fall. Default: 0.")] decimal? OverdraftLimit = null,
    [property: Text(0, 140), Description("Your own reference for the account, such as a customer number.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>An account. Its amounts are strings with the decimals of its currency.</summary>
[Example("""
    {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public record AccountResponse(
    [property: Description("The account's id. Ids below 1000 are settlement accounts: the id is the numeric code of the currency.")] long AccountId,
    [property: Description("The current name of the account's owner.")] string OwnerName,
    [property: Description("The account's currency as an ISO 4217 code.")] string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
        Description("Which postings the account accepts. `active`: all. `debits_blocked`: only credits. `frozen` and `closed`: none.")] string Status,
    [property: RegularExpression(Money.AnswerPattern), Description("The money in the account.")] string Balance,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that pending holds reserve.")] string Held,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that can be paid out: balance - held + overdraft_limit.")] string Available,
    [property: RegularExpression(Money.AnswerPattern), Description("How far below zero the balance may fall.")] string OverdraftLimit,
    [property: Description("Your own reference for the account, or null.")] string? Reference,
    [property: Description("Your own notes, unchanged, or null.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When the account was opened, in UTC.")] DateTime CreatedAt)
{
    public static async ValueTask<AccountResponse> FromAsync(Account account, Currencies currencies)
    {
        var currency = await currencies.OfAsync(account.Currency);
        return new(
            account.AccountId, account.OwnerName, account.Currency, account.Status,
            Money.Format(account.Balance, currency), Money.Format(account.Held, currency), Money.Format(account.Available, currency),
            Money.Format(account.OverdraftLimit, currency), account.Reference, Data.Metadata.Read(account.Metadata), account.CreatedAt);
    }
}

/// <summary>The new account, and the transaction of its initial deposit.</summary>
[Example("""
    {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","transaction_id":41}
    """)]
public sealed record CreateAccountResponse(
    long AccountId, string OwnerName, string Currency, string Status, string Balance, string Held, string Available, string OverdraftLimit,
    string? Reference, IReadOnlyDictionary<string, string>? Metadata, DateTime CreatedAt,
    [property: JsonPropertyOrder(1), Description("The transaction of the initial deposit, or null without one.")] long? TransactionId)
    : AccountResponse(AccountId, OwnerName, Currency, Status, Balance, Held, Available, OverdraftLimit, Reference, Metadata, CreatedAt)
{
    public static async ValueTask<CreateAccountResponse> FromAsync(OpenedAccount opened, Currencies currencies)
    {
        var account = await FromAsync(opened.Account, currencies);
        return new(
            account.AccountId, account.OwnerName, account.Currency, account.Status, account.Balance, account.Held, account.Available,
            account.OverdraftLimit, account.Reference, account.Metadata, account.CreatedAt, opened.Deposit?.TransactionId);
    }
}

/// <summary>A page of accounts, ordered by id.</summary>
[Example("""
    {"accounts":[{"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"1000-5f3c9a01"}
    """)]
public sealed record AccountListResponse(
    [property: Description("The accounts of this page, ordered by id.")] IReadOnlyList<AccountResponse> Accounts,
    [property: Description("Send it as cursor to get the next page. Null on the last page.")] string? NextCursor)
{
    internal static async ValueTask<AccountListResponse> FromAsync(AccountPage page, PagedList list, Currencies currencies)
    {
        var accounts = new List<AccountResponse>(page.Accounts.Count);
        foreach (var account in page.Accounts)
        {
            accounts.Add(await AccountResponse.FromAsync(account, currencies));
        }

        return new(accounts, list.CursorAfter(page.Next));
    }
}

/// <summary>Opens, shows and lists accounts.</summary>
internal static class AccountEndpoints
{
    public static void MapAccounts(this IEndpointRouteBuilder api)
    {
        api.MapPost("/create_account", CreateAccount)
            .WithName("create_account")
            .WithTags("Accounts")
            .WithSummary("Open an account")
            .WithDescription("Opens a customer's account. An initial deposit is posted in the same database transaction: both happen, or neither.")
            .Needs(Scope.AccountsWrite)
            .AnswersOfLedger<CreateAccountResponse>(201, Refusal.AmountPrecision, Refusal.BalanceLimitExceeded);
        api.MapGet("/get_one_account", GetOneAccount)
            .WithName("get_one_account")
            .WithTags("Accounts")
            .WithSummary("Show an account")
            .WithDescription("Shows an account with its current balance.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);
        api.MapGet("/list_accounts", ListAccounts)
            .WithName("list_accounts")
            .WithTags("Accounts")
            .WithSummary("List customers' accounts")
            .WithDescription(
                "Lists accounts by id, in pages. A filtered page may have fewer accounts than limit, or none, although more follow. Read on until next_cursor is null.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountListResponse>(200, Refusal.Overloaded);
    }

    private static async Task<IResult> CreateAccount(
        CreateAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        ServiceOptions options,
        HttpContext context)
    {
        if (await currencies.FindAsync(request.Currency ?? options.DefaultCurrency) is not { } currency)
        {
            return Problem.Invalid("currency", "must be the ISO 4217 code of a currency in use, such as EUR.");
        }

        var decision = await ledger.SubmitAsync(new OpenAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("create_account", request), request.OwnerName!, currency,
            request.InitialDeposit ?? 0, request.OverdraftLimit ?? 0, request.Reference, Metadata.Write(request.Metadata)));
        return await decision.ToAnswerAsync(
            context, opened => CreateAccountResponse.FromAsync(opened, currencies),
            opened => $"/api/get_one_account?account_id={opened.Account.AccountId}");
    }

    private static async Task<IResult> GetOneAccount(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        Accounts accounts,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await accounts.GetAsync(accountId!.Value, cancellationToken) is { } account
            ? TypedResults.Ok(await AccountResponse.FromAsync(account, currencies))
            : Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");

    private static async Task<IResult> ListAccounts(
        [FromQuery(Name = "limit"), Limit, Description("The largest number of accounts in a page."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the previous page. Leave it out for the first page."), Example("\"1000-5f3c9a01\"")] string? cursor,
        [FromQuery(Name = "currency"), CurrencyCode, Description("Only accounts in this currency (ISO 4217 code)."), Example("\"EUR\"")] string? currency,
        [FromQuery(Name = "status"), OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
            Description("Only accounts with this status."), Example("\"active\"")] string? status,
        [FromQuery(Name = "reference"), Text(1, 140), Description("Only accounts with exactly this reference."), Example("\"customer-17\"")] string? reference,
        AccountList accounts,
        AuditHeads heads,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var list = new PagedList("list_accounts", currency, status, reference);
        if (await list.StartAsync(cursor, AccountList.Start, heads, head => head.AccountId, cancellationToken) is not { } after)
        {
            return PagedList.NotItsCursor;
        }

        var page = await accounts.PageAsync(new(currency, status, reference), limit ?? LimitAttribute.Default, after, cancellationToken);
        return TypedResults.Ok(await AccountListResponse.FromAsync(page, list, currencies));
    }
}
