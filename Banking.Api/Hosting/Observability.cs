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

/// <summary>What a request's line in the log tells beside its status, noted by whoever knows.</summary>
internal sealed class RequestLine
{
    public string? Code { get; set; }

    public long? TransactionId { get; set; }
}

/// <summary>
/// What an operator sees: metrics at <c>/metrics</c>, traces and metrics by OTLP where the environment names a collector
/// (<c>OTEL_EXPORTER_OTLP_ENDPOINT</c>), and a line in the log for each request.
/// </summary>
internal static partial class Observability
{
    // traceresponse, a draft of the W3C's Trace Context, has the form of traceparent and names trace and span; Request-Id has no standard form.
    public const string TraceResponse = "traceresponse";

    private static readonly Counter<long> Refusals = Telemetry.Meter.CreateCounter<long>(
        "banking.refusals", "{request}", "Requests that were answered with a problem document, by its code.");

    private static readonly TextWriter Output = new RestingOutput(Console.Out); // one for the process, however many hosts it has

    public static void AddObservability(this WebApplicationBuilder builder)
    {
        Console.SetOut(Output);
        // The slim host takes the simple form, whatever the settings say.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.FormatterName = builder.Configuration["Logging:Console:FormatterName"]);
        builder.Services.Configure<JsonConsoleFormatterOptions>(json =>
            json.JsonWriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }); // text stays as it is; a log is no HTML
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(Describe)
            .WithMetrics(metrics => metrics
                .AddMeter(Telemetry.Name, "Npgsql", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                // Where the database is, is for nobody who may only scrape.
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

    /// <summary>Whether the environment names a collector. Of a signal that has another, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and the like tell.</summary>
    public static bool HasCollector(IConfiguration configuration) => !string.IsNullOrEmpty(configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]);

    /// <summary>The service's name, where <c>OTEL_SERVICE_NAME</c> gives no other.</summary>
    public static void Describe(ResourceBuilder resource) => resource
        .AddService("core-banking", serviceVersion: Commands.Version)
        .AddEnvironmentVariableDetector();

    public static void MapMetrics(this WebApplication app) => app.MapPrometheusScrapingEndpoint("/metrics").DisableHttpMetrics();

    /// <summary>The trace of the request at hand, as its line in the log has it.</summary>
    public static string TraceId => Activity.Current!.TraceId.ToHexString();

    /// <summary>Names the trace of every answer in a header.</summary>
    public static void UseTraceResponse(this WebApplication app) => app.Use((context, next) =>
    {
        // ASP.NET starts an activity for its log, or for a collector. With neither, nobody else has.
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

    /// <summary>Counts a refusal by its code, and notes it for the request's line.</summary>
    public static void Refused(HttpContext context, string code)
    {
        Refusals.Add(1, new KeyValuePair<string, object?>("code", code));
        context.Features.Get<RequestLine>()?.Code = code;
    }

    /// <summary>Logs a line for each request, but for those of probes, scrapes and the docs page.</summary>
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

            // A path that is no call of ours, or a method of its own making, is the client's text, and stays out of the log.
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
/// Rests after a write, and by that lets lines gather: the console logger's thread is then woken once for many of them, and not
/// by every request for its own, which costs more than writing it. A line is late by <see cref="Rest"/> at most.
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
