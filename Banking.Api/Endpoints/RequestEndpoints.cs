using System.ComponentModel;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>What a completed request did.</summary>
[Example("""
    {"idempotency_key":"invoice-4711","transactions":[{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"accounts":[],"holds":[]}
    """)]
public sealed record RequestResponse(
    [property: Description("The request's Idempotency-Key.")] string IdempotencyKey,
    [property: Description("The transactions that the request posted.")] IReadOnlyList<TransactionResponse> Transactions,
    [property: Description("The account that the request opened or changed, as it was right after the request. Empty for a posting.")] IReadOnlyList<AccountResponse> Accounts,
    [property: Description("The hold that the request placed or ended, as it was right after the request. Empty for other requests.")] IReadOnlyList<HoldResponse> Holds)
{
    public static async ValueTask<RequestResponse> FromAsync(string idempotencyKey, CompletedRequest request, Currencies currencies)
    {
        var transactions = new List<TransactionResponse>(request.Transactions.Count);
        foreach (var transaction in request.Transactions)
        {
            transactions.Add(await TransactionResponse.FromAsync(transaction, currencies));
        }

        return new(
            idempotencyKey, transactions,
            request.Account is null ? [] : [await AccountResponse.FromAsync(request.Account, currencies)],
            request.Hold is null ? [] : [await HoldResponse.FromAsync(request.Hold, currencies)]);
    }
}

/// <summary>Shows callers what their own requests did.</summary>
internal static class RequestEndpoints
{
    public static void MapRequests(this IEndpointRouteBuilder api) =>
        api.MapGet("/get_one_request", GetOneRequest)
            .WithName("get_one_request")
            .WithTags("History")
            .WithSummary("Show what a request did")
            .WithDescription(
                "Finds a request of this caller by its Idempotency-Key. Shows the transactions that it posted, the account that it opened or changed, and the hold that it placed or ended. "
                + "A refused request is not found. Neither is one that is not finished yet: send it again with its key to be sure.")
            .Needs(Scope.TransactionsRead)
            .Answers<RequestResponse>(200, Refusal.RequestNotFound, Refusal.Overloaded);

    private static async Task<IResult> GetOneRequest(
        [FromQuery(Name = "idempotency_key"), Needed, Key, Example("\"transaction-4711\""), Description("The Idempotency-Key of the request.")] string? idempotencyKey,
        Requests requests,
        Currencies currencies,
        HttpContext context,
        CancellationToken cancellationToken) =>
        await requests.GetAsync(Caller.Of(context), idempotencyKey!, cancellationToken) is { } request
            ? TypedResults.Ok(await RequestResponse.FromAsync(idempotencyKey!, request, currencies))
            : Problem.Of(Refusal.RequestNotFound, "None of your completed requests has this key. If a request may not be finished, send it again with the same key.");
}
