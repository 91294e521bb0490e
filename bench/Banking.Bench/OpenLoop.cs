using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;

namespace Banking.Bench;

/// <summary>
/// Transfers between random accounts at a steady rate, whether the answers keep up or not. A latency counts from the moment
/// at which the request was due, so that a stall shows in every request it holds up.
/// </summary>
internal static class OpenLoop
{
    public static async Task RunAsync(Uri url, int rate, int seconds, int accounts)
    {
        using var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 1024 }) { BaseAddress = url };
        await RunAsync(client, rate, 5, accounts); // connections and compiled code
        var (latencies, failed) = await RunAsync(client, rate, seconds, accounts);
        latencies.Sort();
        double At(double share) => latencies[(int)((latencies.Count - 1) * share)];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"result {latencies.Count / seconds} {At(0.5):F2} {At(0.99):F2} {failed}"));
    }

    private static async Task<(List<double> Latencies, int Refused)> RunAsync(HttpClient client, int rate, int seconds, int accounts)
    {
        var latencies = new ConcurrentBag<double>();
        var failed = 0;
        var running = new List<Task>();
        var start = Stopwatch.GetTimestamp();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        for (var sent = 0; sent < rate * seconds; await timer.WaitForNextTickAsync())
        {
            for (; sent < rate * seconds && Stopwatch.GetElapsedTime(start).TotalSeconds >= (double)sent / rate; sent++)
            {
                running.Add(SendAsync(start + (long)((double)sent / rate * Stopwatch.Frequency)));
            }
        }

        await Task.WhenAll(running);
        return ([.. latencies], failed);

        async Task SendAsync(long due)
        {
            var from = Random.Shared.Next(accounts);
            var to = (from + Random.Shared.Next(1, accounts)) % accounts;
            using var body = new StringContent(
                $$"""{"from_account_id":{{1000 + from}},"to_account_id":{{1000 + to}},"amount":"0.01"}""", Encoding.UTF8, "application/json");
            using var answer = await client.PostAsync(new Uri("/api/transaction", UriKind.Relative), body);
            latencies.Add(Stopwatch.GetElapsedTime(due).TotalMilliseconds);
            if (answer.StatusCode != HttpStatusCode.Created)
            {
                Interlocked.Increment(ref failed);
            }
        }
    }
}
