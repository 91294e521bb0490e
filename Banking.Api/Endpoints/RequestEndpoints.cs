using System.ComponentModel;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>What a request made. The account is the one that it opened or changed, the hold the one that it placed or ended, as it left them.</summary>
[Example("""
    {"idempotency_key":"invoice-4711","transactions":[{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"accounts":[],"holds":[]}
    """)]
public sealed record RequestResponse(
    [property: Description("The request's key.")] string IdempotencyKey,
    [property: Description("The transactions that it made.")] IReadOnlyList<TransactionResponse> Transactions,
    [property: Description("The account that it opened or changed, as it left it; none for a posting.")] IReadOnlyList<AccountResponse> Accounts,
    [property: Description("The hold that it placed or ended, as it left it; none for other requests.")] IReadOnlyList<HoldResponse> Holds)
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

/// <summary>Shows what requests made, to the caller that sent them.</summary>
internal static class RequestEndpoints
{
    public static void MapRequests(this IEndpointRouteBuilder api) =>
        api.MapGet("/get_one_request", GetOneRequest)
            .WithName("get_one_request")
            .WithTags("History")
            .WithSummary("Show what a request made")
            .WithDescription(
                "By the Idempotency-Key that this caller sent with it: its transactions, and the account that it opened or changed, as it left it. "
                + "A request that was refused made nothing. One that is still under way is not found yet: retry it with its key to be sure.")
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
            : Problem.Of(Refusal.RequestNotFound, "You have no request with this key that was done. If one is still under way, retry it with the same key.");
}
