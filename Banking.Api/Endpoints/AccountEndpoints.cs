using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>An account to open. The currency is an ISO 4217 code; the amounts are in it.</summary>
public sealed record CreateAccountRequest(
    [property: Needed, Text(1, 200)] string? OwnerName,
    [property: Description("ISO 4217; the service's default currency where it is left out.")] string? Currency = null,
    [property: JsonConverter(typeof(MoneyConverter))] decimal? InitialDeposit = null,
    [property: JsonConverter(typeof(MoneyConverter))] decimal? OverdraftLimit = null,
    [property: Text(0, 140)] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>An account. Amounts are decimal strings with the currency's own digits; available is balance - held + overdraft_limit.</summary>
public sealed record AccountResponse(
    long AccountId,
    string OwnerName,
    string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed)] string Status,
    [property: RegularExpression(Money.AnswerPattern)] string Balance,
    [property: RegularExpression(Money.AnswerPattern)] string Held,
    [property: RegularExpression(Money.AnswerPattern)] string Available,
    [property: RegularExpression(Money.AnswerPattern)] string OverdraftLimit,
    string? Reference,
    IReadOnlyDictionary<string, string>? Metadata,
    DateTime CreatedAt)
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
public sealed record CreateAccountResponse(
    long AccountId,
    string OwnerName,
    string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed)] string Status,
    [property: RegularExpression(Money.AnswerPattern)] string Balance,
    [property: RegularExpression(Money.AnswerPattern)] string Held,
    [property: RegularExpression(Money.AnswerPattern)] string Available,
    [property: RegularExpression(Money.AnswerPattern)] string OverdraftLimit,
    string? Reference,
    IReadOnlyDictionary<string, string>? Metadata,
    DateTime CreatedAt,
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
public sealed record AccountListResponse(IReadOnlyList<AccountResponse> Accounts, string? NextCursor)
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
            return Problem.Invalid("currency", "must be the code of a currency in use of ISO 4217, such as EUR.");
        }

        var decision = await ledger.SubmitAsync(new OpenAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("create_account", request), request.OwnerName!, currency,
            request.InitialDeposit ?? 0, request.OverdraftLimit ?? 0, request.Reference, Metadata.Write(request.Metadata)));
        return await decision.ToAnswerAsync(
            context, opened => CreateAccountResponse.FromAsync(opened, currencies),
            opened => $"/api/get_one_account?account_id={opened.Account.AccountId}");
    }

    private static async Task<IResult> GetOneAccount(
        [FromQuery(Name = "account_id"), Needed, Id] long? accountId,
        Accounts accounts,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await accounts.GetAsync(accountId!.Value, cancellationToken) is { } account
            ? TypedResults.Ok(await AccountResponse.FromAsync(account, currencies))
            : Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");

    private static async Task<IResult> ListAccounts(
        [FromQuery(Name = "limit"), Limit, Description("Accounts a page; 50 where it is left out.")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before.")] string? cursor,
        [FromQuery(Name = "currency"), CurrencyCode, Description("Only accounts in this currency.")] string? currency,
        [FromQuery(Name = "status"), OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
            Description("Only accounts with this status.")] string? status,
        [FromQuery(Name = "reference"), Text(1, 140), Description("Only accounts with exactly this reference.")] string? reference,
        AccountList accounts,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var page = await accounts.PageAsync(
            new(currency, status, reference), limit ?? LimitAttribute.Default, CursorAttribute.Parse(cursor) ?? AccountList.Start, cancellationToken);
        return TypedResults.Ok(await AccountListResponse.FromAsync(page, currencies));
    }
}
