using Dapper;
using Microsoft.Extensions.Logging;

namespace Banking.Data;

/// <summary>
/// Has holds expire within a second after their time. Every instance looks for due holds and sends them through the ledger like
/// any request; a hold that two instances send expires once. A request that needs the money of a due hold does not wait for this.
/// </summary>
public sealed partial class HoldExpiry(ReadDatabase database, Ledger ledger, ILogger<HoldExpiry> logger)
{
    private sealed record DueHold(long HoldId, long AccountId);

    private const int AtOnce = 500;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    // By the index hold_due_idx.
    private const string DueSql = """
        SELECT hold_id
             , account_id
          FROM hold
         WHERE status = 'pending'
           AND expires_at <= clock_timestamp()
           AND hold_id <> ALL (@underway)
         ORDER BY expires_at
         LIMIT @more;
        """;

    // A hold that another session has locked takes its time, and the others do not wait for it.
    private readonly Dictionary<long, Task> underway = [];
    private bool isFailing;

    /// <summary>Looks for due holds until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stop))
        {
            try
            {
                var ended = underway.Where(one => one.Value.IsCompleted).ToList();
                ended.ForEach(one => underway.Remove(one.Key));
                await Task.WhenAll(ended.Select(one => one.Value));
                var sought = new { underway = underway.Keys.ToArray(), more = AtOnce - underway.Count };
                var due = (await database.ReadAsync(connection => connection.QueryAsync<DueHold>(DueSql, sought), stop)).AsList();
                due.ForEach(hold => underway.Add(hold.HoldId, ledger.SubmitAsync(new ExpireHold(hold.HoldId, hold.AccountId))));
                isFailing &= ended.Count == 0 && due.Count > 0;
            }
            catch (Exception exception) when (!stop.IsCancellationRequested) // whatever it is, the next look may succeed
            {
                if (!isFailing)
                {
                    LogFailing(exception, Interval.TotalSeconds);
                }

                isFailing = true;
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Due holds could not be read or ended. Their money stays held until a request needs it; the service looks again every {Seconds} s.")]
    private partial void LogFailing(Exception exception, double seconds);
}
