namespace Banking.Api;

/// <summary>The answers to requests that are done once, however often they are sent.</summary>
internal static class Idempotency
{
    public const string Header = "Idempotency-Key";
    public const string KeyDescription = "Names this request: sent again with the same key and body, it is answered again but not done again.";
    public const string ParameterName = "idempotencyKey";
    public const string ReplayedHeader = "Idempotency-Replayed";

    public static IResult Created<T>(HttpContext context, bool replayed, string location, T body)
    {
        if (replayed)
        {
            context.Response.Headers[ReplayedHeader] = "true";
        }

        return TypedResults.Created(location, body);
    }
}
