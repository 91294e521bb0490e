using System.Globalization;
using Banking.Data;

namespace Banking.Api;

/// <summary>The period of a statement in UTC: <c>From</c> is inclusive, <c>To</c> exclusive.</summary>
internal sealed record Period(DateTime From, DateTime To);

/// <summary>Writes a statement in one format into its buffer. <see cref="StatementResult"/> sends and empties the buffer after each chunk.</summary>
internal abstract class StatementWriter : IDisposable
{
    public MemoryStream Buffer { get; } = new();

    public abstract string ContentType { get; }

    public abstract string Extension { get; }

    /// <summary>Whether <see cref="Begin"/> needs the totals. They cost another walk through the entries.</summary>
    public virtual bool BeginsWithTotals => false;

    public abstract void Begin(StatementTotals? totals);

    public abstract void Write(IReadOnlyList<Entry> entries);

    public abstract void End(StatementTotals totals);

    public abstract void Dispose();
}

/// <summary>Sends a statement chunk by chunk. A client never gets a part of a statement in an answer that ends well.</summary>
internal sealed partial class StatementResult(
    Statement statement, Period period, Statements statements, ILogger<StatementResult> logger, StatementWriter writer) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        using var _ = writer;
        httpContext.Response.ContentType = writer.ContentType;
        httpContext.Response.Headers.ContentDisposition = string.Create(
            CultureInfo.InvariantCulture,
            $"attachment; filename=\"statement-{statement.AccountId}-{period.From:yyyy-MM-dd}-{period.To:yyyy-MM-dd}.{writer.Extension}\"");
        if (httpContext.AsksForHead())
        {
            return;
        }

        try
        {
            await WriteAsync(httpContext, httpContext.RequestAborted);
        }
        catch (Exception exception) when (httpContext.Response.HasStarted)
        {
            if (!httpContext.RequestAborted.IsCancellationRequested)
            {
                LogBroken(exception, statement.AccountId, Observability.LineOf(httpContext).TraceId);
            }

            httpContext.Abort(); // a normal end would make the part a whole
        }
    }

    private async Task WriteAsync(HttpContext context, CancellationToken cancellationToken)
    {
        writer.Begin(writer.BeginsWithTotals ? await statements.SumAsync(statement, cancellationToken) : null);
        var totals = StatementTotals.None;
        await foreach (var chunk in statements.ReadAsync(statement, cancellationToken))
        {
            totals = totals.With(chunk);
            writer.Write(chunk);
            await SendAsync(context.Response, cancellationToken);
        }

        if (statement.OpeningBalance + totals.Credits - totals.Debits != statement.ClosingBalance)
        {
            throw new InvalidOperationException($"The entries of account {statement.AccountId} do not add up to its balance. Somebody changed the log. Run verify.");
        }

        writer.End(totals);
        await SendAsync(context.Response, cancellationToken);
    }

    private async Task SendAsync(HttpResponse response, CancellationToken cancellationToken)
    {
        await response.Body.WriteAsync(writer.Buffer.GetBuffer().AsMemory(0, (int)writer.Buffer.Length), cancellationToken);
        writer.Buffer.SetLength(0);
    }

    [LoggerMessage(LogLevel.Warning, "A statement of account {AccountId} was broken off: the client got a part and then a broken connection. It can ask again. Check the database. Trace {TraceId}")]
    private partial void LogBroken(Exception exception, long accountId, string traceId);
}
