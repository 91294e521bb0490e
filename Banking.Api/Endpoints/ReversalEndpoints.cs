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
    [property: AboveZero, JsonConverter(typeof(MoneyConverter)), Description("How much to give back. Above zero. Default: all that is left to reverse.")] decimal? Amount = null,
    [property: Text(0, 140), Description("Your own reference for the reversal.")] string? Reference = null,
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
                "Moves the money of a transaction back: all of it, or a part, until nothing is left. The original does not change. "
                + "The rules of a posting apply: the available balance of the account that gives back covers the amount, and no account is frozen or closed.")
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
            : Problem.Of(Refusal.TransactionNotFound, $"Transaction {request.TransactionId} does not exist. Check the id.");
}
