using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Banking.Tests;

/// <summary>The real program as a process, on a port that it keeps over restarts, with the verbs of its clients.</summary>
internal sealed class ServiceProcess : BankingClient, IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly (string Name, string Value)[] InProduction =
        [("ASPNETCORE_ENVIRONMENT", "Production"), ("Banking__AllowAnonymous", "true"), ("ASPNETCORE_URLS", "http://127.0.0.1:0")];

    private readonly (string Name, string Value)[] settings;
    private Process? process;
    private TaskCompletionSource up = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>In Production, where the settings say nothing else.</summary>
    public ServiceProcess(string connectionString, string schema, params (string Name, string Value)[] settings)
    {
        Schema = schema;
        Http.BaseAddress = new($"http://127.0.0.1:{Ports.Free()}/");
        this.settings =
        [
            .. InProduction, ("ConnectionStrings__Banking", connectionString), ("Banking__Schema", schema), ("ASPNETCORE_URLS", $"{Address}"), .. settings,
        ];
    }

    /// <summary>In Development, with a PostgreSQL of its own in the folder. Its address is any, to be set when it has said which.</summary>
    public ServiceProcess(DirectoryInfo folder, params (string Name, string Value)[] settings) => this.settings =
    [
        ("ASPNETCORE_ENVIRONMENT", "Development"), ("ASPNETCORE_URLS", "http://127.0.0.1:0"), ("Banking__DataFolder", folder.FullName), .. settings,
    ];

    public override HttpClient Http { get; } = new(new SocketsHttpHandler { MaxConnectionsPerServer = 1_000 }) { Timeout = TimeSpan.FromMinutes(1) };

    public Uri Address => Http.BaseAddress!;

    public string Schema { get; } = "banking";

    /// <summary>The program's own, after its name.</summary>
    public string[] Arguments { get; init; } = [];

    /// <summary>Whether what it says is read on when it is up; else its pipe fills.</summary>
    public bool IsHeard { get; init; } = true;

    public int ProcessId => process!.Id;

    /// <summary>Its memory, as the system counts it: VmRSS is now, VmHWM at most.</summary>
    public long Megabytes(string counter) => long.Parse(
        File.ReadLines($"/proc/{ProcessId}/status").Single(line => line.StartsWith(counter, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2],
        CultureInfo.InvariantCulture) / 1024;

    /// <summary>What the program said, of all its lives.</summary>
    public ConcurrentQueue<string> Lines { get; } = [];

    /// <summary>How often it had to be started again because it did not find its database.</summary>
    public int FailedStarts { get; private set; }

    public IEnumerable<string> Warnings => Said("Warning", "warn");

    public IEnumerable<string> Errors => Said("Error", "fail").Concat(Said("Critical", "crit"));

    // As JSON, or in Development as text.
    private IEnumerable<string> Said(string level, string form) => Lines.Where(line => line.Contains($"\"LogLevel\":\"{level}\"") || line.Contains($" {form}: "));

    /// <summary>Completes when it serves: at once, unless it is down.</summary>
    public Task UpAsync() => up.Task.WaitAsync(Patience);

    /// <summary>Runs a command to its end, in Production where the settings say nothing else.</summary>
    public static Task<Run> RunAsync(string[] arguments, params (string Name, string Value)[] settings) =>
        Run.ToEndAsync(ToStart(arguments, [.. InProduction, .. settings]));

    /// <summary>Starts it, as often as it takes.</summary>
    public async Task StartAsync()
    {
        for (var since = Stopwatch.GetTimestamp(); await StartOnceAsync() is not null; FailedStarts++)
        {
            if (Stopwatch.GetElapsedTime(since) > Patience)
            {
                throw new TimeoutException(string.Join('\n', Lines));
            }
        }
    }

    /// <summary>Starts it: its exit code, or null where it serves.</summary>
    public async Task<int?> StartOnceAsync()
    {
        Start();
        var ended = process!.WaitForExitAsync();
        var first = await Task.WhenAny(ended, up.Task, Task.Delay(Patience));
        return first == ended ? process.ExitCode
            : first == up.Task ? null
            : throw new TimeoutException(string.Join('\n', Lines));
    }

    /// <summary>Starts it and waits for nothing.</summary>
    public void Start()
    {
        process?.Dispose();
        process = Process.Start(ToStart(Arguments, settings))!;
        process.OutputDataReceived += (_, line) => Read(line.Data);
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.BeginErrorReadLine();
        if (IsHeard)
        {
            process.BeginOutputReadLine();
        }
        else
        {
            _ = HearUntilUpAsync(process.StandardOutput);
        }
    }

    /// <summary>Completes when it has said something.</summary>
    public Task SaidAsync(string words) => Wait.UntilAsync(() => Lines.Any(line => line.Contains(words)));

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        up = new(TaskCreationOptions.RunContinuationsAsynchronously);
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>Asks it to stop, and starts it again when it has.</summary>
    public async Task RestartAsync()
    {
        up = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await StopAsync();
        await StartAsync();
    }

    /// <summary>Asks it to stop, unless it has, and gives its exit code.</summary>
    public async Task<int> StopAsync()
    {
        if (!process!.HasExited)
        {
            await TerminateAsync();
        }

        return await ExitCodeAsync(Patience);
    }

    /// <summary>Asks it to stop and waits for nothing.</summary>
    public Task TerminateAsync() => Run.ToEndAsync(new("kill", ["-TERM", $"{ProcessId}"]));

    public async Task<int> ExitCodeAsync(TimeSpan within)
    {
        await process!.WaitForExitAsync().WaitAsync(within);
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (process is { HasExited: false })
        {
            await KillAsync();
        }

        process?.Dispose();
    }

    /// <summary>With these settings, of which later ones win, and no database but theirs.</summary>
    private static ProcessStartInfo ToStart(string[] arguments, (string Name, string Value)[] settings)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Banking.Api.dll"), .. arguments])
        {
            WorkingDirectory = AppContext.BaseDirectory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.Remove("ConnectionStrings__Banking");
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        return start;
    }

    private async Task HearUntilUpAsync(StreamReader said)
    {
        while (!up.Task.IsCompleted)
        {
            Read(await said.ReadLineAsync());
        }
    }

    private void Read(string? line)
    {
        if (line is null)
        {
            return;
        }

        Lines.Enqueue(line);
        if (line.Contains("Ready."))
        {
            up.TrySetResult();
        }
    }
}
