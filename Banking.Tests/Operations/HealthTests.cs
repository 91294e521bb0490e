using System.Diagnostics;
using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the health checks answer, and how soon.</summary>
public sealed class HealthTests(TestDatabase database)
{
    [Fact]
    public async Task A_running_service_is_live_and_ready()
    {
        await using var bank = new BankingApp(database);

        (await bank.GetAsync("/health/live")).Text.Should().Be("""{"status":"live","reasons":[]}""");
        (await bank.GetAsync("/health/ready")).Text.Should().Be("""{"status":"ready","reasons":[]}""");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task While_the_database_hangs_readiness_says_so_within_a_second()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var service = new ServiceProcess(proxy.ConnectionString, $"book_{Guid.NewGuid():N}", ("Banking__RetrySeconds", "4"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await ReadyAsync(service);
        (await service.GetAsync("/metrics")).Text.Should().MatchRegex(@"(?m)^banking_ready\{.*\} 1$");
        proxy.Hang();
        // Meanwhile other requests hang: more reads than there are connections, and a posting.
        var others = Enumerable.Range(0, 100).Select(_ => service.GetAsync($"/api/get_one_account?account_id={account}")).Append(service.DepositAsync(account, "1", "the-key")).ToList();

        var took = new List<TimeSpan>();
        // Long enough for every timeout to pass.
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(12);)
        {
            var asked = Stopwatch.GetTimestamp();
            var reply = await service.GetAsync("/health/ready");
            took.Add(Stopwatch.GetElapsedTime(asked));
            reply.Status.Should().Be(HttpStatusCode.ServiceUnavailable);
            Reasons(reply).Should().Equal("the database does not answer");
            (await service.GetAsync("/health/live"))["status"].Should().Be("live");
        }

        took.Should().OnlyContain(time => time < TimeSpan.FromSeconds(1));
        others.Should().OnlyContain(reply => reply.IsCompleted);
        (await service.GetAsync("/metrics")).Text.Should().MatchRegex(@"(?m)^banking_ready\{.*\} 0$");
        proxy.GoOn();
        await ReadyAsync(service);
        (await Task.WhenAll(others)).Should().OnlyContain(reply => reply.Code == "database_unavailable");
        (await service.DepositAsync(account, "1", "the-key")).Status.Should().Be(HttpStatusCode.Created);
        (await service.BalanceAsync(account)).Should().Be("2.00");
        service.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task A_schema_that_lacks_a_script_of_this_build_is_not_ready_and_one_with_a_later_script_is()
    {
        await using var bank = new BankingApp(database);

        await bank.Book.ExecuteAsync("UPDATE schema_version SET scriptname = '9999_later.sql' WHERE scriptname = '0006_ledger_head.sql';");
        var older = await bank.GetAsync("/health/ready");
        await bank.Book.ExecuteAsync("INSERT INTO schema_version (scriptname, applied) VALUES ('0006_ledger_head.sql', now());");
        var newer = await bank.GetAsync("/health/ready");

        older.Status.Should().Be(HttpStatusCode.ServiceUnavailable);
        Reasons(older).Should().Equal("the schema lacks 1 of this build's scripts, first 0006_ledger_head.sql; run migrate");
        newer.Status.Should().Be(HttpStatusCode.OK);
        bank.Complaints.Should().ContainSingle().Which.Should().Contain("Not ready").And.Contain("0006_ledger_head.sql");
    }

    [Fact]
    public async Task A_book_that_the_service_may_not_read_is_not_ready()
    {
        await using var bank = new BankingApp(database);

        await bank.Book.ExecuteAsync("ALTER TABLE schema_version RENAME TO gone;");
        var reply = await bank.GetAsync("/health/ready");

        reply.Status.Should().Be(HttpStatusCode.ServiceUnavailable);
        Reasons(reply).Should().Equal("the book cannot be read (SQLSTATE 42P01)");
    }

    [Fact]
    public async Task A_service_with_a_full_queue_is_not_ready_until_there_is_room()
    {
        await using var bank = new BankingApp(database, null, ("Banking:QueueLimit", "3"));
        var account = await bank.OpenAsync();
        var head = await bank.Book.HoldHeadAsync();
        // One more than fits. Once one is refused, the other three wait.
        var sent = Enumerable.Range(0, 4).Select(_ => bank.DepositAsync(account, "1")).ToList();
        var refused = await Task.WhenAny(sent);

        var full = await bank.GetAsync("/health/ready");
        await head.DisposeAsync();
        await Task.WhenAll(sent);
        var empty = await bank.GetAsync("/health/ready");

        (await refused).Code.Should().Be("overloaded");
        full.Status.Should().Be(HttpStatusCode.ServiceUnavailable);
        Reasons(full).Should().Equal("the queue is full");
        empty.Status.Should().Be(HttpStatusCode.OK);
    }

    [Fact]
    public async Task The_health_command_answers_by_its_exit_code()
    {
        await using var service = new ServiceProcess(database.ConnectionString, $"book_{Guid.NewGuid():N}");
        await service.StartAsync();
        await using var book = new BookInspector(database.ConnectionString, service.Schema);
        (string, string)[] here = [("ASPNETCORE_URLS", $"https://*:1;http://+:{service.Address.Port}")];

        var ready = await ServiceProcess.RunAsync(["health"], here);
        await book.ExecuteAsync("DELETE FROM schema_version;");
        var unready = await ServiceProcess.RunAsync(["health"], here);
        var nobody = await ServiceProcess.RunAsync(["health"], ("ASPNETCORE_URLS", ""), ("ASPNETCORE_HTTP_PORTS", "1"));

        ready.Should().Be(new Run(0, "{\"status\":\"ready\",\"reasons\":[]}\n", ""));
        unready.ExitCode.Should().Be(1);
        unready.Output.Should().Contain("of this build's scripts");
        nobody.ExitCode.Should().Be(1);
        nobody.Errors.Should().Contain("No answer from localhost:1");
    }

    private static Task ReadyAsync(ServiceProcess service) =>
        Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Status == HttpStatusCode.OK);

    private static IEnumerable<string?> Reasons(Reply reply) => reply.Body.GetProperty("reasons").EnumerateArray().Select(reason => reason.GetString());
}
