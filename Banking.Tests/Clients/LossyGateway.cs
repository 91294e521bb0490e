using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Banking.Tests;

/// <summary>Stands between a client and the service, passes every request on and notes it. It loses one answer: that the first deposit was done.</summary>
internal sealed class LossyGateway : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly HttpClient service;
    private int deposits;

    private LossyGateway(Uri address)
    {
        service = new() { BaseAddress = address };
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Address);
        app = builder.Build();
        app.Run(PassOnAsync);
    }

    public sealed record Exchange(string Method, string Path, int Status, bool Replayed);

    public string Address { get; } = $"http://127.0.0.1:{Ports.Free()}";

    public ConcurrentQueue<Exchange> Exchanges { get; } = [];

    public static async Task<LossyGateway> StartAsync(Uri service)
    {
        var gateway = new LossyGateway(service);
        await gateway.app.StartAsync();
        return gateway;
    }

    public async ValueTask DisposeAsync()
    {
        await app.DisposeAsync();
        service.Dispose();
    }

    private async Task PassOnAsync(HttpContext context)
    {
        var (method, path) = (context.Request.Method, $"{context.Request.Path}");
        using var request = new HttpRequestMessage(new(method), $"{path}{context.Request.QueryString}");
        request.Content = context.Request.ContentType is null ? null : new StreamContent(context.Request.Body);
        foreach (var (name, values) in context.Request.Headers.Where(header => header.Key != "Host"))
        {
            _ = request.Headers.TryAddWithoutValidation(name, [.. values]) || request.Content?.Headers.TryAddWithoutValidation(name, [.. values]) == true;
        }

        using var response = await service.SendAsync(request);
        Exchanges.Enqueue(new(method, path, (int)response.StatusCode, response.Headers.Contains("Idempotency-Replayed")));
        if (path == "/api/deposit" && response.IsSuccessStatusCode && Interlocked.Increment(ref deposits) == 1)
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = (int)response.StatusCode;
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers).Where(header => header.Key != "Transfer-Encoding"))
        {
            context.Response.Headers[name] = values.ToArray();
        }

        await response.Content.CopyToAsync(context.Response.Body);
    }
}
