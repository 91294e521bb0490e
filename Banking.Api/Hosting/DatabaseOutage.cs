using Banking.Data;

namespace Banking.Api;

/// <summary>Answers a request that the database failed with 503, and logs it: the first with its stack, then sums, then the end.</summary>
internal sealed partial class DatabaseOutage
{
    private readonly Outage outage = new();
    private readonly ILogger logger;

    public DatabaseOutage(ReadDatabase database, ILogger<DatabaseOutage> logger)
    {
        this.logger = logger;
        database.Answered += LogEnd;
    }

    public ProblemResult Refuse(HttpContext context, Exception exception) =>
        Refuse(context, exception, Database.ReasonOf(exception), waited: default, Database.IsTransient(exception)
            ? "The database did not answer. Nothing was done. Retry later."
            : "The database failed the request. Retry later with the same Idempotency-Key: the request is applied at most once.");

    /// <summary>A read that took too long.</summary>
    public ProblemResult Refuse(HttpContext context, TimeSpan after) =>
        Refuse(context, exception: null, $"no answer within {after.TotalSeconds} s", after, "The database did not answer in time. Retry later.");

    private ProblemResult Refuse(HttpContext context, Exception? exception, string reason, TimeSpan waited, string detail)
    {
        switch (outage.Count(faults: 1, refused: 1, waited))
        {
            case { Faults: 1 }:
                LogFirst(exception, context.Request.Method, context.Request.Path, reason, Observability.LineOf(context).TraceId);
                break;
            case { } sums:
                LogSums(sums.Seconds, reason, sums.Refused);
                break;
        }

        return Problem.Of(Refusal.DatabaseUnavailable, detail);
    }

    private void LogEnd()
    {
        if (outage.End() is { } sums)
        {
            LogEnd(sums.Seconds, sums.Refused);
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} failed with 503: {Reason}. The client can retry. Check the database. Trace {TraceId}. What fails next is summed up.")]
    private partial void LogFirst(Exception? exception, string method, string path, string reason, string traceId);

    [LoggerMessage(LogLevel.Warning, "The database has failed requests for {Seconds:F1} s, the last with: {Reason}. {Requests} requests got 503 database_unavailable; their clients can retry. Check the database: is it up, are connections left, does a session hold a lock?")]
    private partial void LogSums(double seconds, string reason, long requests);

    [LoggerMessage(LogLevel.Information, "The database answers again. It failed requests for {Seconds:F1} s; {Requests} of them got 503 database_unavailable.")]
    private partial void LogEnd(double seconds, long requests);
}
