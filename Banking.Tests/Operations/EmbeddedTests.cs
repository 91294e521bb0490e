using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The program as a newcomer starts it: a process of its own, with a PostgreSQL of its own.</summary>
public sealed class EmbeddedTests : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string folder = Path.Combine(Path.GetTempPath(), $"cb-{Guid.NewGuid().ToString("N")[..8]}");
    private readonly List<Service> services = [];

    [Fact]
    public async Task It_starts_by_itself_says_where_things_are_and_keeps_its_data_when_it_is_stopped()
    {
        var first = Start();
        var ready = await first.ReadyAsync();
        ready.Should().Contain(folder).And.MatchRegex(@"http://127\.0\.0\.1:\d+/scalar");
        var account = await first.OpenAsync("42");
        using var postmaster = Postmaster();

        await first.KillAsync("TERM");

        (await first.ExitCodeAsync()).Should().Be(0);
        await GoneAsync(postmaster);
        File.Exists(PidFile).Should().BeFalse();

        var second = Start();
        await second.ReadyAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task Killed_it_takes_its_postgres_along_and_the_next_start_has_all_that_was_answered()
    {
        var first = Start();
        await first.ReadyAsync();
        var account = await first.OpenAsync("42");
        using var postmaster = Postmaster();

        await first.KillAsync("KILL");
        await GoneAsync(postmaster);

        var second = Start();
        await second.ReadyAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task Killed_with_its_keeper_it_finds_the_postgres_that_was_left_and_goes_on()
    {
        var first = Start();
        await first.ReadyAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();

        await RunAsync("pkill", "-KILL", "-P", $"{first.ProcessId}");
        await first.KillAsync("KILL");
        left.HasExited.Should().BeFalse();

        var second = Start();
        await second.ReadyAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
        await GoneAsync(left);
    }

    [Fact]
    public async Task A_postgres_that_was_left_and_can_not_be_connected_to_is_stopped_all_the_same()
    {
        var first = Start();
        await first.ReadyAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();
        await RunAsync("pkill", "-KILL", "-P", $"{first.ProcessId}");
        await first.KillAsync("KILL");
        File.Delete(Path.Combine(folder, ".s.PGSQL.5432")); // as those do who tidy up

        var second = Start();

        await second.ReadyAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
        await GoneAsync(left);
    }

    [Fact]
    public async Task A_postgres_that_was_left_and_does_not_stop_keeps_its_trace_and_the_start_says_what_to_do()
    {
        var first = Start();
        await first.ReadyAsync();
        var account = await first.OpenAsync("42");
        using var left = Postmaster();
        await RunAsync("kill", "-STOP", $"{left.Id}");
        await RunAsync("pkill", "-KILL", "-P", $"{first.ProcessId}");
        await first.KillAsync("KILL");
        File.Delete(Path.Combine(folder, ".s.PGSQL.5432"));

        var second = Start();

        (await second.ExitCodeAsync()).Should().Be(1);
        File.Exists(PidFile).Should().BeTrue();
        second.Lines.Should().ContainSingle(line => line.Contains("Can't start"))
            .Which.Should().Contain($"process {left.Id}").And.Contain($"kill -CONT {left.Id}");
        await RunAsync("kill", "-CONT", $"{left.Id}");
        var third = Start();
        await third.ReadyAsync();
        (await third.BalanceAsync(account)).Should().Be("42.00");
    }

    [Fact]
    public async Task A_second_process_on_the_same_folder_says_so_and_leaves_the_first_alone()
    {
        var first = Start();
        await first.ReadyAsync();

        var second = Start();

        (await second.ExitCodeAsync()).Should().Be(1);
        second.Lines.Should().ContainSingle(line => line.Contains("Can't start"))
            .Which.Should().Contain(folder).And.Contain("Banking__DataFolder");
        second.Lines.Should().NotContain(line => line.Contains("   at "), "a stack trace is no help to its reader");
        (await first.OpenAsync("1")).Should().BePositive();
    }

    [Fact]
    public async Task A_trace_of_a_server_that_is_gone_stops_no_other_program_and_no_start()
    {
        var first = Start();
        await first.ReadyAsync();
        var account = await first.OpenAsync("42");
        await first.KillAsync("TERM");
        await first.ExitCodeAsync();
        using var bystander = Process.Start("sleep", "600");
        await File.WriteAllTextAsync(PidFile, $"{bystander.Id}\n{Path.Combine(folder, "data")}\n1\n5432\n{folder}\n\n");

        var second = Start();

        await second.ReadyAsync();
        (await second.BalanceAsync(account)).Should().Be("42.00");
        bystander.HasExited.Should().BeFalse();
        bystander.Kill();
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();

        var service = Start(("ASPNETCORE_URLS", $"http://{taken.LocalEndpoint}"));

        (await service.ExitCodeAsync()).Should().Be(1);
        service.Lines.Should().ContainSingle(line => line.Contains("Can't start")).Which.Should().Contain($"{taken.LocalEndpoint}");
        service.Lines.Should().NotContain(line => line.Contains("   at "));
    }

    [Fact]
    public async Task In_production_it_asks_for_a_database()
    {
        var service = Start(("ASPNETCORE_ENVIRONMENT", "Production"), ("Banking__AllowAnonymous", "true"));

        (await service.ExitCodeAsync()).Should().Be(1);
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

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
    }

    private Service Start(params (string Name, string Value)[] settings)
    {
        var service = new Service(folder, settings);
        services.Add(service);
        return service;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var service in services)
        {
            await service.DisposeAsync();
        }

        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private sealed class Service : IAsyncDisposable
    {
        private readonly Process process;
        private readonly TaskCompletionSource<string> ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly HttpClient http = new();

        public Service(string folder, (string Name, string Value)[] settings)
        {
            var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Banking.Api.dll")])
            {
                WorkingDirectory = AppContext.BaseDirectory,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            start.Environment.Remove("ConnectionStrings__Banking");
            start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
            start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
            start.Environment["Banking__DataFolder"] = folder;
            foreach (var (name, value) in settings)
            {
                start.Environment[name] = value;
            }

            process = Process.Start(start)!;
            process.OutputDataReceived += (_, line) => Read(line.Data);
            process.ErrorDataReceived += (_, line) => Read(line.Data);
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
        }

        public ConcurrentQueue<string> Lines { get; } = [];

        public int ProcessId => process.Id;

        public async Task<string> ReadyAsync()
        {
            await Task.WhenAny(ready.Task, process.WaitForExitAsync()).WaitAsync(Patience);
            Assert.SkipWhen(Lines.Any(said => said.Contains("No PostgreSQL server binaries")), "The embedded PostgreSQL needs the server's binaries on this machine.");
            var line = ready.Task.IsCompleted ? await ready.Task : throw new InvalidOperationException(string.Join('\n', Lines));
            http.BaseAddress = new(line[line.IndexOf("http://", StringComparison.Ordinal)..].Replace("/scalar", "/", StringComparison.Ordinal));
            return line;
        }

        public async Task<int> ExitCodeAsync()
        {
            await process.WaitForExitAsync().WaitAsync(Patience);
            return process.ExitCode;
        }

        public async Task KillAsync(string signal)
        {
            await RunAsync("kill", $"-{signal}", $"{process.Id}");
            await ExitCodeAsync();
        }

        public async Task<long> OpenAsync(string initialDeposit)
        {
            using var response = await http.PostAsJsonAsync("api/create_account", new { owner_name = "Someone", initial_deposit = initialDeposit });
            return (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>()).GetProperty("account_id").GetInt64();
        }

        public async Task<string?> BalanceAsync(long account) =>
            (await http.GetFromJsonAsync<JsonElement>($"api/get_one_account?account_id={account}")).GetProperty("balance").GetString();

        private void Read(string? line)
        {
            if (line is null)
            {
                return;
            }

            Lines.Enqueue(line);
            if (line.Contains("Ready."))
            {
                ready.TrySetResult(line);
            }
        }

        public async ValueTask DisposeAsync()
        {
            http.Dispose();
            if (!process.HasExited)
            {
                await KillAsync("TERM");
            }

            process.Dispose();
        }
    }
}
