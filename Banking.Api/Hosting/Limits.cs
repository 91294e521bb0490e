using System.Net;
using System.Text;
using System.Threading.RateLimiting;
using Banking.Data;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace Banking.Api;

/// <summary>
/// Limits what one client may use: size, time and number of requests. Kestrel itself answers malformed HTTP and headers over their
/// limits, with a bare status.
/// </summary>
internal static class Limits
{
    private const string PerCaller = nameof(PerCaller);

    /// <summary>A caller with a valid token is counted by its name, one without by its IP address.</summary>
    private readonly record struct Bucket(string Caller, IPAddress? Address);

    public static void AddLimits(this IServiceCollection services)
    {
        services.AddRequestTimeouts();
        services.AddSingleton<DatabaseOutage>();
        services.AddRateLimiter(limiter =>
        {
            limiter.OnRejected = (refused, _) => new(Problem.Of(
                "rate_limited", "This caller sent too many requests in one second. Nothing was done. Retry later.").ExecuteAsync(refused.HttpContext));
            limiter.AddPolicy(PerCaller, context => RateLimitPartition.GetTokenBucketLimiter(
                Caller.Of(context) is var caller && caller == Caller.Anonymous ? new Bucket(caller, context.Connection.RemoteIpAddress) : new(caller, null),
                _ =>
                {
                    var rate = context.RequestServices.GetRequiredService<ServiceOptions>().RateLimit;
                    return new() { TokenLimit = rate, TokensPerPeriod = rate, ReplenishmentPeriod = TimeSpan.FromSeconds(1) };
                }));
        });
    }

    /// <summary>Sets the limits that Kestrel reads when it starts. Earlier, while the host is built, an invalid setting could not be reported.</summary>
    public static void LimitConnections(this WebApplication app)
    {
        var settings = app.Services.GetRequiredService<ServiceOptions>();
        var kestrel = app.Services.GetRequiredService<IOptions<KestrelServerOptions>>().Value;
        kestrel.RequestHeaderEncodingSelector = _ => Encoding.Latin1; // accepts any byte, so that our own rule can refuse it and name the header
        kestrel.Limits.MaxRequestBodySize = settings.BodyLimit;
        kestrel.Limits.MaxRequestHeadersTotalSize = settings.HeaderLimit;
        kestrel.Limits.MaxRequestHeaderCount = settings.HeaderCountLimit;
        kestrel.Limits.MaxConcurrentConnections = settings.ConnectionLimit;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(settings.HeaderSeconds);
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(settings.KeepAliveSeconds);
        kestrel.Limits.MinRequestBodyDataRate = new(settings.LeastBytesPerSecond, gracePeriod: TimeSpan.FromSeconds(5));
        kestrel.Limits.MinResponseDataRate = kestrel.Limits.MinRequestBodyDataRate;
    }

    public static void UseLimits(this WebApplication app)
    {
        app.Use((context, next) =>
        {
            if (context.GetEndpoint()?.Metadata.GetMetadata<RequestTimeoutPolicy>() is not null)
            {
                context.Features.Set(new Client(context.RequestAborted));
            }

            return next(context);
        });
        app.UseRequestTimeouts();
        app.UseRateLimiter();
    }

    /// <summary>
    /// Ends the time of a read that is done, or whose parts have times of their own. Sending takes as long as the client needs:
    /// <c>Banking__LeastBytesPerSecond</c> bounds that. Throws if the time is up.
    /// </summary>
    public static void EndReadTime(this HttpContext context)
    {
        context.RequestAborted.ThrowIfCancellationRequested();
        context.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        // The timer may have fired just before, and be heard only now: it would cut the answer. This token is the client's alone.
        context.RequestAborted = context.Features.Get<Client>()!.Left;
    }

    /// <summary>
    /// Limits the calls of a group. Reads time out. A write may already be committing, so its answer is always its real outcome; the
    /// ledger limits its time.
    /// </summary>
    public static TBuilder WithLimits<TBuilder>(this TBuilder endpoints)
        where TBuilder : IEndpointConventionBuilder
    {
        endpoints.AddEndpointFilter((call, next) => call.HttpContext.Features.Get<Client>() is null ? next(call) : ReadAsync(call, next));
        endpoints.Finally(endpoint =>
        {
            var settings = endpoint.ApplicationServices.GetRequiredService<ServiceOptions>();
            var readTime = TimeSpan.FromSeconds(endpoint.ApplicationServices.GetRequiredService<LedgerOptions>().ReadSeconds);
            if (settings.RateLimit > 0)
            {
                endpoint.Metadata.Add(new EnableRateLimitingAttribute(PerCaller));
            }

            if (endpoint.Metadata.OfType<IHttpMethodMetadata>().Any(methods => methods.HttpMethods.Contains(HttpMethods.Get)))
            {
                endpoint.Metadata.Add(new RequestTimeoutPolicy
                {
                    Timeout = readTime,
                    WriteTimeoutResponse = context => context.RequestServices.GetRequiredService<DatabaseOutage>().Refuse(context, readTime).ExecuteAsync(context),
                });
            }
        });
        return endpoints;
    }

    private static async ValueTask<object?> ReadAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var answer = await next(call);
        call.HttpContext.EndReadTime();
        return answer;
    }

    /// <summary>The client of a read that has a time.</summary>
    private sealed record Client(CancellationToken Left);
}
