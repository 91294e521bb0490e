using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace Banking.Api;

/// <summary>What a request's log line shows beside its call and status. The code that knows it sets it.</summary>
internal sealed class RequestLine(string traceId, string traceResponse)
{
    public string TraceId => traceId;

    /// <summary>The trace as the answer's header names it.</summary>
    public string TraceResponse => traceResponse;

    public string? Code { get; set; }

    public long? TransactionId { get; set; }
}

/// <summary>Logs a line per request, except for probes, scrapes and the docs page.</summary>
internal sealed partial class RequestLog
{
    private const string Category = "Banking.Api.Requests";

    // Both ways of writing a line share these. The ids are those that the generator gives to the methods below.
    private const int RefusedEvent = 697706209;
    private const int PostedEvent = 1924764990;
    private const int AnsweredEvent = 762352162;
    private const string Refused = "{Method} {Call} {Status} {Code} in {Milliseconds} ms, trace {TraceId}";
    private const string Posted = "{Method} {Call} {Status} transaction {TransactionId} in {Milliseconds} ms, trace {TraceId}";
    private const string Answered = "{Method} {Call} {Status} in {Milliseconds} ms, trace {TraceId}";

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? buffer;

    private readonly IServiceProvider services;
    private readonly ILogger logger;
    private volatile JsonConsoleFormatterOptions? form;

    public RequestLog(IServiceProvider services)
    {
        this.services = services;
        logger = services.GetRequiredService<ILoggerFactory>().CreateLogger(Category);
        LogOutput.Instance.OnDropped = lines => LogDropped(logger, lines);
        services.GetRequiredService<IOptionsMonitor<ConsoleLoggerOptions>>().OnChange(_ => form = FormOfLine());
        services.GetRequiredService<IOptionsMonitor<JsonConsoleFormatterOptions>>().OnChange(_ => form = FormOfLine());
        form = FormOfLine();
    }

    public Task InvokeAsync(HttpContext context, RequestDelegate next) =>
        logger.IsEnabled(LogLevel.Information) ? InvokeAndLogAsync(context, next) : next(context);

    private async Task InvokeAndLogAsync(HttpContext context, RequestDelegate next)
    {
        var began = Stopwatch.GetTimestamp();
        await next(context);
        var line = Observability.LineOf(context);
        var endpoint = context.GetEndpoint() ?? context.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
        var call = endpoint?.Metadata.GetMetadata<NeededScope>() is null ? null : endpoint.Metadata.GetMetadata<IEndpointNameMetadata>()?.EndpointName;
        if (call is null && line.Code is null)
        {
            return;
        }

        // An unknown path or method is the client's own text, which never goes into the log.
        call ??= "unknown";
        var method = HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsPost(context.Request.Method) ? context.Request.Method : "another";
        var status = context.Response.StatusCode;
        var milliseconds = Math.Round(Stopwatch.GetElapsedTime(began).TotalMilliseconds, 1);
        if (form is { } json)
        {
            Write(json, method, call, status, milliseconds, line);
        }
        else if (line.Code is { } code)
        {
            LogRefused(logger, method, call, status, code, milliseconds, line.TraceId);
        }
        else if (line.TransactionId is { } transactionId)
        {
            LogPosted(logger, method, call, status, transactionId, milliseconds, line.TraceId);
        }
        else
        {
            LogAnswered(logger, method, call, status, milliseconds, line.TraceId);
        }
    }

    /// <summary>
    /// The form of a line, if the whole log is the console's, as JSON without scopes, and drops lines when it is full. Otherwise null:
    /// the logger then writes the lines, at several times the price.
    /// </summary>
    private JsonConsoleFormatterOptions? FormOfLine()
    {
        var console = services.GetRequiredService<IOptionsMonitor<ConsoleLoggerOptions>>().CurrentValue;
        var json = services.GetRequiredService<IOptionsMonitor<JsonConsoleFormatterOptions>>().CurrentValue;
        return services.GetServices<ILoggerProvider>().ToArray() is [ConsoleLoggerProvider] && !json.IncludeScopes && console is
        {
            FormatterName: ConsoleFormatterNames.Json,
            QueueFullMode: ConsoleLoggerQueueFullMode.DropWrite,
            LogToStandardErrorThreshold: > LogLevel.Information,
        }
            ? json : null;
    }

    /// <summary>Writes what the JSON formatter would have written, byte for byte. The output adds the book to both.</summary>
    private static void Write(JsonConsoleFormatterOptions form, string method, string call, int status, double milliseconds, RequestLine line)
    {
        var (id, format, outcome) = line switch
        {
            { Code: { } code } => (RefusedEvent, Refused, $" {code}"),
            { TransactionId: { } transactionId } => (PostedEvent, Posted, $" transaction {transactionId}"),
            _ => (AnsweredEvent, Answered, ""),
        };
        buffer ??= new(1024);
        buffer.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(buffer, form.JsonWriterOptions))
        {
            json.WriteStartObject();
            if (form.TimestampFormat is { } timestamp)
            {
                var now = form.UseUtcTimestamp ? DateTimeOffset.UtcNow : DateTimeOffset.Now;
                json.WriteString("Timestamp"u8, now.ToString(timestamp, CultureInfo.InvariantCulture));
            }

            json.WriteNumber("EventId"u8, id);
            json.WriteString("LogLevel"u8, "Information"u8);
            json.WriteString("Category"u8, Category);
            json.WriteString("Message"u8, string.Create(
                CultureInfo.InvariantCulture, $"{method} {call} {status}{outcome} in {milliseconds} ms, trace {line.TraceId}"));
            json.WriteStartObject("State"u8);
            json.WriteString("Method"u8, method);
            json.WriteString("Call"u8, call);
            json.WriteNumber("Status"u8, status);
            if (line.Code is { } shown)
            {
                json.WriteString("Code"u8, shown);
            }
            else if (line.TransactionId is { } transactionId)
            {
                json.WriteNumber("TransactionId"u8, transactionId);
            }

            json.WriteNumber("Milliseconds"u8, milliseconds);
            json.WriteString("TraceId"u8, line.TraceId);
            json.WriteString("{OriginalFormat}"u8, format);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        LogOutput.Instance.WriteOrDrop(buffer.WrittenSpan);
    }

    [LoggerMessage(RefusedEvent, LogLevel.Information, Refused)]
    private static partial void LogRefused(ILogger logger, string method, string call, int status, string code, double milliseconds, string traceId);

    [LoggerMessage(PostedEvent, LogLevel.Information, Posted)]
    private static partial void LogPosted(
        ILogger logger, string method, string call, int status, long transactionId, double milliseconds, string traceId);

    [LoggerMessage(AnsweredEvent, LogLevel.Information, Answered)]
    private static partial void LogAnswered(ILogger logger, string method, string call, int status, double milliseconds, string traceId);

    [LoggerMessage(LogLevel.Warning, "{Lines} log lines were dropped: the reader of standard output was too slow. The requests were served. Look at what reads the log, or log less.")]
    private static partial void LogDropped(ILogger logger, long lines);
}
