using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// The only way to write to the book. Requests wait in a bounded queue, and each database transaction takes all that wait. So an
/// idle service commits one request at once, and a busy one commits hundreds with a single flush to disk.
/// </summary>
public sealed class Ledger : IDisposable
{
    private static readonly TimeSpan BusyAccountRecheck = TimeSpan.FromMilliseconds(50);

    private readonly LedgerOptions options;
    private readonly GroupCommit commit;
    // A request that finds nobody at work begins the write transaction on its own thread.
    private readonly Channel<Pending> queue = Channel.CreateUnbounded<Pending>(new() { SingleReader = true, AllowSynchronousContinuations = true });
    private readonly Meter meter = new(Telemetry.Name); // of what is this ledger's own
    private int waiting;
    private long oldest; // when the first request arrived that has waited since the last commit

    public Ledger(NpgsqlDataSource dataSource, Currencies currencies, CommittedHead head, LedgerOptions options, ILogger<Ledger> logger)
    {
        this.options = options;
        commit = new(new(dataSource, currencies, head), options, logger);
        commit.Committed += () => Volatile.Write(ref oldest, 0);
        meter.CreateObservableGauge("banking.queue.depth", () => Waiting, "{request}", "Requests that wait for their answer.");
        meter.CreateObservableGauge(
            "banking.queue.age", () => MeasureAge().TotalSeconds, "s",
            "How long requests have waited since the last commit. A refused one counts as long as others wait: its client sends it again.");
        meter.CreateObservableGauge(
            "banking.head.ahead", () => commit.Clock.Ahead.TotalSeconds, "s",
            "How far the time of the last block is ahead of the database's clock. 0 unless that clock was ahead.");
        meter.CreateObservableGauge(
            "banking.head", () => commit.LastTransactionId, "{transaction}", "The last transaction id that this instance has committed.");
    }

    /// <summary>How many requests wait for their answer. A batch counts by its postings.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    /// <summary>This instance may have committed something.</summary>
    public event Action? Committed
    {
        add => commit.Committed += value;
        remove => commit.Committed -= value;
    }

    /// <summary>Does the request, exactly once, or says why not. Faults where the fault is ours.</summary>
    public async Task<Decision<T>> SubmitAsync<T>(LedgerRequest<T> request)
        where T : class
    {
        Decision<T>? decision = null;
        try
        {
            var pending = new Pending<T>(request);
            decision = Interlocked.Add(ref waiting, request.Weight) > options.QueueLimit
                ? new Refused(Refusal.Overloaded, "The queue of this service is full. Nothing was done. Retry later.")
                : queue.Writer.TryWrite(pending)
                    ? await pending.Answered
                    : new Refused(Refusal.DatabaseUnavailable, "This instance is shutting down. Nothing was done. Retry later.");
            return decision;
        }
        finally
        {
            Interlocked.Add(ref waiting, -request.Weight);
            Telemetry.Answered(request.Operation, decision switch
            {
                null or { Refused.Refusal: Refusal.DatabaseUnavailable or Refusal.Overloaded or Refusal.AccountBusy } => Telemetry.Failed,
                { Refused: not null } => "refused",
                { Replayed: true } => "replayed",
                _ => "posted",
            });
        }
    }

    /// <summary>
    /// Writes what is submitted, until it is stopped. It still answers what it took by then. Where the database hangs, it gives up after
    /// a second: those clients have gone, and learn the outcome with their keys.
    /// </summary>
    public async Task RunAsync(CancellationToken stop)
    {
        Telemetry.ShowFaults();
        var writing = WriteAsync();
        await writing.WaitAsync(stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        queue.Writer.TryComplete();
        if (writing.IsFaulted)
        {
            await writing;
        }

        await writing.WaitAsync(TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void Dispose() => meter.Dispose();

    private TimeSpan MeasureAge()
    {
        if (Waiting == 0)
        {
            Volatile.Write(ref oldest, 0); // the clients of refused requests have given up
        }

        return Volatile.Read(ref oldest) is var since and not 0 ? Stopwatch.GetElapsedTime(since) : TimeSpan.Zero;
    }

    private async Task WriteAsync()
    {
        while (await queue.Reader.WaitToReadAsync())
        {
            var (batch, weight) = (new List<Pending>(), 0);
            while (queue.Reader.TryPeek(out var next) && (batch.Count == 0 || weight + next.Weight <= options.BatchLimit) && queue.Reader.TryRead(out var pending))
            {
                batch.Add(pending);
                weight += pending.Weight;
                Telemetry.QueueWait.Record(Stopwatch.GetElapsedTime(pending.QueuedAt).TotalSeconds);
            }

            Interlocked.CompareExchange(ref oldest, batch[0].QueuedAt, 0);
            foreach (var pending in await commit.RunAsync(batch))
            {
                _ = WaitForAccountAsync(pending);
            }
        }
    }

    /// <summary>Puts a request back in the queue for another look at its account, until its time is up.</summary>
    private async Task WaitForAccountAsync(Pending pending)
    {
        await Task.Delay(BusyAccountRecheck);
        pending.QueuedAt = Stopwatch.GetTimestamp();
        if (pending.Waited.TotalSeconds > options.AccountBusySeconds || !queue.Writer.TryWrite(pending))
        {
            pending.Refuse(new(Refusal.AccountBusy, "Another database session has locked the account. Nothing was done. Retry later."));
        }
    }
}
