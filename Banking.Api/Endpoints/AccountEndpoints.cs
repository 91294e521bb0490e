using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>An account to open. The currency is an ISO 4217 code; the amounts are in it.</summary>
[Example("""
    {"owner_name":"Ada Lovelace","currency":"EUR","initial_deposit":"100.00","overdraft_limit":"0"}
    """)]
public sealed record CreateAccountRequest(
    [property: Needed, Text(1, 200, NotBlank = true), Description("The name of the account's owner.")] string? OwnerName,
    [property: CurrencyCode, Description("The account's currency, a code of ISO 4217; left out, the service's default currency.")] string? Currency = null,
    [property: JsonConverter(typeof(MoneyConverter)), Description("Money to pay in at once; left out, nothing.")] decimal? InitialDeposit = null,
    [property: JsonConverter(typeof(MoneyConverter)), Description("How far below zero the balance may fall; left out, 0.")] decimal? OverdraftLimit = null,
    [property: Text(0, 140), Description("The client's own name for the account, such as a customer number.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>An account. Amounts are decimal strings with the currency's own digits; available is balance - held + overdraft_limit.</summary>
[Example("""
    {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public sealed record AccountResponse(
    [property: Description("The account's id. Below 1000 it is a settlement account: the numeric code of its currency.")] long AccountId,
    [property: Description("The name of the account's owner, as it is now.")] string OwnerName,
    [property: Description("The account's currency, a code of ISO 4217.")] string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
        Description("Which postings the account takes: all, only credits, or none.")] string Status,
    [property: RegularExpression(Money.AnswerPattern), Description("The money on the account, in its currency.")] string Balance,
    [property: RegularExpression(Money.AnswerPattern), Description("The part of the balance that pending holds reserve.")] string Held,
    [property: RegularExpression(Money.AnswerPattern), Description("What can be paid out: balance - held + overdraft_limit.")] string Available,
    [property: RegularExpression(Money.AnswerPattern), Description("How far below zero the balance may fall.")] string OverdraftLimit,
    [property: Description("The client's own name for the account; null where it gave none.")] string? Reference,
    [property: Description("The client's own notes, as given; null where there are none.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When the account was opened, in UTC, to the microsecond.")] DateTime CreatedAt)
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

/// <summary>The account that was opened, as <see cref="AccountResponse"/> shows it, and the transaction of its initial deposit: null without one.</summary>
[Example("""
    {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","transaction_id":41}
    """)]
public sealed record CreateAccountResponse(
    [property: Description("The account's id. Below 1000 it is a settlement account: the numeric code of its currency.")] long AccountId,
    [property: Description("The name of the account's owner, as it is now.")] string OwnerName,
    [property: Description("The account's currency, a code of ISO 4217.")] string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
        Description("Which postings the account takes: all, only credits, or none.")] string Status,
    [property: RegularExpression(Money.AnswerPattern), Description("The money on the account, in its currency.")] string Balance,
    [property: RegularExpression(Money.AnswerPattern), Description("The part of the balance that pending holds reserve.")] string Held,
    [property: RegularExpression(Money.AnswerPattern), Description("What can be paid out: balance - held + overdraft_limit.")] string Available,
    [property: RegularExpression(Money.AnswerPattern), Description("How far below zero the balance may fall.")] string OverdraftLimit,
    [property: Description("The client's own name for the account; null where it gave none.")] string? Reference,
    [property: Description("The client's own notes, as given; null where there are none.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When the account was opened, in UTC, to the microsecond.")] DateTime CreatedAt,
    [property: Description("The transaction of the initial deposit; null without one.")] long? TransactionId)
{
    public static async ValueTask<CreateAccountResponse> FromAsync(OpenedAccount opened, Currencies currencies)
    {
        var account = await AccountResponse.FromAsync(opened.Account, currencies);
        return new(
            account.AccountId, account.OwnerName, account.Currency, account.Status, account.Balance, account.Held, account.Available,
            account.OverdraftLimit, account.Reference, account.Metadata, account.CreatedAt, opened.Deposit?.TransactionId);
    }
}

/// <summary>A page of accounts by id. The next cursor asks for the page after it; null on the last one.</summary>
[Example("""
    {"accounts":[{"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"1000"}
    """)]
public sealed record AccountListResponse(
    [property: Description("The accounts of this page, by id.")] IReadOnlyList<AccountResponse> Accounts,
    [property: Description("Asks for the next page; null on the last.")] string? NextCursor)
{
    public static async ValueTask<AccountListResponse> FromAsync(AccountPage page, Currencies currencies)
    {
        var accounts = new List<AccountResponse>(page.Accounts.Count);
        foreach (var account in page.Accounts)
        {
            accounts.Add(await AccountResponse.FromAsync(account, currencies));
        }

        return new(accounts, page.Next?.ToString(CultureInfo.InvariantCulture));
    }
}

/// <summary>Opens accounts and shows them.</summary>
internal static class AccountEndpoints
{
    public static void MapAccounts(this IEndpointRouteBuilder api)
    {
        api.MapPost("/create_account", CreateAccount)
            .WithName("create_account")
            .WithTags("Accounts")
            .WithSummary("Open an account")
            .WithDescription("An initial deposit is posted in the same transaction: both or neither.")
            .Needs(Scope.AccountsWrite)
            .AnswersOfLedger<CreateAccountResponse>(201, Refusal.AmountPrecision, Refusal.BalanceLimitExceeded);
        api.MapGet("/get_one_account", GetOneAccount)
            .WithName("get_one_account")
            .WithTags("Accounts")
            .WithSummary("Show an account")
            .WithDescription("With its balance at this moment.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);
        api.MapGet("/list_accounts", ListAccounts)
            .WithName("list_accounts")
            .WithTags("Accounts")
            .WithSummary("List customers' accounts")
            .WithDescription(
                "By id; page by page, with next_cursor. A page with a filter may hold fewer accounts than limit, or none, while next_cursor is set.")
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
            : Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");

    private static async Task<IResult> ListAccounts(
        [FromQuery(Name = "limit"), Limit, Description("Accounts in a page, at most."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before; left out, the first page."), Example("\"1000\"")] string? cursor,
        [FromQuery(Name = "currency"), CurrencyCode, Description("Only accounts in this currency, a code of ISO 4217."), Example("\"EUR\"")] string? currency,
        [FromQuery(Name = "status"), OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
            Description("Only accounts with this status."), Example("\"active\"")] string? status,
        [FromQuery(Name = "reference"), Text(1, 140), Description("Only accounts with exactly this reference."), Example("\"customer-17\"")] string? reference,
        AccountList accounts,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var page = await accounts.PageAsync(
            new(currency, status, reference), limit ?? LimitAttribute.Default, CursorAttribute.Parse(cursor) ?? AccountList.Start, cancellationToken);
        return TypedResults.Ok(await AccountListResponse.FromAsync(page, currencies));
    }
}
