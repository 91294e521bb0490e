using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Banking.Data;

namespace Banking.Tests;

/// <summary>The real program as a process, on a port that it keeps over restarts, with the calls of its clients.</summary>
internal sealed class ServiceProcess : BankingClient, IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly (string Name, string Value)[] InProduction =
        [("ASPNETCORE_ENVIRONMENT", "Production"), ("Banking__AllowAnonymous", "true"), ("ASPNETCORE_URLS", "http://127.0.0.1:0")];

    private readonly (string Name, string Value)[] settings;
    private Process? process;
    private bool hasBook;
    private TaskCompletionSource up = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>In Production, unless the settings say otherwise.</summary>
    public ServiceProcess(string connectionString, string schema, params (string Name, string Value)[] settings)
    {
        Schema = schema;
        Http.BaseAddress = new($"http://127.0.0.1:{Ports.Free()}/");
        this.settings =
        [
            .. InProduction, ("ConnectionStrings__Banking", connectionString), ("Banking__Schema", schema), ("ASPNETCORE_URLS", $"{Address}"), .. settings,
        ];
    }

    /// <summary>In Development, with its own PostgreSQL in the folder. It takes any port; the test sets the address after reading it from the log.</summary>
    public ServiceProcess(DirectoryInfo folder, params (string Name, string Value)[] settings) => this.settings =
    [
        ("ASPNETCORE_ENVIRONMENT", "Development"), ("ASPNETCORE_URLS", "http://127.0.0.1:0"), ("Banking__DataFolder", folder.FullName), .. settings,
    ];

    public override HttpClient Http { get; } = new(new SocketsHttpHandler { MaxConnectionsPerServer = 3_000 }) { Timeout = TimeSpan.FromMinutes(1) };

    public Uri Address => Http.BaseAddress!;

    public string Schema { get; } = "banking";

    /// <summary>Whether it gets a new book before its first start. In Production it makes none itself.</summary>
    public bool GetsBook { get; init; } = true;

    /// <summary>The command line after the program's name.</summary>
    public string[] Arguments { get; init; } = [];

    /// <summary>Whether its output is still read once it is up. If not, the pipe fills.</summary>
    public bool IsHeard { get; init; } = true;

    /// <summary>Where the shell sends its output, such as <c>&gt;/dev/full</c>. Its lines are not heard then.</summary>
    public string? Redirection { get; init; }

    public int ProcessId => process!.Id;

    /// <summary>Its memory as the system counts it: VmRSS is the current size, VmHWM the highest so far.</summary>
    public long Megabytes(string counter) => long.Parse(
        File.ReadLines($"/proc/{ProcessId}/status").Single(line => line.StartsWith(counter, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2],
        CultureInfo.InvariantCulture) / 1024;

    /// <summary>Everything the program has written, over all restarts.</summary>
    public ConcurrentQueue<string> Lines { get; } = [];

    /// <summary>How many starts failed because the database was away.</summary>
    public int FailedStarts { get; private set; }

    public IEnumerable<string> Warnings => Said("Warning", "warn");

    /// <summary>Without the lines that only say that requests were given up in an outage of the database.</summary>
    public IEnumerable<string> Errors => Said("Error", "fail").Concat(Said("Critical", "crit")).Where(line => !line.Contains("Requests given up"));

    // As JSON, or in Development as text.
    private IEnumerable<string> Said(string level, string form) => Lines.Where(line => line.Contains($"\"LogLevel\":\"{level}\"") || line.Contains($" {form}: "));

    /// <summary>Returns when it serves. If it is up, at once.</summary>
    public Task UpAsync() => up.Task.WaitAsync(Patience);

    /// <summary>Runs a command to its end, in Production unless the settings say otherwise.</summary>
    public static Task<Run> RunAsync(string[] arguments, params (string Name, string Value)[] settings) =>
        Run.ToEndAsync(ToStart(arguments, [.. InProduction, .. settings]));

    /// <summary>Starts it, again and again until it serves.</summary>
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

    /// <summary>Starts it. Returns null when it serves, or its exit code.</summary>
    public async Task<int?> StartOnceAsync()
    {
        await MakeBookAsync();
        Start();
        var ended = process!.WaitForExitAsync();
        var first = await Task.WhenAny(ended, up.Task, Task.Delay(Patience));
        return first == ended ? process.ExitCode
            : first == up.Task ? null
            : throw new TimeoutException(string.Join('\n', Lines));
    }

    /// <summary>Makes the book, once.</summary>
    public async Task MakeBookAsync()
    {
        if (GetsBook && !hasBook && Last("ASPNETCORE_ENVIRONMENT") == "Production" && (Last("ConnectionStrings__Migrations") ?? Last("ConnectionStrings__Banking")) is { } owner)
        {
            hasBook = true;
            await Migrations.ApplyAsync(owner, Last("Banking__Schema")!, mayCreate: true, Patience, _ => { });
        }

        string? Last(string setting) => settings.LastOrDefault(one => one.Name == setting).Value;
    }

    /// <summary>Starts it and waits for nothing.</summary>
    public void Start()
    {
        process?.Dispose();
        var start = ToStart(Arguments, settings);
        if (Redirection is not null)
        {
            string[] command = ["-c", $"exec \"$0\" \"$@\" {Redirection}", start.FileName, .. start.ArgumentList];
            start.FileName = "sh";
            start.ArgumentList.Clear();
            command.ToList().ForEach(start.ArgumentList.Add);
        }

        process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Read(line.Data);
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.BeginErrorReadLine();
        if (IsHeard)
        {
            process.BeginOutputReadLine();
        }
        else
        {
            _ = HearAsync(process.StandardOutput, () => !up.Task.IsCompleted);
        }
    }

    /// <summary>Reads its output again, to its end.</summary>
    public Task HearAsync() => HearAsync(process!.StandardOutput, () => true);

    /// <summary>Returns when it has written these words.</summary>
    public Task SaidAsync(string words) => Wait.UntilAsync(() => Lines.Any(line => line.Contains(words)));

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        up = new(TaskCreationOptions.RunContinuationsAsynchronously);
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>Asks it to stop, then starts it again.</summary>
    public async Task RestartAsync()
    {
        up = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await StopAsync();
        await StartAsync();
    }

    /// <summary>Asks it to stop, unless it has stopped, and returns its exit code.</summary>
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

    /// <summary>With these settings, of which a later one wins. A database comes from them alone, not from the environment of the test run.</summary>
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

    private async Task HearAsync(StreamReader said, Func<bool> isHeard)
    {
        while (isHeard() && await said.ReadLineAsync() is { } line)
        {
            Read(line);
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
