using Banking.Data;

namespace Banking.Api;

/// <summary>Answers requests of the ledger, which are applied once per Idempotency-Key.</summary>
internal static class Idempotency
{
    public const string Header = "Idempotency-Key";
    public const string KeyDescription = "Identifies this request. A retry with the same key and body gets the first answer and is not applied again.";
    public const string ReplayedHeader = "Idempotency-Replayed";

    /// <summary>Turns the ledger's decision into a refusal, into 201 with the result's location, or into 200 if <paramref name="locationOf"/> is null.</summary>
    public static async Task<IResult> ToAnswerAsync<TResult, TBody>(
        this Decision<TResult> decision, HttpContext context, Func<TResult, ValueTask<TBody>> bodyOf, Func<TResult, string>? locationOf = null)
        where TResult : class
    {
        if (decision.Refused is { } refused)
        {
            return Problem.Of(refused);
        }

        if (decision.Replayed)
        {
            context.Response.Headers[ReplayedHeader] = "true";
        }

        var body = await bodyOf(decision.Result!);
        return locationOf is null ? TypedResults.Ok(body) : TypedResults.Created(locationOf(decision.Result!), body);
    }
}
