namespace Banking.Api;

/// <summary>Live, ready or unready, and why.</summary>
public sealed record HealthResponse(string Status, IReadOnlyList<string> Reasons);

/// <summary>Whether the process lives, and whether it can serve.</summary>
internal static class HealthEndpoints
{
    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/health/live", () => TypedResults.Ok(new HealthResponse("live", []))).ExcludeFromDescription().DisableHttpMetrics();
        app.MapGet("/health/ready", Ready).ExcludeFromDescription().DisableHttpMetrics();
    }

    private static async Task<IResult> Ready(Readiness readiness) => await readiness.ReasonsAgainstAsync() is { Count: > 0 } reasons
        ? TypedResults.Json(new HealthResponse("unready", reasons), statusCode: StatusCodes.Status503ServiceUnavailable)
        : TypedResults.Ok(new HealthResponse("ready", []));
}
