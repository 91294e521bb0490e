using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Banking.Bench;

/// <summary>
/// Transfers between random accounts at a steady rate. A latency counts from the moment at which the request was due, so that a
/// stall shows in every request it holds up, also in those that wait for a connection.
/// </summary>
internal static class OpenLoop
{
    private const int Connections = 256;
    private const int WarmUpSeconds = 5;

    // One thread sends, and the runtime's own threads of sockets receive: a thread for each connection, or HttpClient, would take more of
    // the processors that are being measured.
    public static void Run(Uri url, int rate, int seconds, int accounts)
    {
        using var free = new BlockingCollection<Connection>();
        for (var number = 0; number < Connections; number++)
        {
            free.Add(new(url));
        }

        var latencies = new ConcurrentQueue<double>();
        var failed = 0;
        var start = Stopwatch.GetTimestamp();
        for (var turn = 0; turn < rate * (WarmUpSeconds + seconds); turn++)
        {
            var due = TimeSpan.FromSeconds((double)turn / rate);
            if (due - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } early)
            {
                Thread.Sleep((int)Math.Ceiling(early.TotalMilliseconds));
            }

            Send(Free(), due);
        }

        for (var number = 0; number < Connections; number++)
        {
            Free().Dispose(); // its answer is there
        }

        var sorted = latencies.Order().ToList();
        double At(double share) => sorted[(int)((sorted.Count - 1) * share)];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"result {sorted.Count / seconds} {At(0.5):F2} {At(0.99):F2} {failed}"));

        Connection Free() => free.TryTake(out var connection, TimeSpan.FromSeconds(10)) ? connection : throw new TimeoutException("The service has not answered for 10 s.");

        async void Send(Connection connection, TimeSpan due) // void: a lost connection ends the process
        {
            var from = Random.Shared.Next(accounts);
            var posted = await connection.PostAsync(1000 + from, 1000 + ((from + Random.Shared.Next(1, accounts)) % accounts));
            if (due.TotalSeconds >= WarmUpSeconds)
            {
                latencies.Enqueue((Stopwatch.GetElapsedTime(start) - due).TotalMilliseconds);
                Interlocked.Add(ref failed, posted ? 0 : 1);
            }

            free.Add(connection);
        }
    }

    private sealed class Connection : IDisposable
    {
        private readonly Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        private readonly string host;
        private readonly byte[] buffer = new byte[4096];

        public Connection(Uri url)
        {
            host = url.Authority;
            socket.Connect(url.Host, url.Port);
        }

        /// <summary>Whether the service posted the transfer.</summary>
        public async ValueTask<bool> PostAsync(int from, int to)
        {
            var body = $$"""{"from_account_id":{{from}},"to_account_id":{{to}},"amount":"0.01"}""";
            var length = Encoding.ASCII.GetBytes(
                $"POST /api/transaction HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}", buffer);
            await socket.SendAsync(buffer.AsMemory(0, length));
            for (var received = 0; !buffer.AsSpan(0, received).EndsWith("\r\n0\r\n\r\n"u8);) // the last chunk
            {
                received += await socket.ReceiveAsync(buffer.AsMemory(received)) is > 0 and var more ? more : throw new IOException("The service hung up.");
            }

            return buffer.AsSpan().StartsWith("HTTP/1.1 201 "u8);
        }

        public void Dispose() => socket.Dispose();
    }
}
