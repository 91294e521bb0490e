using Dapper;
using Microsoft.Extensions.Logging;

namespace Banking.Data;

/// <summary>
/// Has holds expire within a second after their time. Every instance looks for due holds and sends them through the ledger like
/// any request; a hold that two instances send expires once. A request that needs the money of a due hold does not wait for this.
/// </summary>
public sealed partial class HoldExpiry(ReadDatabase database, Ledger ledger, ILogger<HoldExpiry> logger)
{
    private sealed record DueHold(long HoldId, long AccountId, DateTime ExpiresAt);

    private const int PageSize = 500;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private static readonly DueHold Start = new(0, 0, DateTime.UnixEpoch);

    // By the index hold_due_idx, after the hold with which the last page ended.
    private const string DueSql = """
        SELECT hold_id
             , account_id
             , expires_at
          FROM hold
         WHERE status = 'pending'
           AND expires_at <= clock_timestamp()
           AND (expires_at, hold_id) > (@expires_at, @hold_id)
         ORDER BY expires_at, hold_id
         LIMIT @rows;
        """;

    // Another session may have locked a hold or its account. Such holds stay here until they end or are refused, and the next ones have
    // their turn meanwhile.
    private readonly Dictionary<long, Task> underway = [];
    private DueHold last = Start;
    private bool isFailing;

    /// <summary>Looks for due holds until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stop))
        {
            try
            {
                await EndDueAsync(stop);
                isFailing = false;
            }
            catch (Exception exception) when (!stop.IsCancellationRequested) // whatever it is, the next look may succeed
            {
                if (!isFailing)
                {
                    LogFailing(Database.IsAtFault(exception) ? null : exception, Database.ReasonOf(exception), Interval.TotalSeconds);
                }

                isFailing = true;
            }
        }
    }

    private async Task EndDueAsync(CancellationToken stop)
    {
        do
        {
            if (underway.Count < PageSize)
            {
                var after = new { expires_at = last.ExpiresAt, hold_id = last.HoldId, rows = PageSize };
                var due = (await database.ReadAsync(connection => connection.QueryAsync<DueHold>(DueSql, after), stop)).AsList();
                foreach (var hold in due.Where(hold => !underway.ContainsKey(hold.HoldId)))
                {
                    underway.Add(hold.HoldId, ledger.SubmitAsync(new ExpireHold(hold.HoldId, hold.AccountId)));
                }

                last = due.Count < PageSize ? Start : due[^1];
            }

            await Task.WhenAny(Task.WhenAll(underway.Values), Task.Delay(Interval, stop));
            var ended = underway.Where(one => one.Value.IsCompleted).ToList();
            ended.ForEach(one => underway.Remove(one.Key));
            await Task.WhenAll(ended.Select(one => one.Value));
        }
        while (last != Start && underway.Count < PageSize);
    }

    [LoggerMessage(LogLevel.Warning, "Due holds could not be read or ended: {Reason}. Their money stays held until a request needs it; the service looks again every {Seconds} s.")]
    private partial void LogFailing(Exception? exception, string reason, double seconds);
}
