using Banking.Data;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http.Features;

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

/// <summary>Answers in our form where the framework would write a problem document of its own. Where its validation found a mistake, the answer names all mistakes.</summary>
internal sealed class ValidationProblems : IProblemDetailsWriter
{
    public bool CanWrite(ProblemDetailsContext context) => true;

    public async ValueTask WriteAsync(ProblemDetailsContext context)
    {
        var (http, call) = (context.HttpContext, context.HttpContext.GetEndpoint()?.Metadata.GetMetadata<CallForm>());
        var answer = context.ProblemDetails is HttpValidationProblemDetails && call is not null
            ? new Mistakes(http.Request, call, http.Features.Get<IRequestBodyPipeFeature>() as BufferedBody).ToAnswer()
            : Problem.Of(http.Response.StatusCode, http.Request);
        await answer.ExecuteAsync(http);
    }
}
