using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;

namespace Banking.Tests;

/// <summary>An OpenTelemetry collector, and what the program sent it (OTLP over HTTP in protobuf).</summary>
internal sealed class Collector : IDisposable
{
    private readonly HttpListener listener = new();

    public Collector()
    {
        var address = $"http://127.0.0.1:{Ports.Free()}/";
        Settings =
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", address), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"), ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ];
        listener.Prefixes.Add(address);
        listener.Start();
        _ = Task.Run(ServeAsync);
    }

    /// <summary>One span. Ids are lower-case hexadecimal; a link is a trace id and a span id.</summary>
    public sealed record Span(
        string Name, string TraceId, string SpanId, string ParentId, IReadOnlyList<(string TraceId, string SpanId)> Links, double Milliseconds, string Attributes);

    /// <summary>A metric's value for some labels; for a histogram its count.</summary>
    public sealed record Point(string Name, string Labels, double Value);

    /// <summary>The program's settings to send here, at once.</summary>
    public (string Name, string Value)[] Settings { get; }

    /// <summary>In the order in which they ended.</summary>
    public ConcurrentQueue<Span> Spans { get; } = [];

    public ConcurrentQueue<Point> Points { get; } = [];

    /// <summary>The attributes of the program itself, as each message names them.</summary>
    public ConcurrentQueue<string> Resources { get; } = [];

    /// <summary>Waits until it has received a matching item.</summary>
    public static async Task<T> GetsAsync<T>(ConcurrentQueue<T> received, Func<T, bool> wanted)
    {
        await Wait.UntilAsync(() => received.Any(wanted));
        return received.First(wanted);
    }

    public void Dispose() => listener.Close();

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                var context = await listener.GetContextAsync();
                using var body = new MemoryStream();
                await context.Request.InputStream.CopyToAsync(body);
                var message = new Message(body.ToArray());
                Resources.Enqueue(Attributes(message.All(1, 1, 1)));
                var received = message.All(1, 2, 2);
                if (context.Request.Url!.AbsolutePath == "/v1/traces")
                {
                    foreach (var span in received)
                    {
                        Spans.Enqueue(new(
                            span.Text(5), span.Hex(1), span.Hex(2), span.Hex(4), [.. span.All(13).Select(link => (link.Hex(1), link.Hex(2)))],
                            (span.Number(8) - span.Number(7)) / 1e6, Attributes(span.All(9))));
                    }
                }
                else
                {
                    foreach (var metric in received)
                    {
                        Enqueue(metric, metric.All(5, 1).Concat(metric.All(7, 1)), labels: 7, Value);
                        Enqueue(metric, metric.All(9, 1), labels: 9, point => point.Number(4));
                    }
                }

                context.Response.Close();
            }
        }
        catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
        {
            // Closed.
        }
    }

    private void Enqueue(Message metric, IEnumerable<Message> points, int labels, Func<Message, double> value)
    {
        foreach (var point in points)
        {
            Points.Enqueue(new(metric.Text(1), Attributes(point.All(labels)), value(point)));
        }
    }

    private static double Value(Message point) => point.Has(4) ? BitConverter.UInt64BitsToDouble(point.Number(4)) : point.Number(6);

    private static string Attributes(IEnumerable<Message> attributes) => string.Join(", ", attributes.Select(attribute =>
    {
        var value = attribute.All(2).Single();
        return $"{attribute.Text(1)}={(value.Has(1) ? value.Text(1) : value.Number(3).ToString(CultureInfo.InvariantCulture))}";
    }).Order(StringComparer.Ordinal));

    /// <summary>A protobuf message, read without its definition: fields by number.</summary>
    private sealed class Message
    {
        private readonly ILookup<int, (ulong Number, byte[] Bytes)> fields;

        public Message(byte[] bytes)
        {
            var read = new List<(int Field, ulong Number, byte[] Bytes)>();
            using var reader = new BinaryReader(new MemoryStream(bytes));
            while (reader.BaseStream.Position < bytes.Length)
            {
                var tag = reader.Read7BitEncodedInt();
                read.Add((tag & 7) switch
                {
                    0 => (tag >> 3, (ulong)reader.Read7BitEncodedInt64(), []),
                    1 => (tag >> 3, reader.ReadUInt64(), []),
                    2 => (tag >> 3, 0, reader.ReadBytes(reader.Read7BitEncodedInt())),
                    5 => (tag >> 3, reader.ReadUInt32(), []),
                    _ => throw new InvalidDataException($"No wire type of protobuf: {tag & 7}."),
                });
            }

            fields = read.ToLookup(field => field.Field, field => (field.Number, field.Bytes));
        }

        public bool Has(int field) => fields.Contains(field);

        public ulong Number(int field) => fields[field].LastOrDefault().Number;

        public string Text(int field) => Encoding.UTF8.GetString(Bytes(field));

        public string Hex(int field) => Convert.ToHexStringLower(Bytes(field));

        /// <summary>The messages at the end of a path of fields.</summary>
        public IEnumerable<Message> All(params int[] path) => path.Aggregate(
            (IEnumerable<Message>)[this], (messages, field) => messages.SelectMany(message => message.fields[field].Select(found => new Message(found.Bytes))));

        private byte[] Bytes(int field) => fields[field].LastOrDefault().Bytes ?? [];
    }
}
