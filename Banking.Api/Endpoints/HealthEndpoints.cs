namespace Banking.Api;

/// <summary>The status (live, ready or unready) and the reasons for unready.</summary>
public sealed record HealthResponse(string Status, IReadOnlyList<string> Reasons);

/// <summary>Says whether the process is alive and whether it can serve requests.</summary>
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
