using System.Globalization;
using System.Net;
using Banking.Tests;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace Banking.Bench;

/// <summary>The parts of the benchmark that wrk and pgbench can't do; bench/run calls them.</summary>
internal static class Bench
{
    private const string Usage = """
        open-loop <url> <requests a second> <seconds> <accounts>   transfers at a steady rate; prints: result <answers a second> <median ms> <p99 ms> <failed>
        network <port> <PostgreSQL's port> <milliseconds>          a network to PostgreSQL with that much more round trip, until it is stopped
        empty-endpoint <url>                                       one endpoint with a constant answer, until it is stopped
        hot-paths                                                  BenchmarkDotNet: time and allocations of what every posting runs through
        """;

    public static async Task<int> Main(string[] args)
    {
        switch (args)
        {
            case ["open-loop", var url, var rate, var seconds, var accounts]:
                OpenLoop.Run(new Uri(url), Number(rate), Number(seconds), Number(accounts));
                return 0;
            case ["network", var port, var server, var milliseconds]:
                using (new NetworkProxy(new(IPAddress.Loopback, Number(server)), TimeSpan.FromMilliseconds(Number(milliseconds)), Number(port)))
                {
                    await Task.Delay(Timeout.Infinite);
                }

                return 0;
            case ["empty-endpoint", var url]:
                EmptyEndpoint.Run(url);
                return 0;
            case ["hot-paths"]:
                BenchmarkRunner.Run<HotPaths>(DefaultConfig.Instance.AddJob(Job.ShortRun
                    .WithToolchain(InProcessEmitToolchain.Instance)
                    .WithIterationTime(TimeInterval.FromMilliseconds(200))));
                return 0;
            default:
                await Console.Error.WriteLineAsync(Usage);
                return 2;
        }
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
