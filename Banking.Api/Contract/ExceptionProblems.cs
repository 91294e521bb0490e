using Banking.Data;
using Microsoft.AspNetCore.Diagnostics;

namespace Banking.Api;

/// <summary>
/// Answers exceptions with problem documents. A client's mistake is not logged. An unavailable database is logged as a warning.
/// Everything else is our fault and is logged as an error.
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
            _ when Database.IsAtFault(exception) => DatabaseUnavailable(exception, httpContext),
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
        LogDatabaseUnavailable(exception, context.Request.Method, context.Request.Path, Observability.LineOf(context).TraceId);
        return Problem.Of(Refusal.DatabaseUnavailable, Database.IsTransient(exception)
            ? "The database did not answer. Nothing was done. Retry later."
            : "The database failed the request. Retry later with the same Idempotency-Key: the request is applied at most once.");
    }

    private ProblemResult Fault(Exception exception, HttpContext context)
    {
        LogFault(exception, context.Request.Method, context.Request.Path, Observability.LineOf(context).TraceId);
        return Problem.Of(500, context.Request);
    }

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} failed with 503: the database did not answer. The client can retry. Check the database. Trace {TraceId}")]
    private partial void LogDatabaseUnavailable(Exception exception, string method, string path, string traceId);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed with 500. This is a bug in the service: report it with this entry. Trace {TraceId}")]
    private partial void LogFault(Exception exception, string method, string path, string traceId);
}
