using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using Banking.Data;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The real program starts before its database, or never gets one.</summary>
public sealed class StartTests(TestDatabase database)
{
    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Fact]
    public async Task It_waits_for_its_database_says_so_and_then_serves()
    {
        var (port, connectionString) = await NobodyAsync();
        await Migrations.ApplyAsync(database.ConnectionString, schema, mayCreate: true, TimeSpan.FromSeconds(10), _ => { });
        await using var service = new ServiceProcess(connectionString, schema, ("Banking__StartSeconds", "50")) { GetsBook = false };
        var started = service.StartAsync();
        await service.SaidAsync("The database does not answer yet");
        started.IsCompleted.Should().BeFalse();

        await using var proxy = new CommitProxy(database.ConnectionString, port);
        await started;

        service.FailedStarts.Should().Be(0);
        (await service.OpenAsync("1")).Should().BePositive();
        service.Lines.Count(line => line.Contains("does not answer yet")).Should().BeLessThan(4, "an operator needs no line a second");
        service.Errors.Should().BeEmpty();
    }

    [Theory]
    [InlineData(false, 0, "serve")]
    [InlineData(true, 0, "serve")]
    [InlineData(true, 1, "migrate")]
    [InlineData(true, 2, "verify")]
    public async Task SIGTERM_while_it_waits_ends_it_within_a_second(bool hangs, int exitCode, string command)
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        proxy.Hang();
        var connectionString = hangs ? proxy.ConnectionString : (await NobodyAsync()).ConnectionString;
        await using var service = new ServiceProcess(connectionString, schema, ("Banking__StartSeconds", "3600")) { Arguments = [command] };
        service.Start();
        await (hangs ? proxy.ConnectedAsync() : service.SaidAsync("The database does not answer yet"));

        await service.TerminateAsync();

        (await service.ExitCodeAsync(TimeSpan.FromSeconds(1))).Should().Be(exitCode);
        await service.SaidAsync("Stopped");
    }

    [Theory]
    [InlineData(false, "Failed to connect to 127.0.0.1:")]
    [InlineData(true, "")]
    public async Task Without_its_database_it_gives_up_in_time_and_says_why(bool hangs, string reason)
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        proxy.Hang();
        var connectionString = hangs ? $"{proxy.ConnectionString};Timeout=1" : (await NobodyAsync()).ConnectionString;

        var since = Stopwatch.GetTimestamp();
        var run = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", connectionString), ("Banking__StartSeconds", "2"));

        run.ExitCode.Should().Be(1);
        Stopwatch.GetElapsedTime(since).Should().BeGreaterThan(TimeSpan.FromSeconds(2)).And.BeLessThan(TimeSpan.FromSeconds(20));
        run.Output.Should().Contain("Can't start: The database did not answer within 2 s. " + reason).And.NotContain("   at ");
    }

    [Fact]
    public async Task It_does_not_wait_for_a_database_that_refuses_it()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using (var sql = new BookInspector(server.ConnectionString, "public"))
        {
            await sql.ExecuteAsync("ALTER ROLE postgres PASSWORD 'the right one';");
            await sql.ExecuteAsync($"COPY (SELECT 'host all all all scram-sha-256') TO '{server.Folder}/pg_hba.conf';");
            await sql.ExecuteAsync("SELECT pg_reload_conf();");
        }

        var right = $"{server.ConnectionString};Password=the right one";
        foreach (var (connectionString, reason) in new[]
        {
            ($"{server.ConnectionString};Password=the wrong one", "28P01: password authentication failed"),
            (right.Replace("Database=postgres", "Database=elsewhere", StringComparison.Ordinal), "3D000: database \"elsewhere\" does not exist"),
        })
        {
            var run = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", connectionString), ("Banking__StartSeconds", "3600"));

            run.ExitCode.Should().Be(1);
            run.Output.Should().Contain($"Can't start: {JsonEncodedText.Encode(reason, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}").And.NotContain("does not answer yet").And.NotContain(" one");
        }

        (await ServiceProcess.RunAsync(["migrate"], ("ConnectionStrings__Banking", right))).ExitCode.Should().Be(0, "it was the password");
    }

    /// <summary>An address where nothing listens yet.</summary>
    private async Task<(int Port, string ConnectionString)> NobodyAsync()
    {
        await using var proxy = new CommitProxy(database.ConnectionString, Ports.Free());
        return (proxy.Port, proxy.ConnectionString);
    }
}
