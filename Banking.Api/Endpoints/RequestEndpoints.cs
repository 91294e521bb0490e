using System.ComponentModel;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>What a request made. The account is the one that it opened or changed, as it left it.</summary>
public sealed record RequestResponse(string IdempotencyKey, IReadOnlyList<TransactionResponse> Transactions, AccountResponse? Account)
{
    public static async ValueTask<RequestResponse> FromAsync(string idempotencyKey, CompletedRequest request, Currencies currencies)
    {
        var transactions = new List<TransactionResponse>(request.Transactions.Count);
        foreach (var transaction in request.Transactions)
        {
            transactions.Add(await TransactionResponse.FromAsync(transaction, currencies));
        }

        return new(idempotencyKey, transactions, request.Account is null ? null : await AccountResponse.FromAsync(request.Account, currencies));
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
        [FromQuery(Name = "idempotency_key"), Needed, Key, Description("The Idempotency-Key of the request.")] string? idempotencyKey,
        Requests requests,
        Currencies currencies,
        HttpContext context,
        CancellationToken cancellationToken) =>
        await requests.GetAsync(Caller.Of(context), idempotencyKey!, cancellationToken) is { } request
            ? TypedResults.Ok(await RequestResponse.FromAsync(idempotencyKey!, request, currencies))
            : Problem.Of(Refusal.RequestNotFound, "You have no request with this key that was done. If one is still under way, retry it with the same key.");
}
