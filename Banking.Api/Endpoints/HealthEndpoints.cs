using Banking.Data;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Banking.Api.Endpoints;

/// <summary>Whether the process lives, and whether it can serve.</summary>
internal static class HealthEndpoints
{
    public static void MapHealth(this WebApplication app)
    {
        app.MapGet("/health/live", () => TypedResults.Text("""{"status":"live"}""", "application/json")).ExcludeFromDescription();
        app.MapGet("/health/ready", Ready).ExcludeFromDescription();
    }

    private static async Task<IResult> Ready(NpgsqlDataSource dataSource, Draining draining) =>
        draining.HasBegun ? Unready("the service is shutting down")
        : await Database.AnswersAsync(dataSource) ? TypedResults.Text("""{"status":"ready"}""", "application/json")
        : Unready("the database does not answer");

    private static ContentHttpResult Unready(string reason) =>
        TypedResults.Text($$"""{"status":"unready","reasons":["{{reason}}"]}""", "application/json", statusCode: 503);

    /// <summary>The image's health check, as it has no shell to run one: 0 where the service of this container is ready.</summary>
    public static async Task<int> CheckAsync()
    {
        var port = Environment.GetEnvironmentVariable("ASPNETCORE_HTTP_PORTS")?.Split(';')[0] ?? "8080";
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(3) };
        try
        {
            using var answer = await client.GetAsync(new Uri($"http://localhost:{port}/health/ready"));
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            return 1;
        }
    }
}
