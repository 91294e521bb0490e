using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The program as a newcomer starts it: in its own process, with a private PostgreSQL.</summary>
public sealed class PrivateClusterTests : IAsyncDisposable
{
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"cb-{Guid.NewGuid().ToString("N")[..8]}");
    private readonly List<ServiceProcess> services = [];

    [Fact]
    public async Task It_starts_without_settings_says_where_its_data_is_and_keeps_the_data_when_it_stops()
    {
        var first = await StartAsync();
        first.Lines.Should().ContainSingle(line => line.Contains("Ready.")).Which.Should().Contain(folder).And.MatchRegex(@"http://127\.0\.0\.1:\d+/scalar");
        var account = await first.OpenAsync("42");
        using var postmaster = Postmaster();

        (await first.StopAsync()).Should().Be(0);

        await GoneAsync(postmaster);
        File.Exists(PidFile).Should().BeFalse();

        var second = await StartAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task When_the_service_is_killed_its_postgres_stops_and_the_next_start_has_all_acknowledged_data()
    {
        var first = await StartAsync();
        var account = await first.OpenAsync("42");
        using var postmaster = Postmaster();

        await first.KillAsync();
        await GoneAsync(postmaster);

        var second = await StartAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task When_service_and_keeper_are_killed_the_next_start_takes_over_the_postgres_they_left()
    {
        var first = await StartAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();

        await Run.ToEndAsync(new("pkill", ["-KILL", "-P", $"{first.ProcessId}"]));
        await first.KillAsync();
        left.HasExited.Should().BeFalse();

        var second = await StartAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
        await GoneAsync(left);
    }

    [Fact]
    public async Task A_left_postgres_without_a_socket_is_stopped_too()
    {
        var first = await StartAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();
        await LeaveAsync(first);

        var second = await StartAsync();

        (await second.BalanceAsync(account)).Should().Be("42.00");
        await GoneAsync(left);
    }

    [Fact]
    public async Task A_left_postgres_that_does_not_stop_keeps_its_pid_file_and_the_start_says_what_to_do()
    {
        var first = await StartAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();
        await Run.ToEndAsync(new("kill", ["-STOP", $"{left.Id}"]));
        await LeaveAsync(first);

        var second = NotStarted();

        (await second.StartOnceAsync()).Should().Be(1);
        File.Exists(PidFile).Should().BeTrue();
        second.Lines.Should().ContainSingle(line => line.Contains("Can't start"))
            .Which.Should().Contain($"process {left.Id}").And.Contain($"kill -CONT {left.Id}");
        await Run.ToEndAsync(new("kill", ["-CONT", $"{left.Id}"]));
        var third = await StartAsync();
        (await third.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task A_second_process_on_the_same_folder_says_so_and_leaves_the_first_alone()
    {
        var first = await StartAsync();

        var second = NotStarted();

        (await second.StartOnceAsync()).Should().Be(1);
        second.Lines.Should().ContainSingle(line => line.Contains("Can't start"))
            .Which.Should().Contain(folder).And.Contain("Banking__DataFolder");
        second.Lines.Should().NotContain(line => line.Contains("   at "), "a stack trace is no help to its reader");
        (await first.OpenAsync("1")).Should().BePositive();
    }

    [Fact]
    public async Task A_stale_pid_file_neither_stops_another_program_nor_prevents_the_start()
    {
        var first = await StartAsync();
        var account = await first.OpenAsync("42");
        await first.StopAsync();
        using var bystander = Process.Start("sleep", "600");
        await File.WriteAllTextAsync(PidFile, $"{bystander.Id}\n{Path.Combine(folder, "data")}\n1\n5432\n{folder}\n\n");

        var second = await StartAsync();

        (await second.BalanceAsync(account)).Should().Be("42.00");
        bystander.HasExited.Should().BeFalse();
        bystander.Kill();
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();

        var service = NotStarted(("ASPNETCORE_URLS", $"http://{taken.LocalEndpoint}"));

        (await service.StartOnceAsync()).Should().Be(1);
        service.Lines.Should().ContainSingle(line => line.Contains("Can't start")).Which.Should().Contain($"{taken.LocalEndpoint}");
        service.Lines.Should().NotContain(line => line.Contains("   at "));
    }

    [Fact]
    public async Task In_production_it_asks_for_a_database()
    {
        var service = NotStarted(("ASPNETCORE_ENVIRONMENT", "Production"), ("Banking__AllowAnonymous", "true"));

        (await service.StartOnceAsync()).Should().Be(1);
        service.Lines.Should().ContainSingle(line => line.Contains("ConnectionStrings__Banking"));
        service.Lines.Should().NotContain(line => line.Contains("   at "));
        Directory.Exists(folder).Should().BeFalse();
    }

    private string PidFile => Path.Combine(folder, "data", "postmaster.pid");

    private Process Postmaster() => Process.GetProcessById(int.Parse(File.ReadLines(PidFile).First(), CultureInfo.InvariantCulture));

    private static async Task GoneAsync(Process process)
    {
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(15));
    }

    /// <summary>Kills the service and its keeper, and removes the socket. The server keeps running, but nobody can connect to it.</summary>
    private async Task LeaveAsync(ServiceProcess service)
    {
        await Run.ToEndAsync(new("pkill", ["-KILL", "-P", $"{service.ProcessId}"]));
        await service.KillAsync();
        File.Delete(Path.Combine(folder, ".s.PGSQL.5432"));
    }

    private ServiceProcess NotStarted(params (string Name, string Value)[] settings)
    {
        services.Add(new(new DirectoryInfo(folder), settings));
        return services[^1];
    }

    private async Task<ServiceProcess> StartAsync()
    {
        var service = NotStarted();
        var exitCode = await service.StartOnceAsync();
        Assert.SkipWhen(service.Lines.Any(line => line.Contains("No PostgreSQL server binaries")), "The private PostgreSQL needs the server's binaries on this machine.");
        exitCode.Should().BeNull("{0}", string.Join('\n', service.Lines));
        var ready = service.Lines.Single(line => line.Contains("Ready."));
        service.Http.BaseAddress = new(ready[ready.IndexOf("http://", StringComparison.Ordinal)..].Replace("/scalar", "/", StringComparison.Ordinal));
        return service;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var service in services)
        {
            await service.StopAsync(); // a killed service would leave its PostgreSQL running a moment longer than the folder
            await service.DisposeAsync();
        }

        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
