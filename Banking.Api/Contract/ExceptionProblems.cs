using System.Text.Json;
using Banking.Data;
using Microsoft.AspNetCore.Diagnostics;

namespace Banking.Api;

/// <summary>
/// Turns what was thrown into its answer. A client's mistake is answered and not logged; a database that can't be reached is
/// a warning; everything else is a fault of ours, logged as an error.
/// </summary>
internal sealed partial class ExceptionProblems(ILogger<ExceptionProblems> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var answer = exception switch
        {
            _ when httpContext.RequestAborted.IsCancellationRequested => null,
            BadHttpRequestException { StatusCode: var status } => Problem.Of(status, httpContext.Request),
            OverloadedException => Problem.Of(Refusal.Overloaded, exception.Message),
            _ when Database.IsTransient(exception) => DatabaseUnavailable(exception, httpContext),
            _ => Fault(exception, httpContext),
        };
        if (answer is not null)
        {
            await answer.ExecuteAsync(httpContext);
        }

        return true;
    }

    private ProblemResult DatabaseUnavailable(Exception exception, HttpContext context)
    {
        LogDatabaseUnavailable(exception, context.Request.Method, context.Request.Path, Observability.TraceId);
        return Problem.Of(Refusal.DatabaseUnavailable, "The database did not answer; nothing was done. Retry later.");
    }

    private ProblemResult Fault(Exception exception, HttpContext context)
    {
        LogFault(exception, context.Request.Method, context.Request.Path, Observability.TraceId);
        return Problem.Of(500, context.Request);
    }

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} was answered with 503: the database did not answer. The client may try again. Trace {TraceId}")]
    private partial void LogDatabaseUnavailable(Exception exception, string method, string path, string traceId);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} was answered with 500: a fault of this service that needs a look. Trace {TraceId}")]
    private partial void LogFault(Exception exception, string method, string path, string traceId);
}

/// <summary>Gives the framework's own problem documents (its validation's) the form of ours.</summary>
internal sealed class ValidationProblems : IProblemDetailsWriter
{
    public bool CanWrite(ProblemDetailsContext context) => true;

    public async ValueTask WriteAsync(ProblemDetailsContext context)
    {
        var answer = context.ProblemDetails is HttpValidationProblemDetails invalid
            ? Problem.Invalid(invalid.Errors.Take(Mistakes.Most).ToDictionary(error => WireNameOf(error.Key, context.HttpContext), error => error.Value))
            : Problem.Of(context.HttpContext.Response.StatusCode, context.HttpContext.Request);
        await answer.ExecuteAsync(context.HttpContext);
    }

    /// <summary>The name that the client knows: the framework's errors come under those of C#.</summary>
    private static string WireNameOf(string name, HttpContext context) =>
        name == Idempotency.ParameterName && HttpMethods.IsPost(context.Request.Method) ? Idempotency.Header : JsonNamingPolicy.SnakeCaseLower.ConvertName(name);
}
