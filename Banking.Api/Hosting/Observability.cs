using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.Encodings.Web;
using Banking.Data;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Banking.Api;

/// <summary>
/// What an operator sees: metrics at <c>/metrics</c>, a log line per request and, if <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> names a
/// collector, traces and metrics by OTLP.
/// </summary>
internal static class Observability
{
    // A draft of the W3C's Trace Context, in the form of traceparent. Request-Id has no standard form.
    public const string TraceResponse = "traceresponse";

    /// <summary>The label of every metric, and the attribute of every trace, that names the book.</summary>
    public const string Book = "book";

    private static readonly Counter<long> Refusals = Telemetry.Meter.CreateCounter<long>(
        "banking.refusals", "{request}", "Requests answered with a problem document, by code.");

    public static void AddObservability(this WebApplicationBuilder builder)
    {
        var book = Settings.BookOf(builder.Configuration);
        LogOutput.Instance.NameBook(book);
        Console.SetOut(LogOutput.Instance);
        // The slim host ignores this setting and uses the simple form.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.FormatterName = builder.Configuration["Logging:Console:FormatterName"]);
        builder.Services.Configure<JsonConsoleFormatterOptions>(json =>
            json.JsonWriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }); // keeps < > & readable: a log is not HTML
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => Describe(resource, book))
            .WithMetrics(metrics => metrics
                .AddMeter(Telemetry.Name, "Npgsql", "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
                .AddView(StreamOf)
                .AddPrometheusExporter(exporter => exporter.ResourceConstantLabels = attribute => attribute == Book));
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

    /// <summary>The service's name, where <c>OTEL_SERVICE_NAME</c> gives no other, and the book.</summary>
    public static void Describe(ResourceBuilder resource, string book) => resource
        .AddService("core-banking", serviceVersion: Commands.Version)
        .AddEnvironmentVariableDetector()
        .AddAttributes([new(Book, book)]);

    public static void MapMetrics(this WebApplication app)
    {
        app.MapPrometheusScrapingEndpoint("/metrics").DisableHttpMetrics();
        foreach (var fault in Problem.Kinds.Where(kind => kind.Status >= 500))
        {
            Refusals.Add(0, new KeyValuePair<string, object?>("code", fault.Code)); // so that the first one is an increase
        }
    }

    /// <summary>Gives every request its line and every answer a header with its trace id.</summary>
    public static void UseTraceResponse(this WebApplication app) => app.Use((context, next) =>
    {
        context.Features.Set(Activity.Current is { } activity ? new(activity.TraceId.ToHexString(), activity.Id!) : StartTrace(context.Request));
        NameTrace(context);
        return next(context);
    });

    public static void NameTrace(HttpContext context) => context.Response.Headers[TraceResponse] = LineOf(context).TraceResponse;

    public static RequestLine LineOf(HttpContext context) => context.Features.Get<RequestLine>()!;

    // ASP.NET starts an activity only for a collector, or if its category Hosting.Diagnostics is logged. Otherwise nobody sees more than ids.
    private static RequestLine StartTrace(HttpRequest request)
    {
        var caller = ActivityContext.TryParse(request.Headers.TraceParent, traceState: null, out var parsed)
            ? parsed
            : new(ActivityTraceId.CreateRandom(), default, ActivityTraceFlags.None);
        var id = caller.TraceId.ToHexString();
        return new(id, $"00-{id}-{ActivitySpanId.CreateRandom().ToHexString()}-{(int)caller.TraceFlags:x2}");
    }

    public static void UseRequestLines(this WebApplication app) => app.Use(new RequestLog(app.Services).InvokeAsync);

    /// <summary>Counts a refusal by its code, and keeps the code for the request's log line.</summary>
    public static void Refused(HttpContext context, string code)
    {
        Refusals.Add(1, new KeyValuePair<string, object?>("code", code));
        LineOf(context).Code = code;
    }

    private static MetricStreamConfiguration StreamOf(Instrument instrument) => new()
    {
        // Without the labels that show the database's address: /metrics is open.
        TagKeys = instrument.Name == "db.client.operation.duration" ? ["db.client.connection.pool.name", "error.type"] : null,
        // OpenTelemetry makes the room for all series of an instrument at once, for 2,000 if this doesn't say how many. That took 6 MiB.
        // A route answers with few statuses, and a book has at most 999 currencies.
        CardinalityLimit = instrument.Name is "http.server.request.duration" or "banking.settlement.use" ? 1_000 : 200,
    };

    private static bool IsQuiet(PathString path) => path.StartsWithSegments("/health") || path.StartsWithSegments("/metrics");
}
