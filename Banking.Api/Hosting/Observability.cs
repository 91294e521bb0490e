using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Encodings.Web;
using Banking.Data;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Banking.Api;

/// <summary>What a request's log line shows beside its status. The code that knows it sets it.</summary>
internal sealed class RequestLine
{
    public string? Code { get; set; }

    public long? TransactionId { get; set; }
}

/// <summary>
/// What an operator sees: metrics at <c>/metrics</c>, a log line per request and, if <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> names a
/// collector, traces and metrics by OTLP.
/// </summary>
internal static partial class Observability
{
    // A draft of the W3C's Trace Context, in the form of traceparent. Request-Id has no standard form.
    public const string TraceResponse = "traceresponse";

    private static readonly Counter<long> Refusals = Telemetry.Meter.CreateCounter<long>(
        "banking.refusals", "{request}", "Requests answered with a problem document, by code.");

    private static readonly TextWriter Output = new RestingOutput(Console.Out); // one per process; tests have several hosts in one

    public static void AddObservability(this WebApplicationBuilder builder)
    {
        Console.SetOut(Output);
        // The slim host ignores this setting and uses the simple form.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.FormatterName = builder.Configuration["Logging:Console:FormatterName"]);
        builder.Services.Configure<JsonConsoleFormatterOptions>(json =>
            json.JsonWriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }); // keeps < > & readable: a log is not HTML
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(Describe)
            .WithMetrics(metrics => metrics
                .AddMeter(Telemetry.Name, "Npgsql", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                // Without the labels that show the database's address: /metrics is open.
                .AddView("db.client.operation.duration", new MetricStreamConfiguration { TagKeys = ["db.client.connection.pool.name", "error.type"] })
                .AddPrometheusExporter());
        if (HasCollector(builder.Configuration))
        {
            telemetry
                .WithTracing(traces => traces
                    .AddSource(Telemetry.Name, "Npgsql")
                    .AddAspNetCoreInstrumentation(http => http.Filter = context => !IsQuiet(context.Request.Path)))
                .UseOtlpExporter();
        }
    }

    /// <summary>Whether the environment names a collector. OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and the like can then name another one for a single signal.</summary>
    public static bool HasCollector(IConfiguration configuration) => !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]);

    /// <summary>The service's name, where <c>OTEL_SERVICE_NAME</c> gives no other.</summary>
    public static void Describe(ResourceBuilder resource) => resource
        .AddService("core-banking", serviceVersion: Commands.Version)
        .AddEnvironmentVariableDetector();

    public static void MapMetrics(this WebApplication app) => app.MapPrometheusScrapingEndpoint("/metrics").DisableHttpMetrics();

    /// <summary>The trace id of the current request, as in its log line.</summary>
    public static string TraceId => Activity.Current!.TraceId.ToHexString();

    /// <summary>Puts the trace id of every answer into a header.</summary>
    public static void UseTraceResponse(this WebApplication app) => app.Use((context, next) =>
    {
        // ASP.NET starts an activity only for its log or for a collector. Without both there is none yet.
        if (Activity.Current is null)
        {
            return InTraceAsync(context, next);
        }

        NameTrace(context.Response);
        return next(context);
    });

    public static void NameTrace(HttpResponse response) => response.Headers[TraceResponse] = Activity.Current!.Id;

    private static async Task InTraceAsync(HttpContext context, RequestDelegate next)
    {
        using var trace = new Activity("request");
        if (ActivityContext.TryParse(context.Request.Headers.TraceParent, traceState: null, out var caller))
        {
            trace.SetParentId(caller.TraceId, caller.SpanId, caller.TraceFlags);
        }

        trace.Start();
        NameTrace(context.Response);
        await next(context);
    }

    /// <summary>Counts a refusal by its code, and keeps the code for the request's log line.</summary>
    public static void Refused(HttpContext context, string code)
    {
        Refusals.Add(1, new KeyValuePair<string, object?>("code", code));
        context.Features.Get<RequestLine>()?.Code = code;
    }

    /// <summary>Logs a line per request, except for probes, scrapes and the docs page.</summary>
    public static void UseRequestLines(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Banking.Api.Requests");
        app.Use(async (context, next) =>
        {
            if (!logger.IsEnabled(LogLevel.Information))
            {
                await next(context);
                return;
            }

            var began = Stopwatch.GetTimestamp();
            var line = new RequestLine();
            context.Features.Set(line);
            await next(context);
            var endpoint = context.GetEndpoint() ?? context.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
            var call = endpoint?.Metadata.GetMetadata<NeededScope>() is null ? null : endpoint.Metadata.GetMetadata<IEndpointNameMetadata>()?.EndpointName;
            if (call is null && line.Code is null)
            {
                return;
            }

            // An unknown path or method is the client's own text, which never goes into the log.
            var method = HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsPost(context.Request.Method) ? context.Request.Method : "another";
            var (status, trace) = (context.Response.StatusCode, TraceId);
            var milliseconds = Math.Round(Stopwatch.GetElapsedTime(began).TotalMilliseconds, 1);
            if (line.Code is { } code)
            {
                LogRefused(logger, method, call ?? "unknown", status, code, milliseconds, trace);
            }
            else if (line.TransactionId is { } transactionId)
            {
                LogPosted(logger, method, call!, status, transactionId, milliseconds, trace);
            }
            else
            {
                LogAnswered(logger, method, call!, status, milliseconds, trace);
            }
        });
    }

    private static bool IsQuiet(PathString path) => path.StartsWithSegments("/health") || path.StartsWithSegments("/metrics");

    [LoggerMessage(LogLevel.Information, "{Method} {Call} {Status} {Code} in {Milliseconds} ms, trace {TraceId}")]
    private static partial void LogRefused(ILogger logger, string method, string call, int status, string code, double milliseconds, string traceId);

    [LoggerMessage(LogLevel.Information, "{Method} {Call} {Status} transaction {TransactionId} in {Milliseconds} ms, trace {TraceId}")]
    private static partial void LogPosted(
        ILogger logger, string method, string call, int status, long transactionId, double milliseconds, string traceId);

    [LoggerMessage(LogLevel.Information, "{Method} {Call} {Status} in {Milliseconds} ms, trace {TraceId}")]
    private static partial void LogAnswered(ILogger logger, string method, string call, int status, double milliseconds, string traceId);
}

/// <summary>
/// Rests after a write, so that lines gather and the console logger's thread wakes once for many of them. Waking it for every line
/// costs more than writing the line. A line is late by at most <see cref="Rest"/>.
/// </summary>
internal sealed class RestingOutput(TextWriter output) : TextWriter
{
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(10);

    private long rested;

    public override Encoding Encoding => output.Encoding;

    public override void Write(char value) => output.Write(value);

    public override void Write(string? value)
    {
        output.Write(value);
        if (Stopwatch.GetElapsedTime(rested) > Rest)
        {
            Thread.Sleep(Rest);
            rested = Stopwatch.GetTimestamp();
        }
    }
}
