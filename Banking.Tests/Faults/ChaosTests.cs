using System.Diagnostics;
using System.Globalization;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The real program and a real PostgreSQL are killed again and again under load. Everything acknowledged is in the book exactly once.</summary>
public sealed class ChaosTests
{
    [Fact]
    public async Task Killed_twice_with_its_database_crashed_twice_the_service_keeps_every_promise_once()
    {
        await using var chaos = await Chaos.StartAsync(clients: 16);
        for (var round = 0; round < 2; round++)
        {
            await chaos.Clients.AcknowledgeAsync(Random.Shared.Next(100, 300));
            await chaos.KillServiceAsync();
            await chaos.Clients.AcknowledgeAsync(Random.Shared.Next(100, 300));
            await chaos.CrashDatabaseAsync();
        }

        await chaos.Clients.AcknowledgeAsync(100);
        await chaos.EndAsync();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Killed_for_minutes_with_its_database_crashing_at_any_moment_the_service_keeps_every_promise_once()
    {
        await using var chaos = await Chaos.StartAsync(clients: 32);
        using var minutes = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        // The two run on their own clocks, so one also strikes while the other recovers.
        await Task.WhenAll(AgainAndAgainAsync(chaos.KillServiceAsync, 1_500), AgainAndAgainAsync(chaos.CrashDatabaseAsync, 900));
        await chaos.Clients.AcknowledgeAsync(100);
        await chaos.EndAsync();

        async Task AgainAndAgainAsync(Func<Task> harm, int most)
        {
            while (!minutes.IsCancellationRequested)
            {
                await chaos.Clients.AcknowledgeAsync(Random.Shared.Next(1, most));
                await harm();
            }
        }
    }

    /// <summary>A database, a service and its clients, and the faults they get.</summary>
    private sealed class Chaos : IAsyncDisposable
    {
        private readonly PostgresServer server;
        private readonly ServiceProcess service;
        private readonly BookInspector book;
        private readonly long since = Stopwatch.GetTimestamp();
        private int kills;
        private int crashes;

        private Chaos(PostgresServer server)
        {
            this.server = server;
            service = new(server.ConnectionString, "banking");
            book = new(server.ConnectionString, "banking");
            Clients = new(service);
        }

        public RetryingClients Clients { get; }

        public static async Task<Chaos> StartAsync(int clients)
        {
            var chaos = new Chaos(await PostgresServer.StartNewAsync());
            try
            {
                await chaos.service.StartAsync();
                await chaos.Clients.StartAsync(clients);
                return chaos;
            }
            catch
            {
                await chaos.DisposeAsync();
                throw;
            }
        }

        public async Task KillServiceAsync()
        {
            await service.KillAsync();
            kills++;
            await service.StartAsync();
        }

        public async Task CrashDatabaseAsync()
        {
            await server.CrashAsync();
            crashes++;
            await server.StartAsync();
        }

        /// <summary>Waits for the last answer of every client, then compares all answers with the book.</summary>
        public async Task EndAsync()
        {
            await Clients.StopAsync();
            await Wait.UntilAsync(async () => await book.ScalarAsync<long>("SELECT count(*) FROM hold WHERE status = 'pending' AND expires_at <= clock_timestamp();") == 0);
            var contradictions = await Clients.ContradictionsAsync(book);
            var checks = await book.FailedChecksAsync();
            var postings = await book.ScalarAsync<long>("SELECT count(*) FROM transaction_log;");
            var report = string.Create(
                CultureInfo.InvariantCulture,
                $"{kills} kills of the service, {crashes} crashes of the database ({service.FailedStarts} starts failed); {Clients.Report}; "
                + $"{postings} postings in the log; {Stopwatch.GetElapsedTime(since).TotalSeconds:F0} s.");
            Report.Write(report);
            contradictions.Should().BeEmpty("{0}", report);
            checks.Should().BeEmpty("{0}", report);
            service.Errors.Where(line => !line.Contains("Can't start")).Should().BeEmpty("a fault of the database is a warning");
        }

        public async ValueTask DisposeAsync()
        {
            Clients.Dispose();
            await service.DisposeAsync();
            await book.DisposeAsync();
            await server.DisposeAsync();
        }
    }
}
