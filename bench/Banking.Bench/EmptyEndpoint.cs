using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Banking.Bench;

/// <summary>What HTTP alone can do on a machine: one endpoint with a constant answer, without a log, a check or a database.</summary>
internal static class EmptyEndpoint
{
    public static void Run(string url)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.MapGet("/", () => new Answer("nothing"));
        app.Run(url);
    }

    private sealed record Answer(string Says);
}
