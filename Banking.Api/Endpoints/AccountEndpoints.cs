using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>An account to open. The currency is an ISO 4217 code; the amounts are in it.</summary>
public sealed record CreateAccountRequest(
    [property: Needed, Text(1, 200)] string? OwnerName,
    [property: Description("ISO 4217; the service's default currency where it is left out.")] string? Currency = null,
    [property: JsonConverter(typeof(MoneyConverter))] decimal? InitialDeposit = null,
    [property: JsonConverter(typeof(MoneyConverter))] decimal? OverdraftLimit = null);

/// <summary>An account. Amounts are decimal strings with the currency's own digits.</summary>
public sealed record AccountResponse(
    long AccountId,
    string OwnerName,
    string Currency,
    [property: AllowedValues("active", "frozen", "closed")] string Status,
    [property: RegularExpression(Money.AnswerPattern)] string Balance,
    [property: RegularExpression(Money.AnswerPattern)] string OverdraftLimit,
    DateTime CreatedAt)
{
    public static AccountResponse From(Account account, Currency currency) => new(
        account.AccountId, account.OwnerName, account.Currency, account.Status,
        Money.Format(account.Balance, currency), Money.Format(account.OverdraftLimit, currency), account.CreatedAt);
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
            .Answers<AccountResponse>(201, "amount_precision", "balance_limit_exceeded", "idempotency_key_reused", "overloaded", "account_busy");
        api.MapGet("/get_one_account", GetOneAccount)
            .WithName("get_one_account")
            .WithTags("Accounts")
            .WithSummary("Show an account")
            .WithDescription("With its balance at this moment.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountResponse>(200, "account_not_found", "overloaded");
    }

    private static async Task<IResult> CreateAccount(
        CreateAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        BankingOptions options,
        HttpContext context)
    {
        if (currencies.Find(request.Currency ?? options.DefaultCurrency) is not { } currency)
        {
            return Problem.Invalid("currency", "must be the code of a currency in use of ISO 4217, such as EUR.");
        }

        var outcome = await ledger.SubmitAsync(new Opening(
            Caller.Of(context), idempotencyKey, request.OwnerName!, currency, request.InitialDeposit ?? 0, request.OverdraftLimit ?? 0));
        return outcome switch
        {
            Outcome.Opened opened => Idempotency.Created(
                context, opened.Replayed, $"/api/get_one_account?account_id={opened.Account.AccountId}",
                AccountResponse.From(opened.Account, currency)),
            Outcome.Refused refused => Problem.Of(refused),
            _ => throw new InvalidOperationException($"An opening can't end as {outcome}."),
        };
    }

    private static async Task<IResult> GetOneAccount(
        [FromQuery(Name = "account_id"), Needed, Id] long? accountId,
        Accounts accounts,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await accounts.GetAsync(accountId!.Value, cancellationToken) is { } account
            ? TypedResults.Ok(AccountResponse.From(account, currencies[account.Currency]))
            : Problem.Of("account_not_found", $"There is no account {accountId}.");
}
