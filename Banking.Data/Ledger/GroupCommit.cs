using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Banking.Data;

/// <summary>
/// Answers batches of requests. One write transaction takes the whole batch. After a passing fault it runs again; where one request
/// breaks it, each runs alone. An answer follows the commit, never precedes it.
/// </summary>
internal sealed partial class GroupCommit(LedgerTransaction transaction, LedgerOptions options, ILogger logger)
{
    private readonly Outage outage = new();
    private Exception? fault; // of the database, until the next commit: requests whose time passed in the queue get no further try

    public HeadClock Clock { get; } = new(logger);

    /// <summary>The last transaction id that this instance has committed.</summary>
    public long LastTransactionId { get; private set; }

    /// <summary>Something may have been committed.</summary>
    public event Action? Committed;

    /// <summary>Answers the requests of the batch, and returns those that have to wait for a locked account.</summary>
    public async Task<IReadOnlyList<Pending>> RunAsync(List<Pending> batch, int attempt = 1)
    {
        for (; fault is null || AnswerTheOverdue(batch, fault); attempt++)
        {
            using var span = Telemetry.StartShared("write transaction", batch.Select(pending => pending.Span))?.SetTag("banking.attempt", attempt);
            try
            {
                var book = await transaction.RunAsync(batch, isFirstAttempt: attempt == 1);
                fault = null;
                LogEnd();
                LastTransactionId = book.LastTransactionId;
                Clock.Observe(book.Head.Ahead);
                Committed?.Invoke();
                Telemetry.BatchSize.Record(batch.Sum(pending => pending.Weight));
                foreach (var settlement in book.Settlements)
                {
                    Telemetry.Settled(settlement.Currency.Code, settlement.State.Balance);
                }

                return batch.FindAll(pending => !pending.Answer());
            }
            catch (Exception exception) when (Database.IsTransient(exception))
            {
                fault = exception;
                span?.SetStatus(ActivityStatusCode.Error).Stop();
                Telemetry.Retries.Add(1);
                LogFault(exception, batch, attempt);
                // Jitter keeps several instances from coming back in step.
                var longest = Math.Min(20 << Math.Min(attempt, 5), 500);
                await Task.Delay(Random.Shared.Next(longest / 2, longest));
            }
            catch (Exception exception) when (batch.Count > 1)
            {
                // One of them broke the transaction. Alone, each gets its own answer.
                span?.SetStatus(ActivityStatusCode.Error).Stop();
                if (Database.IsAtFault(exception))
                {
                    LogFault(exception, batch, attempt);
                }
                else
                {
                    LogOneByOne(exception, batch.Count);
                }

                var waiting = new List<Pending>();
                foreach (var pending in batch)
                {
                    waiting.AddRange(await RunAsync([pending], attempt + 1));
                }

                return waiting;
            }
            catch (Exception exception)
            {
                span?.SetStatus(ActivityStatusCode.Error);
                batch[0].Fail(exception);
                return [];
            }
        }

        return [];
    }

    /// <summary>Refuses the requests whose time is up; false where no others are left.</summary>
    private bool AnswerTheOverdue(List<Pending> batch, Exception lastFault)
    {
        var refused = batch.RemoveAll(pending =>
        {
            var isOverdue = pending.Waited.TotalSeconds > options.RetrySeconds;
            if (isOverdue)
            {
                pending.Refuse(new(
                    Refusal.DatabaseUnavailable, "The database did not commit in time. Retry with the same Idempotency-Key: the request is applied at most once."));
            }

            return isOverdue;
        });
        if (refused > 0 && outage.Count(refused: refused) is { } sums)
        {
            LogSums(lastFault, sums);
        }

        return batch.Count > 0;
    }

    private void LogFault(Exception exception, List<Pending> batch, int attempt)
    {
        switch (outage.Count(faults: 1, waited: batch.Max(pending => pending.Waited)))
        {
            case { Faults: 1 }:
                LogFirst(exception, batch.Count, attempt, Database.ReasonOf(exception));
                break;
            case { } sums:
                LogSums(exception, sums);
                break;
        }
    }

    private void LogSums(Exception exception, Outage.Sums sums)
    {
        var (level, reason) = (sums.Refused > 0 ? LogLevel.Error : LogLevel.Warning, Database.ReasonOf(exception));
        LogSums(level, sums.Seconds, reason, sums.Faults, sums.Refused, options.RetrySeconds);
    }

    private void LogEnd()
    {
        if (outage.End() is { } sums)
        {
            LogEnd(sums.Seconds, sums.Faults, sums.Refused);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The database failed a batch of {Requests} requests (attempt {Attempt}): {Reason}. The batch runs again with the same keys; nothing is done twice. What fails next is summed up.")]
    private partial void LogFirst(Exception exception, int requests, int attempt, string reason);

    [LoggerMessage("The database has failed write transactions for {Seconds:F1} s, the last with: {Reason}. Failed transactions: {Transactions}. Requests given up after {RetrySeconds} s: {Requests}; they got 503 database_unavailable, and their clients can retry with the same keys. Nothing is done twice. Check the database: is it up, is its disk full, are connections left?")]
    private partial void LogSums(LogLevel level, double seconds, string reason, long transactions, long requests, int retrySeconds);

    [LoggerMessage(LogLevel.Information, "The database commits again. It failed for {Seconds:F1} s: {Transactions} write transactions failed, {Requests} requests got 503 database_unavailable.")]
    private partial void LogEnd(double seconds, long transactions, long requests);

    [LoggerMessage(LogLevel.Error, "One of {Requests} requests broke their transaction. Each of them now runs alone; the broken one gets a 500. Report this error.")]
    private partial void LogOneByOne(Exception exception, int requests);
}
