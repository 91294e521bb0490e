using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Banking.Data;

/// <summary>
/// The meter and the activity source <c>Banking</c>. Labels have few, known values; they never hold ids, names, amounts or keys. Times
/// are in seconds.
/// </summary>
public static class Telemetry
{
    public const string Name = "Banking";
    internal const string Failed = "failed";

    public static Meter Meter { get; } = new(Name);

    private static readonly ActivitySource Spans = new(Name);

    private static readonly Counter<long> Postings = Meter.CreateCounter<long>(
        "banking.postings", "{request}", "Requests that the ledger answered, by type and outcome (posted, replayed, refused by a rule, failed with a 5xx).");

    private static readonly Counter<long> Failures = Meter.CreateCounter<long>(
        "banking.failures", "{request}", "Requests that the ledger answered with a 5xx.");

    internal static readonly Histogram<double> QueueWait = Meter.CreateHistogram(
        "banking.queue.wait", "s", "Time from a request's arrival in the queue to the start of its transaction.", advice: Seconds);

    internal static readonly Histogram<int> BatchSize = Meter.CreateHistogram(
        "banking.batch.size", "{request}", "Requests in one write transaction.",
        advice: new InstrumentAdvice<int> { HistogramBucketBoundaries = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] });

    internal static readonly Histogram<double> BatchDuration = Meter.CreateHistogram(
        "banking.batch.duration", "s", "Time of a successful write transaction, from its first statement to its commit.", advice: Seconds);

    internal static readonly Histogram<double> WriteDuration = Meter.CreateHistogram(
        "banking.write.duration", "s", "Time in which PostgreSQL writes a transaction's rows and commits: the disk and, if there is one, the synchronous standby.", advice: Seconds);

    internal static readonly Counter<long> Retries = Meter.CreateCounter<long>(
        "banking.batch.retries", "{transaction}", "Write transactions that the database failed and the service ran again.");

    private static readonly Gauge<double> SettlementUse = Meter.CreateGauge<double>(
        "banking.settlement.use", description: "How full a currency's settlement account is, by currency: 1 is full.");

    internal static readonly Gauge<double> ReplicaLag = Meter.CreateGauge<double>(
        "banking.replica.lag", "s", "How far the standby was behind the primary when they were last compared. Missing without a standby.");

    internal static readonly Gauge<int> ReplicaUsed = Meter.CreateGauge<int>(
        "banking.replica.used", description: "Whether history, lists and statements are read from the standby: 1 or 0. Missing without a standby.");

    internal static readonly Counter<long> ReplicaFailures = Meter.CreateCounter<long>(
        "banking.replica.failures", "{read}", "Reads that began on the standby, failed or were broken off there, and ran again on the primary.");

    private static InstrumentAdvice<double> Seconds => new()
    {
        HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    };

    /// <summary>Shows the counters of faults as 0. Prometheus takes no increase from a counter that appears with the first fault.</summary>
    internal static void ShowFaults()
    {
        Retries.Add(0);
        Failures.Add(0);
    }

    internal static void Settled(string currency, decimal balance) =>
        SettlementUse.Record((double)(Math.Abs(balance) / LockedBook.BalanceLimit), new KeyValuePair<string, object?>("currency", currency));

    internal static void Answered(string operation, string outcome)
    {
        Postings.Add(1, new("type", operation), new("outcome", outcome));
        if (outcome == Failed)
        {
            Failures.Add(1);
        }
    }

    /// <summary>
    /// The span of work for several requests at once, linked with their spans both ways; null if nobody listens.
    /// </summary>
    internal static Activity? StartShared(string name, IEnumerable<Activity?> requests)
    {
        if (!Spans.HasListeners())
        {
            return null;
        }

        var asking = requests.OfType<Activity>().ToList();
        var span = Spans.StartActivity(name, ActivityKind.Internal, parentContext: default, links: asking.Select(request => new ActivityLink(request.Context)));
        if (span is not null)
        {
            asking.ForEach(request => request.AddLink(new(span.Context)));
        }

        return span;
    }
}
