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
        await clients.OpenAsync(10);
        using var enough = new CancellationTokenSource();
        var running = clients.RunAsync(16, enough.Token);
        await clients.AcknowledgeAsync(1_000);

        var since = Stopwatch.GetTimestamp();
        await primary.CrashAsync();
        await standby.PromoteAsync();
        var promoted = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(50);
        var served = Stopwatch.GetElapsedTime(since);
        await clients.AcknowledgeAsync(1_000);
        await enough.CancelAsync();
        await running;

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
