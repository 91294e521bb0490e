using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace Banking.Tests;

/// <summary>The real program as a process, on a port that it keeps over restarts.</summary>
internal sealed class ServiceProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Dictionary<string, string> settings;
    private readonly HttpClient http;
    private Process? process;
    private TaskCompletionSource up = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ServiceProcess(string connectionString, string book, params (string Name, string Value)[] settings)
    {
        Address = new($"http://127.0.0.1:{Ports.Free()}/");
        http = new(new SocketsHttpHandler { MaxConnectionsPerServer = 1_000 }) { BaseAddress = Address, Timeout = TimeSpan.FromMinutes(1) };
        Book = book;
        this.settings = new()
        {
            ["ConnectionStrings__Banking"] = connectionString,
            ["Banking__Schema"] = book,
            ["Banking__AllowAnonymous"] = "true",
            ["ASPNETCORE_ENVIRONMENT"] = "Production",
            ["ASPNETCORE_URLS"] = $"{Address}",
        };
        foreach (var (name, value) in settings)
        {
            this.settings[name] = value;
        }
    }

    public Uri Address { get; }

    public string Book { get; }

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

    /// <summary>Starts it, as often as it takes.</summary>
    public async Task StartAsync()
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (true)
        {
            Start();
            if (await Task.WhenAny(up.Task, process!.WaitForExitAsync(deadline.Token)) == up.Task)
            {
                return;
            }

            if (deadline.IsCancellationRequested)
            {
                throw new InvalidOperationException(string.Join('\n', Lines));
            }

            FailedStarts++;
        }
    }

    /// <summary>Starts it where it should refuse to: its exit code, or null where it serves all the same.</summary>
    public async Task<int?> RefuseAsync()
    {
        Start();
        var exited = process!.WaitForExitAsync();
        return await Task.WhenAny(exited, up.Task).WaitAsync(Patience) == exited ? process.ExitCode : null;
    }

    /// <summary>Completes when it has said something.</summary>
    public async Task SaidAsync(string words)
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (!Lines.Any(line => line.Contains(words)))
        {
            await Task.Delay(20, deadline.Token);
        }
    }

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
        await TerminateAsync();
        await process!.WaitForExitAsync().WaitAsync(Patience);
        await StartAsync();
    }

    /// <summary>Asks it to stop.</summary>
    public async Task TerminateAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", $"{ProcessId}"]);
        await kill.WaitForExitAsync();
    }

    public async Task<int> ExitCodeAsync(TimeSpan within)
    {
        await process!.WaitForExitAsync().WaitAsync(within);
        return process.ExitCode;
    }

    public Task<Reply> GetAsync(string pathAndQuery, string? traceParent = null) =>
        SendAsync(new(HttpMethod.Get, new Uri(pathAndQuery, UriKind.Relative)), ("traceparent", traceParent));

    public Task<Reply> PostAsync(string path, object body, string? key = null, string? traceParent = null) => SendAsync(
        new(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json") },
        ("Idempotency-Key", key),
        ("traceparent", traceParent));

    public async Task<long> OpenAsync(string initialDeposit = "0")
    {
        var reply = await PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = initialDeposit });
        return reply.Status == HttpStatusCode.Created ? reply.Id("account_id") : throw new InvalidOperationException(reply.Text);
    }

    public Task<Reply> DepositAsync(long accountId, string amount, string? key = null) =>
        PostAsync("/api/deposit", new { account_id = accountId, amount }, key);

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        if (process is { HasExited: false })
        {
            await KillAsync();
        }

        process?.Dispose();
    }

    /// <summary>Starts it and waits for nothing.</summary>
    public void Start()
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Banking.Api.dll"), .. Arguments])
        {
            WorkingDirectory = AppContext.BaseDirectory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        process?.Dispose();
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
            _ = HearUntilUpAsync(process.StandardOutput);
        }
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

    private async Task<Reply> SendAsync(HttpRequestMessage request, params (string Name, string? Value)[] headers)
    {
        using (request)
        {
            foreach (var (name, value) in headers.Where(header => header.Value is not null))
            {
                request.Headers.Add(name, value);
            }

            using var response = await http.SendAsync(request);
            return new(response.StatusCode, response.Headers, response.Content.Headers.ContentType?.MediaType, await response.Content.ReadAsStringAsync());
        }
    }
}
