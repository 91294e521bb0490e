using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace Banking.Data;

/// <summary>
/// Follows both logs for all who wait at their end. One reader per instance asks for news: at once after a commit of this instance,
/// otherwise twice a second, and only while somebody waits. The last events stay in memory, where those who wait find them.
/// </summary>
public sealed partial class EventFeed : IDisposable
{
    private const int MostEvents = 2_000;
    private const int PageSize = 500;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(5); // commits that follow fast are read together

    private readonly BookEvents events;
    private readonly Ledger ledger;
    private readonly TimeProvider time;
    private readonly ILogger<EventFeed> logger;
    private readonly Meter meter = new(Telemetry.Name); // of what is this feed's own
    private readonly SemaphoreSlim look = new(0);
    private volatile Window window = new(default, []);
    private volatile bool isFollowing;
    private bool isFailing;
    private int waiting;

    public EventFeed(BookEvents events, Ledger ledger, TimeProvider time, ILogger<EventFeed> logger)
    {
        (this.events, this.ledger, this.time, this.logger) = (events, ledger, time, logger);
        ledger.Committed += LookForThoseWhoWait;
        meter.CreateObservableGauge("banking.events.waiting", () => Waiting, "{request}", "Long polls and streams that wait for the next event.");
    }

    /// <summary>How many wait for the next event.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    /// <summary>
    /// At most <paramref name="limit"/> events after a place, as soon as there are any. Empty if none came in that time; null where the
    /// book has not got so far. At the end of the book this asks the database nothing, except when <paramref name="isFirst"/> and
    /// nobody else has waited: then a failing database throws.
    /// </summary>
    public async Task<IReadOnlyList<BookEvent>?> NextAsync(
        EventCursor after, int limit, TimeSpan patience, bool isFirst, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref waiting) == 1)
        {
            Look();
        }

        try
        {
            for (var since = time.GetTimestamp(); ; isFirst = false)
            {
                var seen = window; // before the database: what comes later replaces it
                if (seen.After(after, limit) is { Count: > 0 } known)
                {
                    return known;
                }

                if ((seen.End != after || (isFirst && !isFollowing)) && await events.PageAsync(after, limit, cancellationToken) is not { Count: 0 } and var page)
                {
                    return page;
                }

                var left = patience - time.GetElapsedTime(since);
                if (left <= TimeSpan.Zero)
                {
                    return [];
                }

                await seen.Replaced.Task.WaitAsync(left, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            Interlocked.Decrement(ref waiting);
        }
    }

    /// <summary>Reads for those who wait until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            if (Waiting == 0)
            {
                isFollowing = false;
            }

            await look.WaitAsync(Waiting == 0 ? Timeout.InfiniteTimeSpan : Interval, stop);
            if (Waiting == 0)
            {
                continue;
            }

            try
            {
                await FollowAsync();
                isFailing = false;
            }
            catch (Exception exception) when (!stop.IsCancellationRequested) // whatever it is, the next look may succeed
            {
                if (!isFailing)
                {
                    LogFailing(Database.IsAtFault(exception) ? null : exception, Database.ReasonOf(exception), Interval.TotalSeconds);
                }

                isFailing = true;
                isFollowing = false;
            }

            await Task.Delay(Rest, stop);
        }
    }

    public void Dispose()
    {
        ledger.Committed -= LookForThoseWhoWait;
        meter.Dispose();
        look.Dispose();
    }

    private async Task FollowAsync()
    {
        if (!isFollowing)
        {
            // Nobody has waited for a while, or the database was away. Those who still wait at the window's end go on from there.
            var head = await events.HeadAsync();
            if (head.Count < window.End.Count || head.Count > window.End.Count + MostEvents)
            {
                Replace(new(head, []));
            }

            isFollowing = true;
        }

        while (await events.PageAsync(window.End, PageSize) is not { Count: 0 } and var page)
        {
            if (page is null)
            {
                isFollowing = false; // the database has lost the end of the book
                return;
            }

            Replace(window.With(page));
        }
    }

    /// <summary>Shows the next window, and wakes all who wait at this one's end.</summary>
    private void Replace(Window next)
    {
        var last = window;
        window = next;
        last.Replaced.SetResult();
    }

    private void LookForThoseWhoWait()
    {
        if (Waiting > 0)
        {
            Look();
        }
    }

    private void Look()
    {
        if (look.CurrentCount == 0)
        {
            look.Release();
        }
    }

    [LoggerMessage(LogLevel.Warning, "New events could not be read: {Reason}. Streams stay open and go on later; the service asks again every {Seconds} s.")]
    private partial void LogFailing(Exception? exception, string reason, double seconds);

    /// <summary>Some events without a gap, after a place.</summary>
    private sealed record Window(EventCursor Start, BookEvent[] Events)
    {
        public EventCursor End => Events is [.., var last] ? last.At : Start;

        public TaskCompletionSource Replaced { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>The events after a place; none if the place is not in this window.</summary>
        public ArraySegment<BookEvent> After(EventCursor place, int limit)
        {
            var index = place.Count - Start.Count;
            return index >= 0 && index <= Events.Length && (index == 0 ? Start : Events[index - 1].At) == place
                ? new(Events, (int)index, Math.Min(limit, Events.Length - (int)index))
                : ArraySegment<BookEvent>.Empty;
        }

        /// <summary>With a page that follows. The oldest events leave if there are too many or their metadata is too large.</summary>
        public Window With(IReadOnlyList<BookEvent> page)
        {
            BookEvent[] all = [.. Events, .. page];
            var (kept, metadata) = (0, 0);
            while (kept < Math.Min(all.Length, MostEvents) && metadata < BookEvents.MostMetadata)
            {
                kept++;
                metadata += all[^kept].Transaction?.Metadata?.Length ?? 0;
            }

            return kept == all.Length ? new(Start, all) : new(all[^(kept + 1)].At, all[^kept..]);
        }
    }
}
