using System.Diagnostics;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Subscribers of events while the database is away, beside slow ones, and when the service stops.</summary>
public sealed class EventFeedTests(TestDatabase database)
{
    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Streams_outlive_an_outage_of_the_database_and_miss_nothing()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var bank = new BankingApp(database, new FastTime(), schema, ("ConnectionStrings:Banking", proxy.ConnectionString), ("Banking:ReadSeconds", "1"));
        await using var other = new BankingApp(database, schema);
        var account = await bank.OpenAsync("1");
        using var stream = await EventSubscriber.ConnectAsync(bank.Http);
        using var behind = await EventSubscriber.ConnectAsync(bank.Http);
        (await stream.TakeAsync(2)).Should().HaveCount(2);

        proxy.Hang();
        await Wait.UntilAsync(() => bank.Complaints.Any(line => line.Contains("New events could not be read")));
        var before = stream.Heartbeats;
        await Wait.UntilAsync(async () => await stream.NextAsync() is null && stream.Heartbeats >= before + 3);
        (await bank.GetAsync("/api/events")).ShouldBeProblem(503, "database_unavailable");
        (await bank.GetAsync("/api/events?after=1-1&wait=1")).ShouldBeProblem(503, "database_unavailable");
        using var late = await EventSubscriber.ConnectAsync(bank.Http, "?after=1-1"); // an EventSource would give up after a 503
        await Task.WhenAll(Enumerable.Range(0, 600).Select(_ => other.DepositAsync(account, "1")));
        proxy.GoOn();

        var expected = Enumerable.Range(2, 600).Select(transaction => $"{transaction}-1");
        (await stream.TakeAsync(600)).Select(seen => seen.Id).Should().Equal(expected);
        (await late.TakeAsync(600)).Select(seen => seen.Id).Should().Equal(expected);
        (await behind.TakeAsync(602)).Skip(2).Select(seen => seen.Id).Should().Equal(expected);
        bank.Complaints.Count(line => line.Contains("New events could not be read")).Should().Be(1, "an outage is one line");
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(0, 0)]
    [InlineData(1, 6)]
    [InlineData(100, 6)]
    public async Task Idle_streams_share_one_reader_and_without_them_nothing_is_read(int streams, int mostReads)
    {
        await using var bank = new BankingApp(database);
        await using var clock = new BankingApp(database);
        await bank.OpenAsync("1");
        var subscribers = await Task.WhenAll(Enumerable.Range(0, streams).Select(_ => EventSubscriber.ConnectAsync(bank.Http, "?after=1-1")));
        await bank.FollowedAsync(streams);
        (await clock.GetAsync("/api/events?wait=1")).Text.Should().Be("[]"); // the first look and those who came before it

        await bank.ReportStatisticsAsync();
        var before = await ReadsAsync();
        (await clock.GetAsync("/api/events?wait=2")).Text.Should().Be("[]");
        await bank.ReportStatisticsAsync();

        (await ReadsAsync() - before).Should().BeInRange(Math.Min(streams, 3), mostReads + 4, "it looks twice a second");
        foreach (var subscriber in subscribers)
        {
            subscriber.Dispose();
        }

        Task<long> ReadsAsync() => bank.Book.ScalarAsync<long>(
            $"SELECT seq_scan + idx_scan FROM pg_stat_all_tables WHERE relid = to_regclass('{bank.Book.Schema}.ledger_head');");
    }

    [Fact]
    public async Task A_subscriber_that_does_not_read_slows_nobody_holds_no_connection_of_the_database_and_is_cut_off()
    {
        await using var bank = new BankingApp(
            database, null, ("Banking:LeastBytesPerSecond", "1000000"), ("ConnectionStrings:Banking", $"{database.ConnectionString};Application Name={schema}"));
        var account = await bank.OpenAsync("1");
        var metadata = new { k = new string('x', 500), l = new string('x', 500), m = new string('x', 500) };
        using var slow = await RawClient.ConnectAsync(bank, receiveBuffer: 4_096);
        await slow.SendAsync("GET /api/events HTTP/1.1\r\nHost: bank\r\nAccept: text/event-stream\r\n\r\n");
        (await slow.IsAnsweredAsync()).Should().BeTrue();
        using var fast = await EventSubscriber.ConnectAsync(bank.Http);

        await Task.WhenAll(Enumerable.Range(0, 5_000).Select(_ => bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", metadata })));
        (await fast.TakeAsync(5_002)).Should().HaveCount(5_002);

        await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<long>(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE @name AND state <> 'idle'", new { name = $"{schema}%" }) == 0);
        await bank.FollowedAsync(1);
        await bank.DepositAsync(account, "1");
        (await fast.TakeAsync(1)).Should().ContainSingle();
    }

    [Fact]
    public async Task Told_to_stop_it_ends_streams_and_answers_pages_that_wait_when_the_port_closes()
    {
        await using var service = new ServiceProcess(database.ConnectionString, schema);
        await service.StartAsync();
        await service.OpenAsync("1");
        using var stream = await EventSubscriber.ConnectAsync(service.Http);
        (await stream.TakeAsync(2)).Should().HaveCount(2);
        var waiting = service.GetAsync("/api/events?after=1-1&wait=30");
        await Wait.UntilAsync(async () => Regex.IsMatch((await service.GetAsync("/metrics")).Text, @"^banking_events_waiting_?\w*(\{.*\})? 2\b", RegexOptions.Multiline));

        await service.TerminateAsync();
        var told = Stopwatch.GetTimestamp();

        (await waiting).Text.Should().Be("[]");
        await stream.EndAsync(seconds: 5);
        stream.HasEnded.Should().BeTrue();
        (await service.ExitCodeAsync(TimeSpan.FromSeconds(10))).Should().Be(0);
        Stopwatch.GetElapsedTime(told).Should().BeLessThan(TimeSpan.FromSeconds(4), "it drains for one second, and nobody has to be cut off");
        service.Errors.Should().BeEmpty();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_thousand_idle_streams_cost_little_memory_and_no_queries_of_their_own()
    {
        const int Streams = 1_000;
        const int Seconds = 20; // longer than a heartbeat
        await using var service = new ServiceProcess(database.ConnectionString, schema);
        await using var book = new BookInspector(database.ConnectionString, schema);
        await service.StartAsync();
        await service.OpenAsync();
        var fresh = service.Megabytes("VmRSS");
        var others = await ConnectAsync(Streams); // with them the heap grows to its working size
        (await service.GetAsync($"/api/events?after=0-1&wait={Seconds}")).Text.Should().Be("[]");
        var before = service.Megabytes("VmRSS");

        var streams = await ConnectAsync(Streams);
        (await service.GetAsync("/api/events?after=0-1&wait=2")).Text.Should().Be("[]");
        var reads = await ReadsAsync();
        (await service.GetAsync($"/api/events?after=0-1&wait={Seconds}")).Text.Should().Be("[]");
        reads = await ReadsAsync() - reads;
        var (after, sent) = (service.Megabytes("VmRSS"), Stopwatch.GetTimestamp());
        await service.OpenAsync();
        (await Task.WhenAll(streams.Select(stream => stream.TakeAsync(1)))).Should().OnlyContain(seen => seen.Single().Id == "0-2");
        var woken = Stopwatch.GetElapsedTime(sent);

        Report.Write(
            $"{fresh} MB before, {before} MB with {Streams} idle streams, {after} MB with {Streams} more: these cost {(after - before) * 1024.0 / Streams:F1} kB each; "
            + $"{reads} looks at the head in {Seconds} s; all {Streams} had the next event after {woken.TotalMilliseconds:F0} ms.");
        foreach (var stream in others.Concat(streams))
        {
            stream.Dispose();
        }

        reads.Should().BeLessThanOrEqualTo((2 * Seconds) + 5);
        (before - fresh).Should().BeLessThan(90);
        (after - before).Should().BeLessThan(40);

        Task<EventSubscriber[]> ConnectAsync(int count) => Task.WhenAll(Enumerable.Range(0, count).Select(_ => EventSubscriber.ConnectAsync(service.Http, "?after=0-1")));

        Task<long> ReadsAsync() => book.ScalarAsync<long>(
            $"SELECT seq_scan + idx_scan FROM pg_stat_all_tables WHERE relid = to_regclass('{schema}.ledger_head');");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Idle_streams_do_not_keep_what_they_have_sent()
    {
        const int Streams = 100;
        const int Seconds = 20; // longer than a heartbeat
        const int Deposits = 60; // three pages with a megabyte of metadata each; the feed has only the last of them in memory
        await using var service = new ServiceProcess(database.ConnectionString, schema);
        await service.StartAsync();
        var account = await service.OpenAsync();
        var metadata = Enumerable.Range(10, 19).ToDictionary(i => $"{i}", _ => new string('\u0001', 420)); // six bytes each in JSON
        for (var i = 0; i < Deposits; i++)
        {
            (await service.PostAsync("/api/deposit", new { account_id = account, amount = "1", metadata })).ShouldBeCreated();
        }

        var before = service.Megabytes("VmRSS");
        var streams = new List<EventSubscriber>();
        for (var i = 0; i < Streams; i++)
        {
            streams.Add(await EventSubscriber.ConnectAsync(service.Http, "?after=0-1"));
            await streams[^1].TakeAsync(Deposits);
        }

        (await service.GetAsync($"/api/events?after={Deposits}-1&wait={Seconds}")).Text.Should().Be("[]");
        var after = service.Megabytes("VmRSS");

        Report.Write($"{before} MB before, {after} MB with {Streams} idle streams, each after a page with a megabyte of metadata.");
        streams.ForEach(stream => stream.Dispose());
        (after - before).Should().BeLessThan(80);
    }
}
