using System.Diagnostics;
using System.Net;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>PostgreSQL has no connection left for the service, or fewer than it may open.</summary>
public sealed class ConnectionLimitTests
{
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Many_reads_share_the_few_connections_that_the_server_grants()
    {
        await using var server = await PostgresServer.StartNewAsync("max_connections = 10");
        await using var service = new ServiceProcess(server.ConnectionString, "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await ReadAsync(service, account);
        await OthersAsync(server);

        var replies = await Task.WhenAll(Enumerable.Range(0, 80).Select(_ => ReadAsync(service, account)));

        replies.SelectMany(reply => reply).Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_read_waits_for_a_connection_and_the_log_says_if_there_was_none()
    {
        await using var server = await PostgresServer.StartNewAsync("max_connections = 10");
        await using var service = new ServiceProcess(server.ConnectionString, "banking", ("Banking__ReadSeconds", "3"));
        await service.StartAsync();
        var transaction = (await service.DepositAsync(await service.OpenAsync(), "1")).Id("transaction_id");
        var others = await OthersAsync(server);
        var path = $"/api/get_one_transaction?transaction_id={transaction}";

        var asked = Stopwatch.GetTimestamp();
        (await service.GetAsync(path)).ShouldBeProblem(503, "database_unavailable");
        Stopwatch.GetElapsedTime(asked).Should().BeGreaterThan(TimeSpan.FromSeconds(2));
        await service.SaidAsync("GET /api/get_one_transaction failed with 503: 53300: sorry, too many clients already.");

        var refused = await RefusedAsync(server);
        var read = service.GetAsync(path);
        await Wait.UntilAsync(async () => await RefusedAsync(server) > refused);
        await others[0].CloseAsync();
        (await read).Status.Should().Be(HttpStatusCode.OK);
    }

    /// <summary>Sessions of others, who take all connections that are left.</summary>
    private static async Task<List<NpgsqlConnection>> OthersAsync(PostgresServer server)
    {
        for (var others = new List<NpgsqlConnection>(); ;)
        {
            var next = new NpgsqlConnection($"{server.ConnectionString};Pooling=false");
            try
            {
                await next.OpenAsync();
                others.Add(next);
            }
            catch (PostgresException exception) when (exception.SqlState == PostgresErrorCodes.TooManyConnections)
            {
                return others;
            }
        }
    }

    private static async Task<int> RefusedAsync(PostgresServer server) =>
        (await File.ReadAllLinesAsync(Path.Combine(server.Folder, "server.log"))).Count(line => line.Contains("too many clients"));

    private static async Task<Reply[]> ReadAsync(ServiceProcess service, long account) =>
        await Task.WhenAll(service.GetAsync($"/api/transaction_history?account_id={account}"), service.AccountAsync(account));
}
