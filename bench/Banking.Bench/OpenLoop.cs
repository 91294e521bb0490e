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
    // A thread and a bare socket for each: HttpClient takes twice as much of the processors that are being measured.
    private const int Connections = 256;

    public static void Run(Uri url, int rate, int seconds, int accounts)
    {
        RunOnce(url, rate, 5, accounts); // connections and compiled code
        var (latencies, failed) = RunOnce(url, rate, seconds, accounts);
        latencies.Sort();
        double At(double share) => latencies[(int)((latencies.Count - 1) * share)];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"result {latencies.Count / seconds} {At(0.5):F2} {At(0.99):F2} {failed}"));
    }

    private static (List<double> Latencies, int Failed) RunOnce(Uri url, int rate, int seconds, int accounts)
    {
        var latencies = new List<double>();
        var (taken, failed) = (-1, 0);
        var start = Stopwatch.GetTimestamp();
        var threads = Enumerable.Range(0, Connections).Select(_ => new Thread(SendInTurn)).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        return (latencies, failed);

        void SendInTurn()
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 10_000 };
            socket.Connect(url.Host, url.Port);
            var answer = new byte[4096];
            for (int turn; (turn = Interlocked.Increment(ref taken)) < rate * seconds;)
            {
                var due = TimeSpan.FromSeconds((double)turn / rate);
                if (due - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } early)
                {
                    Thread.Sleep((int)Math.Ceiling(early.TotalMilliseconds));
                }

                var from = Random.Shared.Next(accounts);
                var to = (from + Random.Shared.Next(1, accounts)) % accounts;
                var body = $$"""{"from_account_id":{{1000 + from}},"to_account_id":{{1000 + to}},"amount":"0.01"}""";
                socket.Send(Encoding.ASCII.GetBytes(
                    $"POST /api/transaction HTTP/1.1\r\nHost: {url.Authority}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
                for (var received = 0; !answer.AsSpan(0, received).EndsWith("\r\n0\r\n\r\n"u8);) // the last chunk
                {
                    received += socket.Receive(answer.AsSpan(received)) is > 0 and var more ? more : throw new IOException("The service hung up.");
                }

                var latency = Stopwatch.GetElapsedTime(start) - due;
                lock (latencies)
                {
                    latencies.Add(latency.TotalMilliseconds);
                    failed += answer.AsSpan().StartsWith("HTTP/1.1 201 "u8) ? 0 : 1;
                }
            }
        }
    }
}
