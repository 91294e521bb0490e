using System.ComponentModel;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>Money to pay into an account, or out of it.</summary>
[Example("""
    {"account_id":1000,"amount":"10.50","reference":"Cash at counter 3","metadata":{"branch":"Main Street"}}
    """)]
public sealed record CashRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to move, in the account's currency. Above zero.")] decimal? Amount,
    [property: Text(0, 140), Description("Your own reference for the transaction.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>Money to move from one account to another of the same currency.</summary>
[Example("""
    {"from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"}
    """)]
public sealed record TransferRequest(
    [property: Needed, Id, Description("The account that pays.")] long? FromAccountId,
    [property: Needed, Id, Description("The account that receives the money. It has the same currency.")] long? ToAccountId,
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to move, in the account's currency. Above zero.")] decimal? Amount,
    [property: Text(0, 140), Description("Your own reference for the transaction.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>Posts deposits, withdrawals and transfers.</summary>
internal static class PostingEndpoints
{
    private static readonly Refusal[] Refusals =
    [
        Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.AmountPrecision, Refusal.BalanceLimitExceeded,
    ];

    public static void MapPostings(this IEndpointRouteBuilder api)
    {
        api.MapPost("/deposit", Deposit)
            .WithName("deposit")
            .WithTags("Postings")
            .WithSummary("Pay money in")
            .WithDescription("Pays money into an account. The money comes from the settlement account of the currency.")
            .Needs(Scope.TransactionsWrite)
            .AnswersOfLedger<TransactionResponse>(201, Refusals);
        api.MapPost("/withdraw", Withdraw)
            .WithName("withdraw")
            .WithTags("Postings")
            .WithSummary("Pay money out")
            .WithDescription("Pays money out of an account, if the available balance covers it. The money goes to the settlement account of the currency.")
            .Needs(Scope.TransactionsWrite)
            .AnswersOfLedger<TransactionResponse>(201, [.. Refusals, Refusal.InsufficientFunds]);
        api.MapPost("/transaction", Transfer)
            .WithName("transaction")
            .WithTags("Postings")
            .WithSummary("Move money")
            .WithDescription("Moves money between two accounts in the same currency, if the available balance covers it. Both balances change, or neither.")
            .Needs(Scope.TransactionsWrite)
            .AnswersOfLedger<TransactionResponse>(201, [.. Refusals, Refusal.InsufficientFunds, Refusal.SameAccount, Refusal.CurrencyMismatch]);
    }

    private static Task<IResult> Deposit(
        CashRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        PostAsync(ledger, currencies, context, new(
            Caller.RequestOf(context, idempotencyKey), PostingType.Deposit, FromAccountId: null, request.AccountId,
            request.Amount!.Value, request.Reference, Metadata.Write(request.Metadata)));

    private static Task<IResult> Withdraw(
        CashRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        PostAsync(ledger, currencies, context, new(
            Caller.RequestOf(context, idempotencyKey), PostingType.Withdrawal, request.AccountId, ToAccountId: null,
            request.Amount!.Value, request.Reference, Metadata.Write(request.Metadata)));

    private static Task<IResult> Transfer(
        TransferRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        PostAsync(ledger, currencies, context, new(
            Caller.RequestOf(context, idempotencyKey), PostingType.Transfer, request.FromAccountId, request.ToAccountId,
            request.Amount!.Value, request.Reference, Metadata.Write(request.Metadata)));

    private static async Task<IResult> PostAsync(Ledger ledger, Currencies currencies, HttpContext context, Posting posting) =>
        await AnswerAsync(context, currencies, await ledger.SubmitAsync(posting));

    /// <summary>The answer of every call that makes one transaction.</summary>
    public static Task<IResult> AnswerAsync(HttpContext context, Currencies currencies, Decision<Transaction> decision)
    {
        Observability.LineOf(context).TransactionId = decision.Result?.TransactionId;
        return decision.ToAnswerAsync(
            context, transaction => TransactionResponse.FromAsync(transaction, currencies),
            transaction => $"/api/get_one_transaction?transaction_id={transaction.TransactionId}");
    }
}
