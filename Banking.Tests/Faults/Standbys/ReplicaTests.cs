using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A standby that serves history and lists. It may be behind, broken, frozen, gone or wrong, and the answers stay right.</summary>
public sealed class ReplicaTests : IAsyncLifetime
{
    private const string Taken = "are now read from it";

    private PostgresServer primary = null!;
    private PostgresServer standby = null!;
    private BookInspector book = null!;
    private BookInspector copy = null!;

    public async ValueTask InitializeAsync()
    {
        primary = await PostgresServer.StartNewAsync("max_wal_senders = 5");
        standby = await PostgresServer.StartStandbyOfAsync(primary);
        (book, copy) = (new(primary.ConnectionString, "banking"), new(standby.ConnectionString, "banking"));
    }

    public async ValueTask DisposeAsync()
    {
        await copy.DisposeAsync();
        await book.DisposeAsync();
        await standby.DisposeAsync();
        await primary.DisposeAsync();
    }

    [Fact]
    public async Task History_and_lists_come_from_the_standby_and_everything_else_from_the_primary()
    {
        // The primary is named first, and is not what is asked for.
        var both = primary.ConnectionString.Replace($"Host=127.0.0.1;Port={primary.Port}", $"Host={primary.Address},{standby.Address}", StringComparison.Ordinal);
        await using var service = Service(("ConnectionStrings__Replica", both), ("Banking__ReplicaLagSeconds", "3600"));
        await service.StartAsync();
        var account = await service.OpenAsync("100");
        await service.SaidAsync(Taken);
        await CaughtUpAsync();
        await PauseAsync();

        var posted = await service.DepositAsync(account, "1", "the-key");
        var hold = await service.HoldAsync(account, "5");
        (await service.FreezeAsync(account)).Status.Should().Be(HttpStatusCode.OK);

        (await service.HistoryAsync(account)).Should().HaveCount(1, "the standby lacks the deposit");
        (await EventsAsync(service, account)).Should().Equal("opened");
        (await ListAsync(service)).Should().ContainSingle().Which.GetProperty("status").GetString().Should().Be("active");
        (await service.AccountAsync(account))["status"].Should().Be("frozen");
        (await service.BalanceAsync(account)).Should().Be("101.00");
        (await service.GetAsync($"/api/get_one_transaction?transaction_id={posted.Id("transaction_id")}")).Status.Should().Be(HttpStatusCode.OK);
        (await service.GetAsync("/api/get_one_request?idempotency_key=the-key")).Status.Should().Be(HttpStatusCode.OK);
        (await service.OneHoldAsync(hold)).Status.Should().Be(HttpStatusCode.OK);
        (await service.GetAsync($"/api/list_holds?account_id={account}")).Body.GetProperty("holds").GetArrayLength().Should().Be(1);
        (await service.GetAsync("/api/audit_head")).Id("transaction_id").Should().Be(posted.Id("transaction_id"));
        (await copy.ScalarAsync<string>("SELECT string_agg(DISTINCT application_name, ',') FROM pg_stat_activity WHERE application_name LIKE 'core-banking%';"))
            .Should().Be("core-banking replica check,core-banking replica reads");

        await ResumeAsync();
        await Wait.UntilAsync(async () => (await service.HistoryAsync(account)).Count == 2);
        (await EventsAsync(service, account)).Should().Equal("frozen", "hold_placed", "opened");
    }

    [Fact]
    public async Task What_the_standby_lacks_is_neither_unknown_nor_left_out_between_two_pages()
    {
        await using var service = Service(("Banking__ReplicaLagSeconds", "3600"));
        await using var other = new ServiceProcess(primary.ConnectionString, "banking");
        await service.StartAsync();
        await other.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync(Taken);
        await CaughtUpAsync();
        await PauseAsync();

        var opened = await service.OpenAsync("7");
        for (var i = 0; i < 5; i++)
        {
            (await service.DepositAsync(account, "1")).ShouldBeCreated();
            (await service.ChangeAsync(account, overdraftLimit: $"{i + 1}")).Status.Should().Be(HttpStatusCode.OK);
        }

        (await service.HistoryAsync(opened)).Should().ContainSingle("an account that was just opened exists");
        (await EventsAsync(service, opened)).Should().Equal("opened");
        (await service.GetAsync("/api/transaction_history?account_id=999999")).ShouldBeProblem(404, "account_not_found");
        // The first page comes from the primary, as when the standby was not used yet.
        foreach (var (call, rows) in new[] { ("transaction_history", "transactions"), ("account_events", "events") })
        {
            var first = await other.GetAsync($"/api/{call}?account_id={account}&limit=2");
            var rest = await service.GetAsync($"/api/{call}?account_id={account}&cursor={first["next_cursor"]}");
            rest.Body.GetProperty(rows).GetArrayLength().Should().Be(4, call);
            var last = await service.GetAsync($"/api/{call}?account_id={account}");
            last.Body.GetProperty(rows).GetArrayLength().Should().Be(1, "the standby serves newest pages");
        }

        await ResumeAsync();
    }

    [Fact]
    public async Task A_standby_that_falls_behind_is_left_until_it_has_caught_up()
    {
        await using var service = Service(("Banking__ReplicaLagSeconds", "1"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync(Taken);
        await CaughtUpAsync();
        await PauseAsync();
        (await service.HistoryAsync(account)).Should().HaveCount(1);

        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        await Wait.UntilAsync(async () => (await service.HistoryAsync(account)).Count == 2);
        await service.SaidAsync("more than Banking__ReplicaLagSeconds (1)");
        (await MetricAsync(service, "banking_replica_used")).Should().Be(0);
        (await MetricAsync(service, "banking_replica_lag_seconds")).Should().BeGreaterThan(1);
        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);

        await ResumeAsync();
        await TakenAgainAsync(service, account);
        (await MetricAsync(service, "banking_replica_used")).Should().Be(1);
        service.Warnings.Where(line => line.Contains("standby")).Should().ContainSingle();
        service.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task A_commit_that_the_standby_shows_before_the_primary_does_makes_it_no_other_book()
    {
        await using var service = Service(("Banking__RetrySeconds", "60"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync(Taken);
        await NeedStandbyAsync("another");

        var sent = service.DepositAsync(account, "1");
        await Wait.UntilAsync(async () => (await service.HistoryAsync(account)).Count == 2);
        await ComparedAsync();
        await ComparedAsync();

        (await service.BalanceAsync(account)).Should().Be("1.00", "the commit waits for another standby");
        (await service.HistoryAsync(account)).Should().HaveCount(2, "the standby is still used");
        await NeedStandbyAsync("");
        (await sent).ShouldBeCreated();
        service.Errors.Concat(service.Warnings.Where(line => line.Contains("standby"))).Should().BeEmpty();
    }

    [Theory]
    [InlineData("pg_cancel_backend")]
    [InlineData("pg_terminate_backend")]
    public async Task A_read_that_the_standby_breaks_off_is_answered_by_the_primary(string breakOff)
    {
        await using var service = Service(("Banking__ReadSeconds", "60"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync(Taken);
        await CaughtUpAsync();
        // The lock's end stays away from the standby, so only there it lasts.
        await using (await book.HoldAsync("LOCK TABLE transaction_log;"))
        {
            await book.ExecuteAsync("SELECT pg_switch_wal();"); // sends the lock there at once
            await Wait.UntilAsync(() => copy.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation');"));
            await PauseAsync();
        }

        var sent = service.GetAsync($"/api/transaction_history?account_id={account}");
        await Wait.UntilAsync(() => copy.ScalarAsync<bool>(
            $"SELECT {breakOff}(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'core-banking replica reads';"));

        (await sent).Status.Should().Be(HttpStatusCode.OK);
        (await sent).Body.GetProperty("transactions").GetArrayLength().Should().Be(1);
        (await MetricAsync(service, "banking_replica_failures_total")).Should().Be(1);
        await ResumeAsync();
        service.Warnings.Where(line => line.Contains("failed with 503")).Should().BeEmpty();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_standby_that_dies_or_freezes_under_load_fails_no_read_and_is_used_again_when_it_is_back(bool freezes)
    {
        await using var service = Service();
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync(Taken);
        await CaughtUpAsync();
        using var enough = new CancellationTokenSource();
        var answered = new int[8];
        var readers = Enumerable.Range(0, answered.Length).Select(ReadAsync).ToList();
        await AskedAsync(service, account);

        await (freezes ? standby.FreezeAsync() : standby.KillAsync());
        await service.SaidAsync("cannot be read");
        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        (await service.HistoryAsync(account)).Should().HaveCount(2);
        var before = answered.ToArray();
        await Wait.UntilAsync(() => answered.Zip(before).All(reader => reader.First > reader.Second)); // nobody still waits for the standby
        await (freezes ? standby.ThawAsync() : standby.StartAsync());
        await TakenAgainAsync(service, account);
        await enough.CancelAsync();

        var replies = (await Task.WhenAll(readers)).SelectMany(reader => reader).ToList();
        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"The standby {(freezes ? "froze" : "died")}: {replies.Count} reads, the slowest took {replies.Max(reply => reply.Took).TotalSeconds:F2} s; {replies.Count(reply => reply.Status != HttpStatusCode.OK)} failed."));
        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        replies.Max(reply => reply.Took).Should().BeLessThan(TimeSpan.FromSeconds(5), "that is Banking__ReadSeconds");
        service.Errors.Should().BeEmpty();

        async Task<List<(HttpStatusCode Status, TimeSpan Took)>> ReadAsync(int reader)
        {
            string[] paths = [$"transaction_history?account_id={account}", $"account_events?account_id={account}", "list_accounts"];
            var taken = new List<(HttpStatusCode, TimeSpan)>();
            while (!enough.IsCancellationRequested)
            {
                var since = Stopwatch.GetTimestamp();
                var reply = await service.GetAsync($"/api/{paths[(reader + answered[reader]) % paths.Length]}");
                taken.Add((reply.Status, Stopwatch.GetElapsedTime(since)));
                Interlocked.Increment(ref answered[reader]);
            }

            return taken;
        }
    }

    [Fact]
    public async Task The_service_starts_without_its_standby_and_takes_it_when_it_comes()
    {
        await standby.CrashAsync();
        await using var service = Service();
        await service.StartAsync();
        service.FailedStarts.Should().Be(0);
        var account = await service.OpenAsync("1");

        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        (await service.HistoryAsync(account)).Should().HaveCount(1);
        await service.SaidAsync("cannot be read");

        await standby.StartAsync();
        await service.SaidAsync(Taken);
        await AskedAsync(service, account);
        service.Warnings.Where(line => line.Contains("standby")).Should().NotBeEmpty();
        service.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task Nothing_is_read_from_another_book_or_from_a_database_without_one()
    {
        await book.ExecuteAsync("CREATE DATABASE other;");
        var elsewhere = primary.ConnectionString.Replace("Database=postgres", "Database=other", StringComparison.Ordinal);
        await using var service = Service(("ConnectionStrings__Replica", elsewhere));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.SaidAsync("cannot be read: 42P01");

        await using (var another = new ServiceProcess(elsewhere, "banking"))
        {
            await another.StartAsync();
            await another.OpenAsync("666");
            await another.OpenAsync("666");
            await another.OpenAsync("666");
        }

        await service.SaidAsync("holds another book");
        (await service.HistoryAsync(account)).Should().ContainSingle().Which.GetProperty("amount").GetString().Should().Be("1.00");
        (await ListAsync(service)).Should().HaveCount(1);
        service.Errors.Should().ContainSingle().Which.Should().Contain("ConnectionStrings__Replica");
        (await book.ScalarAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE datname = 'other' AND query LIKE '%account_entry%';")).Should().Be(0);
    }

    private ServiceProcess Service(params (string Name, string Value)[] settings) =>
        new(primary.ConnectionString, "banking", [("ConnectionStrings__Replica", standby.ConnectionString), .. settings]);

    /// <summary>Returns when the standby has what the primary has.</summary>
    private async Task CaughtUpAsync()
    {
        const string End = "SELECT last_block_id FROM ledger_head;";
        var end = await book.ScalarAsync<long>(End);
        await Wait.UntilAsync(async () => await copy.ScalarAsync<long>(End) >= end);
    }

    private async Task PauseAsync()
    {
        await copy.ExecuteAsync("SELECT pg_wal_replay_pause();");
        await Wait.UntilAsync(() => copy.ScalarAsync<bool>("SELECT pg_get_wal_replay_pause_state() = 'paused';"));
    }

    private Task ResumeAsync() => copy.ExecuteAsync("SELECT pg_wal_replay_resume();");

    /// <summary>From now on a commit waits for the standby of this name.</summary>
    private async Task NeedStandbyAsync(string name)
    {
        await book.ExecuteAsync($"ALTER SYSTEM SET synchronous_standby_names = '{name}';");
        await book.ExecuteAsync("SELECT pg_reload_conf();");
        await Wait.UntilAsync(() => book.ScalarAsync<bool>($"SELECT current_setting('synchronous_standby_names') = '{name}';"));
    }

    /// <summary>Returns when the service has compared the two once more.</summary>
    private async Task ComparedAsync()
    {
        var now = await book.ScalarAsync<DateTime>("SELECT clock_timestamp();");
        await Wait.UntilAsync(() => book.ScalarAsync<bool>(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%is_same_book%' AND pid <> pg_backend_pid() AND state = 'idle' AND query_start > @now);", new { now }));
    }

    private async Task TakenAgainAsync(ServiceProcess service, long account)
    {
        await Wait.UntilAsync(() => service.Lines.Count(line => line.Contains(Taken)) == 2);
        await AskedAsync(service, account);
    }

    /// <summary>Returns when the standby has answered a page of history.</summary>
    private async Task AskedAsync(ServiceProcess service, long account)
    {
        await using var sql = new BookInspector($"{standby.ConnectionString};Pooling=false", "banking"); // a restart has closed earlier sessions
        var now = await sql.ScalarAsync<DateTime>("SELECT clock_timestamp();");
        await Wait.UntilAsync(async () =>
        {
            await service.HistoryAsync(account);
            return await sql.ScalarAsync<bool>(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%account_entry%' AND pid <> pg_backend_pid() AND query_start > @now);", new { now });
        });
    }

    private static async Task<List<string?>> EventsAsync(ServiceProcess service, long account) =>
        [.. (await service.GetAsync($"/api/account_events?account_id={account}")).Body.GetProperty("events").EnumerateArray().Select(row => row.GetProperty("type").GetString())];

    private static async Task<List<JsonElement>> ListAsync(ServiceProcess service) =>
        [.. (await service.GetAsync("/api/list_accounts")).Body.GetProperty("accounts").EnumerateArray()];

    private static async Task<double> MetricAsync(ServiceProcess service, string name) => double.Parse(
        (await service.GetAsync("/metrics")).Text.Split('\n').Single(line => line.StartsWith(name, StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture);
}
