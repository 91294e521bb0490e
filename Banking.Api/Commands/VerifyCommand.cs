using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Banking.Data;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace Banking.Api;

/// <summary>The subcommand <c>verify</c>: checks that the book is right and that nobody rewrote it.</summary>
internal static partial class VerifyCommand
{
    private const string Usage = """
        verify [--json] [--against <block_id>:<hash>]
          Runs the checks of sql/checks on the book that ConnectionStrings__Banking and Banking__Schema name. Read-only.
          --against   also checks that a head kept from GET /api/audit_head is still on the chain
          --json      prints one JSON object per line
        Exit codes: 0 (passed), 1 (violations found), 2 (could not run, or wrong options).
        """;

    public static async Task<int> RunAsync(string[] arguments, CancellationToken stop)
    {
        var json = false;
        (long BlockId, string Hash)? against = null;
        for (var i = 0; i < arguments.Length; i++)
        {
            switch (arguments[i])
            {
                case "--json":
                    json = true;
                    break;
                case "--against" when i + 1 < arguments.Length && KeptHead().Match(arguments[i + 1]) is { Success: true } head
                    && long.TryParse(head.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var blockId):
                    against = (blockId, head.Groups[2].Value);
                    i++;
                    break;
                case "--help":
                    Console.WriteLine(Usage);
                    return 0;
                default:
                    return await Commands.RefuseAsync("verify", arguments[i], Usage);
            }
        }

        await using var app = Commands.Parts();
        try
        {
            var database = app.Services.GetRequiredService<BookDatabase>();
            await database.FindAsync().WaitAsync(stop);
            var verification = new Verification(database.ConnectionString, app.Services.GetRequiredService<LedgerOptions>());
            var runs = Verification.Checks.Select(check => (Check: check, Run: (Func<Task<CheckResult>>)(() => verification.RunAsync(check))));
            if (against is { } kept)
            {
                runs = runs.Append(("kept_head_is_on_the_chain", () => verification.AgainstAsync(kept.BlockId, kept.Hash)));
            }

            // As a label too: Prometheus keeps no attributes of the resource unless it is told to.
            var book = KeyValuePair.Create(Observability.Book, (object?)Settings.BookOf(app.Configuration));
            using var metrics = Observability.HasCollector(app.Configuration) ? VerificationMetrics($"{book.Value}") : null;
            // Each in its own session, some at once: on a large book a check reads for a minute.
            using var places = new SemaphoreSlim(Verification.AtOnce);
            var passed = true;
            foreach (var (check, running) in runs.Select(run => (run.Check, RunAsync(run.Run, places))).ToList())
            {
                var result = await WithProgressAsync(check, running).WaitAsync(stop);
                Print(result, json);
                Findings.Record(result.Rows, new KeyValuePair<string, object?>("check", check), book);
                passed &= result.Passed;
            }

            LastRun.Record(DateTimeOffset.UtcNow.ToUnixTimeSeconds(), book);
            return passed ? 0 : 1;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("Stopped before all checks had run. They changed nothing.");
            return 2;
        }
        catch (Exception exception) when (Hosting.IsForTheOperator(exception))
        {
            await Console.Error.WriteLineAsync($"Can't verify: {Hosting.ReasonOf(exception)}");
            return 2;
        }
    }

    private static readonly Gauge<long> Findings = Telemetry.Meter.CreateGauge<long>(
        "banking.verify.findings", "{row}", "Rows that a check found; 0 if the book is right.");

    private static readonly Gauge<long> LastRun = Telemetry.Meter.CreateGauge<long>(
        "banking.verify.time", "s", "When verify last ran all checks, in seconds since 1970.");

    /// <summary>Sends the results to the environment's collector when it is disposed.</summary>
    private static MeterProvider VerificationMetrics(string book) =>
        Sdk.CreateMeterProviderBuilder().ConfigureResource(resource => Observability.Describe(resource, book)).AddMeter(Telemetry.Name).AddOtlpExporter().Build();

    private static async Task<CheckResult> RunAsync(Func<Task<CheckResult>> run, SemaphoreSlim places)
    {
        await places.WaitAsync();
        try
        {
            return await Task.Run(run);
        }
        finally
        {
            places.Release();
        }
    }

    private static async Task<CheckResult> WithProgressAsync(string check, Task<CheckResult> running)
    {
        for (var seconds = 10; await Task.WhenAny(running, Task.Delay(TimeSpan.FromSeconds(10))) != running; seconds += 10)
        {
            await Console.Error.WriteLineAsync($"...   {check}: {seconds} s");
        }

        return await running;
    }

    private static void Print(CheckResult result, bool json)
    {
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(result, ApiJson.Default.CheckResult));
            return;
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{(result.Passed ? "ok   " : "FAIL ")} {result.Check}: {result.Rows} rows, {result.Seconds:F1} s"));
        foreach (var finding in result.Findings)
        {
            Console.WriteLine($"        {finding}");
        }
    }

    [GeneratedRegex("^([0-9]{1,19}):([0-9a-f]{64})$")]
    private static partial Regex KeptHead();
}
