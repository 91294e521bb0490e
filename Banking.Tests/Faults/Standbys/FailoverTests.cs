using System.Diagnostics;
using System.Globalization;
using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The primary dies and its synchronous standby takes over. Everything acknowledged is there, and the service finds the new primary by itself.</summary>
public sealed class FailoverTests
{
    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData("on")]
    [InlineData("remote_apply")]
    public async Task After_a_failover_under_load_nothing_acknowledged_is_lost_and_nothing_is_done_twice(string synchronousCommit)
    {
        await using var primary = await PrimaryAsync(synchronousCommit);
        await using var standby = await PostgresServer.StartStandbyOfAsync(primary);
        await UseStandbyAsync(primary);
        await using var service = new ServiceProcess(BothOf(primary, standby), "banking");
        await using var book = new BookInspector(standby.ConnectionString, "banking");
        await service.StartAsync();
        var process = service.ProcessId;
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        await clients.AcknowledgeAsync(1_000);

        var since = Stopwatch.GetTimestamp();
        await primary.CrashAsync();
        await standby.PromoteAsync();
        var promoted = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(50);
        var served = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(1_000);
        await clients.StopAsync();

        var contradictions = await clients.ContradictionsAsync(book);
        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{synchronousCommit}: promoted after {promoted.TotalSeconds:F1} s, 50 postings served after {served.TotalSeconds:F1} s; {clients.Report}"));
        contradictions.Should().BeEmpty();
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.ProcessId.Should().Be(process);
        service.FailedStarts.Should().Be(0);
        service.Errors.Should().BeEmpty();
    }

    // If a commit is cancelled while it waits for the standby, PostgreSQL reports success with a warning: the commit is then on the
    // primary alone. A client that gets 201 must still find its posting after the failover.
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task What_no_standby_has_confirmed_is_not_acknowledged()
    {
        await using var primary = await PrimaryAsync("on");
        await using var standby = await PostgresServer.StartStandbyOfAsync(primary);
        await UseStandbyAsync(primary);
        await using var service = new ServiceProcess(BothOf(primary, standby), "banking", ("Banking__RetrySeconds", "2"));
        await service.StartAsync();
        var account = await service.OpenAsync("100");
        await standby.CrashAsync();

        var replies = new List<Reply>();
        for (var i = 0; i < 3; i++)
        {
            replies.Add(await service.DepositAsync(account, "1", "the-key"));
        }

        await primary.CrashAsync();
        await standby.StartAsync();
        await standby.PromoteAsync();
        await using var book = new BookInspector(standby.ConnectionString, "banking");
        var found = await book.ScalarAsync<long>("SELECT count(*) FROM transaction_log WHERE idempotency_key = 'the-key';");
        Report.Write($"Without its standby: {string.Join(", ", replies.Select(reply => $"{(int)reply.Status} {(reply.Replayed ? "replayed" : reply.Text)}"))}; after the failover the posting is there {found} times.");
        if (replies.Any(reply => reply.Status == HttpStatusCode.Created))
        {
            found.Should().Be(1, "it was acknowledged");
        }

        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task The_old_primary_comes_back_as_a_standby_and_is_promoted_again_while_clients_post()
    {
        await using var one = await PrimaryAsync("on");
        await using var other = await PostgresServer.StartStandbyOfAsync(one);
        await UseStandbyAsync(one);
        await using var service = new ServiceProcess(BothOf(one, other), "banking");
        await service.StartAsync();
        using var clients = new RetryingClients(service);
        await clients.StartAsync();
        await clients.AcknowledgeAsync(300);

        var away = new List<double> { await FailOverAsync(one, other) };
        await clients.AcknowledgeAsync(300);
        await one.FollowAsync(other);
        await UseStandbyAsync(other);
        await clients.AcknowledgeAsync(300);
        away.Add(await FailOverAsync(other, one));
        await clients.AcknowledgeAsync(300);
        await clients.StopAsync();

        await using var book = new BookInspector($"{one.ConnectionString};Pooling=false", "banking");
        Report.Write(string.Create(CultureInfo.InvariantCulture, $"Away for {away[0]:F1} s and {away[1]:F1} s; {clients.Report}"));
        (await clients.ContradictionsAsync(book)).Should().BeEmpty();
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.FailedStarts.Should().Be(0);
        service.Errors.Should().BeEmpty();

        // Returns after how many seconds the first posting was acknowledged.
        async Task<double> FailOverAsync(PostgresServer from, PostgresServer to)
        {
            var since = Stopwatch.GetTimestamp();
            await from.CrashAsync();
            await to.PromoteAsync();
            await clients.AcknowledgeAsync(20); // some answers were on their way
            return Stopwatch.GetElapsedTime(since).TotalSeconds;
        }
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_old_primary_that_comes_back_as_a_second_primary_gets_no_posting_and_no_read(bool freezes)
    {
        await using var old = await PrimaryAsync("on");
        await using var promoted = await PostgresServer.StartStandbyOfAsync(old);
        await using var service = new ServiceProcess(BothOf(old, promoted), "banking", ("Banking__RetrySeconds", "5"));
        await using var book = new BookInspector($"{promoted.ConnectionString};Pooling=false", "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("100");
        await Wait.UntilAsync(() => book.ScalarAsync<bool>("SELECT last_block_id = 1 FROM ledger_head;"));
        await (freezes ? old.FreezeAsync() : old.CrashAsync());
        await promoted.PromoteAsync();
        await Wait.UntilAsync(async () => (await service.DepositAsync(account, "1", "the-key")).Status == HttpStatusCode.Created);

        await (freezes ? old.ThawAsync() : old.StartAsync()); // and nobody has told it to follow
        var (balance, posted) = (101, Stopwatch.GetTimestamp());
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(5);)
        {
            (await service.DepositAsync(account, "1")).ShouldBeCreated();
            var shown = await service.AccountAsync(account);
            shown.ShouldBeOk();
            shown["balance"].Should().Be($"{++balance}.00");
            (await service.HistoryAsync(account)).Should().HaveCount(balance - 99);
            (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        }

        Report.Write($"{balance - 101} deposits in {Stopwatch.GetElapsedTime(posted).TotalSeconds:F1} s beside a second primary.");
        service.Errors.Should().ContainSingle("nothing changes after the first time").Which.Should().Contain($"The server {old.Address} calls itself the primary but lacks block");
        await using var stale = new BookInspector(old.ConnectionString, "banking");
        (await stale.ScalarAsync<long>("SELECT last_block_id FROM ledger_head;")).Should().Be(1, "it has the opening alone");
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    // One address for both, as a load balancer, a virtual IP or a managed database has it.
    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Where_the_address_moves_back_to_the_old_primary_the_service_is_not_ready_and_does_nothing(int postedToOld)
    {
        await using var old = await PrimaryAsync("on");
        await using var promoted = await PostgresServer.StartStandbyOfAsync(old);
        using var address = new NetworkProxy(new(IPAddress.Loopback, old.Port), TimeSpan.Zero);
        var connectionString = old.ConnectionString.Replace($"Port={old.Port}", $"Port={address.Port}", StringComparison.Ordinal);
        await using var service = new ServiceProcess(connectionString, "banking", ("Banking__RetrySeconds", "2"));
        await using var book = new BookInspector(promoted.ConnectionString, "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("100");
        await Wait.UntilAsync(() => book.ScalarAsync<bool>("SELECT last_block_id = 1 FROM ledger_head;"));
        await promoted.PromoteAsync();
        address.MoveTo(new(IPAddress.Loopback, promoted.Port));
        (await service.DepositAsync(account, "1", "the-key")).ShouldBeCreated();
        await using (var other = new ServiceProcess(old.ConnectionString, "banking")) // an instance that still posts to the old primary
        {
            await other.StartAsync();
            for (var i = 0; i < postedToOld; i++)
            {
                (await other.DepositAsync(account, "7")).ShouldBeCreated();
            }
        }

        address.MoveTo(new(IPAddress.Loopback, old.Port));

        (await service.DepositAsync(account, "1")).ShouldBeProblem(503, "database_unavailable");
        (await service.AccountAsync(account)).ShouldBeProblem(503, "database_unavailable");
        await UnreadyAsync(service);
        await Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Text.Contains("the database cannot be used: The server"));
        await using var stale = new BookInspector(old.ConnectionString, "banking");
        (await stale.ScalarAsync<long>("SELECT last_block_id FROM ledger_head;")).Should().Be(1 + postedToOld);

        address.MoveTo(new(IPAddress.Loopback, promoted.Port));
        await Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Status == HttpStatusCode.OK);
        (await service.DepositAsync(account, "1", "the-key")).ShouldBeCreated(replayed: true);
        (await service.BalanceAsync(account)).Should().Be("101.00");
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_standby_that_was_promoted_without_acknowledged_postings_is_refused_until_somebody_restarts_the_service()
    {
        await using var primary = await PrimaryAsync("on");
        await using var standby = await PostgresServer.StartStandbyOfAsync(primary);
        await using var service = new ServiceProcess(BothOf(primary, standby), "banking", ("Banking__RetrySeconds", "2"));
        await using var book = new BookInspector($"{standby.ConnectionString};Pooling=false", "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("100");
        await Wait.UntilAsync(() => book.ScalarAsync<bool>("SELECT last_block_id = 1 FROM ledger_head;"));
        await standby.CrashAsync();
        (await service.DepositAsync(account, "1", "lost")).ShouldBeCreated();
        await primary.CrashAsync();
        await standby.StartAsync();
        await standby.PromoteAsync();

        (await service.DepositAsync(account, "2")).ShouldBeProblem(503, "database_unavailable");
        await UnreadyAsync(service);
        await service.RestartAsync();
        (await service.DepositAsync(account, "1", "lost")).ShouldBeCreated();
        (await service.BalanceAsync(account)).Should().Be("101.00");
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    private static async Task UnreadyAsync(ServiceProcess service)
    {
        var ready = await service.GetAsync("/health/ready");
        ready.Status.Should().Be(HttpStatusCode.ServiceUnavailable);
        await service.SaidAsync("calls itself the primary but lacks block 2");
    }

    private static Task<PostgresServer> PrimaryAsync(string synchronousCommit) =>
        PostgresServer.StartNewAsync($"synchronous_commit = {synchronousCommit}", "max_wal_senders = 5");

    /// <summary>From now on a commit waits for the standby.</summary>
    private static async Task UseStandbyAsync(PostgresServer primary)
    {
        await using var sql = new BookInspector(primary.ConnectionString, "public");
        await sql.ExecuteAsync("ALTER SYSTEM SET synchronous_standby_names = '*';");
        await sql.ExecuteAsync("SELECT pg_reload_conf();");
        await Wait.UntilAsync(() => sql.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync');"));
    }

    private static string BothOf(PostgresServer primary, PostgresServer standby) =>
        $"Host={primary.Address},{standby.Address};Target Session Attributes=primary;Username=postgres;Database=postgres;SSL Mode=Disable;GSS Encryption Mode=Disable";
}
