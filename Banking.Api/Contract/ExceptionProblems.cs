using Banking.Data;
using Microsoft.AspNetCore.Diagnostics;

namespace Banking.Api;

/// <summary>
/// Answers exceptions with problem documents. A client's mistake is not logged. An unavailable database is logged as an outage.
/// Everything else is our fault and is logged as an error.
/// </summary>
internal sealed partial class ExceptionProblems(DatabaseOutage outage, ILogger<ExceptionProblems> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var answer = exception switch
        {
            _ when httpContext.RequestAborted.IsCancellationRequested => null,
            BadHttpRequestException { StatusCode: var status } => Problem.Of(status, httpContext.Request),
            OverloadedException => Problem.Of(Refusal.Overloaded, exception.Message),
            _ when Database.IsAtFault(exception) => outage.Refuse(httpContext, exception),
            _ => Fault(exception, httpContext),
        };
        if (answer is not null)
        {
            await answer.ExecuteAsync(httpContext);
        }

        return true;
    }

    private ProblemResult Fault(Exception exception, HttpContext context)
    {
        LogFault(exception, context.Request.Method, context.Request.Path, Observability.LineOf(context).TraceId);
        return Problem.Of(500, context.Request);
    }

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed with 500. This is a bug in the service: report it with this entry. Trace {TraceId}")]
    private partial void LogFault(Exception exception, string method, string path, string traceId);
}
