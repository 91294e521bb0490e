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

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private const int PageSize = 500;

    // By the index hold_due_idx, from the hold after which the last page ended: holds that cannot be ended now, as another session has
    // locked their account, stand in nobody's way.
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
                    LogFailing(exception, Interval.TotalSeconds);
                }

                isFailing = true;
            }
        }
    }

    private async Task EndDueAsync(CancellationToken stop)
    {
        var (last, isLastPage) = (new DueHold(0, 0, DateTime.UnixEpoch), false);
        while (!isLastPage)
        {
            var after = new { expires_at = last.ExpiresAt, hold_id = last.HoldId, rows = PageSize };
            var due = (await database.ReadAsync(connection => connection.QueryAsync<DueHold>(DueSql, after), stop)).AsList();
            await Task.WhenAll(due.Select(hold => ledger.SubmitAsync(new ExpireHold(hold.HoldId, hold.AccountId))));
            (last, isLastPage) = (due.LastOrDefault(last), due.Count < PageSize);
        }
    }

    [LoggerMessage(LogLevel.Warning, "Due holds could not be read or ended. Their money stays held until a request needs it; the service looks again every {Seconds} s.")]
    private partial void LogFailing(Exception exception, double seconds);
}
