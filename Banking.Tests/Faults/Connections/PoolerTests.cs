using System.Collections.Concurrent;
using System.Net;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>PgBouncer stands between the service and its database.</summary>
[Trait("Category", "Long")]
public sealed class PoolerTests
{
    private const string WayOut = "Use session pooling for this database (PgBouncer: pool_mode = session), or connect to PostgreSQL itself.";

    [Fact(Explicit = true)]
    public async Task Behind_session_pooling_every_posting_survives_a_restart_of_the_pooler()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var pooler = await PgBouncer.StartAsync(server, "session", "default_pool_size = 40");
        (await RunAsync(pooler, "migrate")).ExitCode.Should().Be(0);
        await using var service = new ServiceProcess(pooler.ConnectionString, "banking", ("Banking__RetrySeconds", "30")) { GetsBook = false };
        await service.StartAsync();
        var account = await service.OpenAsync();
        using var enough = new CancellationTokenSource();
        var posted = new ConcurrentQueue<HttpStatusCode>();
        var clients = Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                posted.Enqueue((await service.DepositAsync(account, "1", $"{Guid.NewGuid()}")).Status);
                (await service.GetAsync($"/api/transaction_history?account_id={account}")).Status.Should().BeOneOf(HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable);
            }
        })).ToList();

        for (var restart = 0; restart < 3; restart++)
        {
            var before = posted.Count;
            await Wait.UntilAsync(() => posted.Count > before + 100);
            await pooler.StopAsync();
            await pooler.StartAsync();
            await Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Status == HttpStatusCode.OK);
        }

        await enough.CancelAsync();
        await Task.WhenAll(clients);
        posted.Should().OnlyContain(status => status == HttpStatusCode.Created);
        TestContext.Current.TestOutputHelper?.WriteLine($"{posted.Count} deposits, all 201, through three restarts of the pooler.");
        (await service.BalanceAsync(account)).Should().Be($"{posted.Count}.00");
        (await RunAsync(pooler, "verify")).ExitCode.Should().Be(0);
        service.Errors.Should().BeEmpty();
    }

    [Theory(Explicit = true)]
    [InlineData("serve", 1, "")]
    [InlineData("migrate", 1, "")]
    [InlineData("verify", 2, "")]
    [InlineData("serve", 1, "server_round_robin = 1")]
    public async Task Transaction_pooling_is_refused_at_once_and_leaves_nothing_behind(string command, int exitCode, string setting)
    {
        await using var server = await PostgresServer.StartNewAsync();
        (await RunAsync(server.ConnectionString, "migrate")).ExitCode.Should().Be(0);
        await using var pooler = await PgBouncer.StartAsync(server, "transaction", setting);

        var run = await RunAsync(pooler, command);

        run.ExitCode.Should().Be(exitCode);
        (run.Output + run.Errors).Should().Contain(WayOut).And.NotContain("does not answer yet").And.NotContain("   at ");
        await using var sessions = new NpgsqlConnection($"{pooler.ConnectionString};Pooling=false");
        await sessions.OpenAsync();
        await using var read = new NpgsqlCommand("SELECT current_setting('search_path'), current_setting('default_transaction_read_only');", sessions);
        await using var row = await read.ExecuteReaderAsync();
        await row.ReadAsync();
        (row.GetString(0), row.GetString(1)).Should().Be(("\"$user\", public", "off"), "the next client of the pooled session is somebody else");
    }

    [Fact(Explicit = true)]
    public async Task A_pooler_that_turns_to_transaction_pooling_makes_the_service_unready()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var pooler = await PgBouncer.StartAsync(server, "session", "default_pool_size = 40");
        await using var service = new ServiceProcess(pooler.ConnectionString, "banking");
        await service.StartAsync();
        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);

        await pooler.SetAsync("transaction", "default_pool_size = 40");
        await pooler.ReloadAsync();

        await Wait.UntilAsync(async () => (await service.GetAsync("/health/ready")).Text.Contains(WayOut));
    }

    [Fact(Explicit = true)]
    public async Task An_instance_fits_into_a_pool_of_as_many_sessions_as_the_guide_says()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var pooler = await PgBouncer.StartAsync(server, "session"); // its default is 20
        await using var service = new ServiceProcess(pooler.ConnectionString, "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("1");

        var replies = await Task.WhenAll(Enumerable.Range(0, 60).SelectMany(_ => new[]
        {
            service.GetAsync($"/api/transaction_history?account_id={account}"), service.AccountAsync(account), service.DepositAsync(account, "1"), service.GetAsync("/health/ready"),
        }));

        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK || reply.Status == HttpStatusCode.Created);
        service.Warnings.Where(line => !line.Contains("Banking__AllowAnonymous")).Should().BeEmpty();
    }

    [Fact(Explicit = true)]
    public async Task A_pooler_whose_server_is_away_is_waited_for()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var pooler = await PgBouncer.StartAsync(server, "session", "default_pool_size = 40", "server_login_retry = 1");
        await using var service = new ServiceProcess(pooler.ConnectionString, "banking");
        await service.MakeBookAsync();
        await server.CrashAsync();
        var started = service.StartAsync();
        await service.SaidAsync("The database does not answer yet");

        await server.StartAsync();

        await started;
        service.FailedStarts.Should().Be(0);
        (await service.OpenAsync("1")).Should().BePositive();
    }

    [Fact(Explicit = true)]
    public async Task A_parameter_that_the_pooler_refuses_ends_the_start_at_once()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var pooler = await PgBouncer.StartAsync(server, "session");

        var run = await RunAsync($"{pooler.ConnectionString};Options=-c work_mem=8MB", "serve");

        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("unsupported startup parameter").And.Contain("A pooler refuses what the connection string sets.")
            .And.NotContain("does not answer yet");
    }

    private static Task<Run> RunAsync(PgBouncer pooler, string command) => RunAsync(pooler.ConnectionString, command);

    private static Task<Run> RunAsync(string connectionString, string command) =>
        ServiceProcess.RunAsync([command], ("ConnectionStrings__Banking", connectionString), ("Banking__StartSeconds", "60"));
}
