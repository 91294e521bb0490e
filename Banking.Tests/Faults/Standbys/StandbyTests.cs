using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Servers, sessions and roles that can only read. The service finds the primary, or says why it is not ready.</summary>
public sealed class StandbyTests
{
    [Fact]
    public async Task It_finds_the_primary_among_several_hosts_and_is_not_ready_on_one_that_only_reads()
    {
        await using var primary = await PostgresServer.StartNewAsync("max_wal_senders = 5");
        await using var standby = await PostgresServer.StartStandbyOfAsync(primary);
        var both = primary.ConnectionString.Replace($"Host=127.0.0.1;Port={primary.Port}", $"Host={standby.Address},{primary.Address}", StringComparison.Ordinal);

        await using (var service = new ServiceProcess(both, "banking", ("Banking__StartSeconds", "5")))
        {
            await service.MakeBookAsync();
            service.Start();
            await Task.WhenAny(service.UpAsync(), service.ExitCodeAsync(TimeSpan.FromSeconds(50)));
            (await service.OpenAsync("1")).Should().BePositive();
            (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK, string.Join('\n', service.Lines));
        }

        (await ServiceProcess.RunAsync(["verify"], ("ConnectionStrings__Banking", both))).ExitCode.Should().Be(0);
        var answers = new List<string>();
        foreach (var connectionString in new[]
        {
            standby.ConnectionString,
            $"{primary.ConnectionString};Options=-c default_transaction_read_only=on",
        })
        {
            await using var service = new ServiceProcess(connectionString, "banking");
            await service.StartAsync();
            var reply = await service.GetAsync("/health/ready");
            answers.Add($"{(int)reply.Status} {reply.Body.GetProperty("reasons")}");
        }

        answers.Should().Equal(
            """503 ["the database is a standby"]""",
            """503 ["database sessions are read-only (default_transaction_read_only)"]""");
    }
}
