using System.ComponentModel;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction to reverse, whole or in part.</summary>
[Example("""
    {"transaction_id":42,"amount":"5.00","reference":"Goods returned"}
    """)]
public sealed record ReverseTransactionRequest(
    [property: Needed, Id, Description("The transaction to reverse.")] long? TransactionId,
    [property: AboveZero, JsonConverter(typeof(MoneyConverter)), Description("How much to give back; left out, all that is not reversed yet.")] decimal? Amount = null,
    [property: Text(0, 140), Description("The client's own reference, kept as given.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>Reverses transactions.</summary>
internal static class ReversalEndpoints
{
    public static void MapReversals(this IEndpointRouteBuilder api) =>
        api.MapPost("/reverse_transaction", ReverseTransaction)
            .WithName("reverse_transaction")
            .WithTags("Postings")
            .WithSummary("Reverse a transaction")
            .WithDescription(
                "Moves the money back, whole or in part, as often as something is left to reverse. The original stays as it is. "
                + "The rules of a transfer hold: the account that gives back needs the funds, and neither account may be frozen or closed.")
            .Needs(Scope.TransactionsReverse)
            .AnswersOfLedger<TransactionResponse>(
                201, Refusal.TransactionNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.AlreadyReversed, Refusal.NotReversible,
                Refusal.AmountPrecision, Refusal.InsufficientFunds, Refusal.BalanceLimitExceeded, Refusal.ReversalAmountExceeded);

    private static async Task<IResult> ReverseTransaction(
        ReverseTransactionRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Transactions transactions,
        Currencies currencies,
        HttpContext context) =>
        await transactions.GetAsync(request.TransactionId!.Value, CancellationToken.None) is { } original
            ? await PostingEndpoints.AnswerAsync(context, currencies, await ledger.SubmitAsync(new Reversal(
                Caller.RequestOf(context, idempotencyKey), RequestHash.Of("reverse_transaction", request), original,
                request.Amount, request.Reference, Metadata.Write(request.Metadata))))
            : Problem.Of(Refusal.TransactionNotFound, $"There is no transaction {request.TransactionId}.");
}
