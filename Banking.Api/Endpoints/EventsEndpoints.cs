using System.Buffers;
using System.ComponentModel;
using Banking.Data;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;

namespace Banking.Api;

/// <summary>Shows everything that happens, in the order of commits: in pages, in pages that wait, or as a stream.</summary>
internal static class EventsEndpoints
{
    private const string LastEventId = "Last-Event-ID";

    public static void MapEvents(this IEndpointRouteBuilder api) =>
        api.MapGet("/events", Events)
            .WithName("events")
            .WithTags("Events")
            .WithSummary("Follow the events")
            .WithDescription(
                "Lists everything that happened in the book, oldest first, as CloudEvents 1.0. The list has no gaps and follows the order of commits. "
                + "Send the id of the last event that you have handled as `after`; an empty list means that there is none yet, so keep your id. With `wait`, an empty list waits for the next event. "
                + "A page with about 1 MB of metadata ends before its limit. "
                + "With `Accept: text/event-stream` the answer is a stream of server-sent events that goes on until the token expires: its data are the same events, and its ids too.")
            .Needs(Scope.EventsRead)
            .Answers<IReadOnlyList<CloudEvent>>(200, CloudEventWriter.BatchType, Refusal.Overloaded);

    private static async Task<IResult> Events(
        [FromQuery(Name = "after"), EventId, Description("The id of the last event that you have. Leave it out to start at the beginning of the book. To start now, join `transaction_id` and `account_event_id` of audit_head with a hyphen."), Example("\"42-7\"")] string? after,
        [FromQuery(Name = "limit"), Limit, Description("The largest number of events in a page."), Example("50")] int? limit,
        [FromQuery(Name = "wait"), Wait, Description("How many seconds to wait for an event if there is none yet."), Example("30")] int? wait,
        [FromHeader(Name = LastEventId), EventId, Description("The same as `after`, and stronger. Clients of streams send it when they reconnect."), Example("\"42-7\"")] string? lastEventId,
        BookEvents events,
        EventFeed feed,
        CloudEventWriter writer,
        GracefulShutdown shutdown,
        HttpContext context,
        CancellationToken cancellationToken)
    {
        _ = EventCursor.TryParse(lastEventId ?? after ?? "", out var start); // left out: 0-0
        var (isStream, patience) = (EventStream.IsAskedFor(context.Request), TimeSpan.FromSeconds(wait ?? 0));
        var rows = isStream || patience > TimeSpan.Zero
            ? await WaitAsync()
            : await events.PageAsync(start, limit ?? LimitAttribute.Default, cancellationToken);

        return rows is null ? Problem.Invalid(lastEventId is null ? "after" : LastEventId, EventIdAttribute.Rule)
            : isStream ? new EventStream(feed, writer, start, rows, shutdown.Drained)
            : new EventPage(writer, rows);

        async Task<IReadOnlyList<BookEvent>?> WaitAsync()
        {
            context.EndReadTime(); // each read has its own limit
            using var end = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, shutdown.Drained);
            try
            {
                return await feed.NextAsync(start, limit ?? LimitAttribute.Default, isStream ? TimeSpan.Zero : patience, isFirst: true, end.Token);
            }
            catch (Exception exception) when (isStream && EventStream.IsPassing(exception))
            {
                return []; // a browser's EventSource gives up after a refusal, so the stream begins and reads later
            }
            catch (OperationCanceledException) when (shutdown.Drained.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
            {
                return [];
            }
        }
    }
}

/// <summary>A page of events in the JSON batch format of CloudEvents.</summary>
internal sealed class EventPage(CloudEventWriter writer, IReadOnlyList<BookEvent> events) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.ContentType = $"{CloudEventWriter.BatchType}; charset=utf-8";
        return writer.WriteBatchAsync(httpContext.Response, events, httpContext.RequestAborted);
    }
}

/// <summary>
/// A stream of server-sent events, one for each event of the book. It ends when the client leaves, when the token expires, and when the
/// port closes. The client then connects again and sends the last id that it has.
/// </summary>
internal sealed class EventStream(
    EventFeed feed, CloudEventWriter writer, EventCursor start, IReadOnlyList<BookEvent> first, CancellationToken drained) : IResult
{
    public const string Type = "text/event-stream";

    private const int ChunkEvents = 500;
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>Whether the client prefers a stream to a page.</summary>
    public static bool IsAskedFor(HttpRequest request)
    {
        var accepted = request.GetTypedHeaders().Accept;
        return Preference(Type) is var stream && stream.Quality > 0 && stream.CompareTo(Preference(CloudEventWriter.BatchType, "application/json")) > 0;

        // The most specific range that fits counts. Between equal qualities, the more specific range decides.
        (double Quality, int Specificity) Preference(params string[] types) => accepted
            .Select(range => (Range: range, Specificity: range.MatchesAllTypes ? 1 : range.MatchesAllSubTypes ? 2 : 3))
            .Where(one => types.Any(type => one.Specificity < 3
                ? MediaTypeHeaderValue.Parse(type).IsSubsetOf(new MediaTypeHeaderValue(one.Range.MediaType))
                : one.Range.MediaType.Equals(type, StringComparison.OrdinalIgnoreCase)))
            .Select(one => (one.Range.Quality ?? 1, one.Specificity))
            .OrderByDescending(one => one.Specificity)
            .FirstOrDefault();
    }

    public static bool IsPassing(Exception exception) => exception is OverloadedException || Database.IsTransient(exception);

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.ContentType = Type;
        response.Headers["X-Accel-Buffering"] = "no"; // proxies such as nginx must not hold events back
        if (httpContext.AsksForHead())
        {
            return;
        }

        httpContext.Features.Get<IHttpMetricsTagsFeature>()?.MetricsDisabled = true; // its length is not the time of an answer
        using var end = CancellationTokenSource.CreateLinkedTokenSource(httpContext.RequestAborted, drained);
        if (Authentication.TokenLeft(httpContext) is { } left)
        {
            end.CancelAfter(left < TimeSpan.Zero ? TimeSpan.Zero : left < Longest ? left : Longest);
        }

        try
        {
            response.BodyWriter.Write("retry: 1000\n\n"u8); // milliseconds until the client connects again
            await writer.WriteStreamAsync(response, first, end.Token);
            var at = first is [.., var last] ? last.At : start;
            first = []; // a stream may last for a day: its first page is not in memory for so long
            while (await NextAsync(at, end.Token) is { } events)
            {
                at = events is [.., var newest] ? newest.At : at;
                if (events.Count == 0)
                {
                    response.BodyWriter.Write(":\n\n"u8); // a comment, so that nobody takes the connection for dead
                }

                await writer.WriteStreamAsync(response, events, end.Token);
            }
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
        }
    }

    /// <summary>The next events; none after a while without any; null where the book has lost its end, which the next connection says.</summary>
    private async Task<IReadOnlyList<BookEvent>?> NextAsync(EventCursor at, CancellationToken end)
    {
        try
        {
            return await feed.NextAsync(at, ChunkEvents, Heartbeat, isFirst: false, end);
        }
        catch (Exception exception) when (IsPassing(exception))
        {
            await Task.Delay(Random.Shared.Next(500, 1_500), end); // not all of them in step
            return [];
        }
    }
}
