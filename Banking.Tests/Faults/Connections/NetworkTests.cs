using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The network to PostgreSQL is slow, falls silent without closing a connection, or resets connections.</summary>
public sealed class NetworkTests : IAsyncLifetime
{
    private const int RetrySeconds = 4;
    private const int ReadSeconds = 3;
    private const string Own = "own-key-"; // of the requests that the clients do not send

    private PostgresServer server = null!;
    private BookInspector book = null!;

    public async ValueTask InitializeAsync()
    {
        server = await PostgresServer.StartNewAsync();
        book = new(server.ConnectionString, "banking");
    }

    public async ValueTask DisposeAsync()
    {
        await book.DisposeAsync();
        await server.DisposeAsync();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(50)]
    public async Task Over_a_slow_network_postings_go_on_and_each_waits_for_two_round_trips(int milliseconds)
    {
        using var network = Network(milliseconds);
        await using var service = Service(network);
        await service.StartAsync();
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        await clients.AcknowledgeAsync(500);
        await clients.StopAsync();
        (await clients.ContradictionsAsync(book)).Should().BeEmpty();

        var (account, held) = (await service.OpenAsync("1"), await service.OpenAsync("1"));
        await service.HoldAsync(held, "1");
        var posting = await RoundTripsAsync(() => service.DepositAsync(account, "1"));
        var postingBesideHold = await RoundTripsAsync(() => service.DepositAsync(held, "1"));
        var read = await RoundTripsAsync(() => service.AccountAsync(account));
        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{milliseconds} ms: a posting took {posting:F2} round trips, beside a hold {postingBesideHold:F2}, a balance {read:F2}; {clients.Report}"));
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.Errors.Concat(service.Warnings.Where(line => !line.Contains("AllowAnonymous"))).Should().BeEmpty();
        if (milliseconds == 50) // the service's own time is a small part of it
        {
            posting.Should().BeInRange(2, 2.9);
            postingBesideHold.Should().BeInRange(3, 3.9);
            read.Should().BeInRange(1, 1.9);
        }

        async Task<double> RoundTripsAsync(Func<Task<Reply>> send)
        {
            var took = new List<double>();
            for (var i = 0; i < 11; i++)
            {
                var since = Stopwatch.GetTimestamp();
                (await send()).Status.Should().BeOneOf(HttpStatusCode.OK, HttpStatusCode.Created);
                took.Add(Stopwatch.GetElapsedTime(since).TotalMilliseconds / milliseconds);
            }

            return took.Order().ElementAt(took.Count / 2);
        }
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(Way.ToServer)]
    [InlineData(Way.ToClient)]
    [InlineData(Way.Both)]
    public async Task Postings_go_on_over_new_connections_where_the_old_ones_fall_silent(Way way)
    {
        using var network = Network(milliseconds: 1);
        await using var service = Service(network);
        await service.StartAsync();
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        await clients.AcknowledgeAsync(300);

        var (opened, since) = (network.Accepted, Stopwatch.GetTimestamp());
        network.Silence(way, alsoNew: false);
        await clients.AcknowledgeAsync(20); // some answers may be on their way
        var silent = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(300);
        network.GoOn(); // what was sent over the old connections arrives now
        await clients.AcknowledgeAsync(300);
        await clients.StopAsync();

        Report.Write(string.Create(
            CultureInfo.InvariantCulture, $"Silent {way}: postings went on after {silent.TotalSeconds:F1} s, over one of {network.Accepted - opened} new connections; {clients.Report}"));
        (await clients.ContradictionsAsync(book)).Should().BeEmpty();
        (await book.FailedChecksAsync()).Should().BeEmpty();
        network.Accepted.Should().BeGreaterThan(opened);
        service.Errors.Should().BeEmpty();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(Way.ToServer)]
    [InlineData(Way.ToClient)]
    [InlineData(Way.Both)]
    public async Task While_the_network_is_silent_every_call_is_refused_in_time_and_afterwards_nothing_is_lost_or_doubled(Way way)
    {
        using var network = Network(milliseconds: 1);
        await using var service = Service(network);
        await service.StartAsync();
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        var account = (await service.PostAsync("/api/create_account", new { owner_name = "Someone" }, $"{Own}account")).Id("account_id");
        await clients.AcknowledgeAsync(300);

        network.Silence(way, alsoNew: true);
        var began = Stopwatch.GetTimestamp();
        var (deposits, reads, ready) = (new ConcurrentBag<(Reply Reply, double Seconds)>(), new ConcurrentBag<(Reply Reply, double Seconds)>(), new ConcurrentBag<(Reply Reply, double Seconds)>());
        await Task.WhenAll(
        [
            .. Enumerable.Range(0, 4).Select(i => RepeatAsync(deposits, () => service.DepositAsync(account, "1", $"{Own}{i}"))),
            RepeatAsync(reads, () => service.AccountAsync(account)),
            RepeatAsync(reads, () => service.GetAsync($"/api/transaction_history?account_id={account}")),
            RepeatAsync(ready, () => service.GetAsync("/health/ready")),
        ]);
        network.GoOn();
        var since = Stopwatch.GetTimestamp();
        await clients.AcknowledgeAsync(1);
        var (silent, posts) = (Stopwatch.GetElapsedTime(began, since), Stopwatch.GetElapsedTime(since));
        await Wait.UntilAsync(async () => (await service.AccountAsync(account)).Status == HttpStatusCode.OK);
        var answers = Stopwatch.GetElapsedTime(since);
        await Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Status == HttpStatusCode.OK);
        var isReady = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(300);
        await clients.StopAsync();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async i => (await service.DepositAsync(account, "1", $"{Own}{i}")).Status.Should().Be(HttpStatusCode.Created)));

        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"Silent {way} for {silent.TotalSeconds:F1} s: {Of(deposits)} for postings, {Of(reads)} for reads, {Of(ready)} for readiness; then a posting after {posts.TotalSeconds:F1} s, a read after {answers.TotalSeconds:F1} s, ready after {isReady.TotalSeconds:F1} s; {clients.Report}"));
        (await clients.ContradictionsAsync(book)).Where(line => !line.StartsWith(Own, StringComparison.Ordinal)).Should().BeEmpty();
        (await service.BalanceAsync(account)).Should().Be("4.00", "each key is done once");
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.Errors.Should().BeEmpty();
        deposits.Should().OnlyContain(answer => answer.Reply.Code == "database_unavailable" && answer.Seconds < (RetrySeconds * 1.5) + 1);
        reads.Should().OnlyContain(answer => answer.Reply.Code == "database_unavailable" && answer.Seconds < ReadSeconds + 1);
        ready.Should().OnlyContain(answer => answer.Seconds < 1);
        ready.Should().Contain(answer => answer.Reply.Status == HttpStatusCode.ServiceUnavailable);

        // Until a call that began in the second half of the silence has been answered.
        async Task RepeatAsync(ConcurrentBag<(Reply Reply, double Seconds)> answered, Func<Task<Reply>> send)
        {
            while (Stopwatch.GetElapsedTime(began).TotalSeconds < 3 * RetrySeconds)
            {
                var sent = Stopwatch.GetTimestamp();
                answered.Add((await send(), Stopwatch.GetElapsedTime(sent).TotalSeconds));
            }
        }

        static string Of(IReadOnlyCollection<(Reply Reply, double Seconds)> answered) => string.Create(
            CultureInfo.InvariantCulture,
            $"{string.Join(", ", answered.GroupBy(answer => (int)answer.Reply.Status).Select(group => $"{group.Count()} x {group.Key}"))} within {answered.Max(answer => answer.Seconds):F2} s");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task While_connections_are_reset_again_and_again_nothing_is_lost_or_doubled()
    {
        using var network = Network(milliseconds: 5);
        await using var service = Service(network);
        await service.StartAsync();
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        var opened = network.Accepted;
        for (var i = 0; i < 50; i++)
        {
            await clients.AcknowledgeAsync(Random.Shared.Next(1, 60));
            network.Reset();
        }

        await clients.AcknowledgeAsync(100);
        await clients.StopAsync();

        Report.Write($"50 resets, {network.Accepted - opened} new connections; {clients.Report}");
        (await clients.ContradictionsAsync(book)).Should().BeEmpty();
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.Errors.Should().BeEmpty();
    }

    // Loopback acknowledges everything, so that what the system does with these settings does not show here.
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task The_server_is_asked_to_notice_a_vanished_instance_in_seconds()
    {
        using var network = Network(milliseconds: 0);
        await using var service = Service(network);
        await service.StartAsync();
        await book.ExecuteAsync("""
            CREATE TABLE seen AS SELECT ''::text AS settings;
            CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                UPDATE banking.seen SET settings = concat_ws(' ', current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),
                                                             current_setting('tcp_keepalives_count'), current_setting('tcp_user_timeout'));
                RETURN NULL;
            END;
            $body$;
            CREATE TRIGGER see AFTER INSERT ON ledger_block FOR EACH ROW EXECUTE FUNCTION see();
            """);

        await service.OpenAsync("1");

        (await book.ScalarAsync<string>("SELECT settings FROM seen;")).Should().Be("5 1 3 8000");
    }

    private NetworkProxy Network(int milliseconds) => new(new(IPAddress.Loopback, server.Port), TimeSpan.FromMilliseconds(milliseconds));

    private ServiceProcess Service(NetworkProxy network) => new(
        server.ConnectionString.Replace($"Port={server.Port}", $"Port={network.Port}", StringComparison.Ordinal), "banking",
        ("Banking__RetrySeconds", $"{RetrySeconds}"), ("Banking__ReadSeconds", $"{ReadSeconds}"));
}
