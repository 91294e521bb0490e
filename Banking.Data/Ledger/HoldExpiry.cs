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

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    // By the index hold_due_idx.
    private const string DueSql = """
        SELECT hold_id
             , account_id
          FROM hold
         WHERE status = 'pending'
           AND expires_at <= clock_timestamp()
         ORDER BY expires_at
         LIMIT 500;
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
                var due = (await database.ReadAsync(connection => connection.QueryAsync<DueHold>(DueSql), stop)).AsList();
                await Task.WhenAll(due.Select(hold => ledger.SubmitAsync(new ExpireHold(hold.HoldId, hold.AccountId))));
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

    [LoggerMessage(LogLevel.Warning, "Due holds could not be read or ended. Their money stays held until a request needs it; the service looks again every {Seconds} s.")]
    private partial void LogFailing(Exception exception, double seconds);
}
