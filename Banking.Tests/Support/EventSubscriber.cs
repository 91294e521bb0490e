using System.Net;
using System.Text.Json;

namespace Banking.Tests;

/// <summary>An event as a stream or a page shows it.</summary>
internal sealed record SeenEvent(string Id, JsonElement Event)
{
    public string Type => Event.GetProperty("type").GetString()!;

    public string Subject => Event.GetProperty("subject").GetString()!;

    /// <summary>The row of its log.</summary>
    public JsonElement Row => Event.GetProperty("data").EnumerateObject().Single().Value;

    public static List<SeenEvent> In(Reply page) => [.. page.Body.EnumerateArray().Select(one => new SeenEvent(one.GetProperty("id").GetString()!, one))];
}

/// <summary>A client of the stream of events, as a browser's EventSource reads it.</summary>
internal sealed class EventSubscriber : IDisposable
{
    private readonly HttpResponseMessage response;
    private readonly StreamReader lines;

    private EventSubscriber(HttpResponseMessage response, Stream body) => (this.response, lines) = (response, new(body));

    public HttpResponseMessage Response => response;

    /// <summary>How many comments it has read.</summary>
    public int Heartbeats { get; private set; }

    /// <summary>How long the server asks it to wait before it connects again.</summary>
    public string? Retry { get; private set; }

    public static async Task<EventSubscriber> ConnectAsync(HttpClient http, string query = "", string? lastEventId = null, string? token = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/api/events{query}");
        request.Headers.Accept.Add(new("text/event-stream"));
        request.Headers.Authorization = token is null ? null : new("Bearer", token);
        if (lastEventId is not null)
        {
            request.Headers.Add("Last-Event-ID", lastEventId);
        }

        var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return response.StatusCode == HttpStatusCode.OK
            ? new(response, await response.Content.ReadAsStreamAsync())
            : throw new InvalidOperationException(await response.Content.ReadAsStringAsync());
    }

    /// <summary>The next event, or null where the stream ends.</summary>
    public async Task<SeenEvent?> NextAsync(CancellationToken cancellationToken = default)
    {
        string? id = null, data = null;
        while (await lines.ReadLineAsync(cancellationToken) is { } line)
        {
            switch (line.Split(": ", 2))
            {
                case ["id", var value]: id = value; break;
                case ["data", var value]: data = value; break;
                case ["retry", var value]: Retry = value; break;
                case [":"]: Heartbeats++; return null;
                case [""] when data is not null: return new(id!, JsonDocument.Parse(data).RootElement);
                case [""]: break;
                default: throw new InvalidOperationException(line);
            }
        }

        HasEnded = true;
        return null;
    }

    public bool HasEnded { get; private set; }

    /// <summary>The next so many events. Heartbeats between them do not count.</summary>
    public async Task<List<SeenEvent>> TakeAsync(int count, int seconds = 30)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        var seen = new List<SeenEvent>();
        while (seen.Count < count && !HasEnded)
        {
            if (await NextAsync(patience.Token) is { } one)
            {
                seen.Add(one);
            }
        }

        return seen;
    }

    /// <summary>Reads on until the stream ends.</summary>
    public async Task EndAsync(int seconds = 30) => await TakeAsync(int.MaxValue, seconds);

    public void Dispose()
    {
        lines.Dispose();
        response.Dispose();
    }
}
