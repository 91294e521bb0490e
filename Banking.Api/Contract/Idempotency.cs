using Banking.Data;

namespace Banking.Api;

/// <summary>The answers to requests that are done once, however often they are sent.</summary>
internal static class Idempotency
{
    public const string Header = "Idempotency-Key";
    public const string KeyDescription = "Names this request: a retry with the same key and body gets the first answer and is not done again.";
    public const string ParameterName = "idempotencyKey";
    public const string ReplayedHeader = "Idempotency-Replayed";

    /// <summary>The ledger's decision as the answer: 201 at <paramref name="locationOf"/> the result, or 200 where there is none, or the refusal.</summary>
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
