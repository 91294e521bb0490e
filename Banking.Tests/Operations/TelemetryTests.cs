using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>What an operator sees of the real program: metrics, traces, and a log line per request.</summary>
public sealed class TelemetryTests(TestDatabase database)
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Caller = "b7ad6b7169203331";
    private const string OtherTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
    private const string LastAccount = "987654320999";

    // The clients' data: it must not appear anywhere.
    private static readonly string[] Theirs = ["98765432100", "Someone", "the-key", "for the rent", "7654.32", "7654.3200", "account_id=", "secret"];

    private static readonly string[] Members = ["Method", "Call", "Status", "Code", "TransactionId"];

    private readonly string book = $"book_{Guid.NewGuid():N}";

    [Fact]
    public async Task The_metrics_count_requests_and_hold_no_client_data()
    {
        await using var service = await StartAsync();
        var (account, _) = await UseAsync(service);
        (await service.DepositAsync(account, "7654.32")).ShouldBeCreated();

        var metrics = (await service.GetAsync("/metrics")).Text;

        Value("banking_postings_total", """type="opening",outcome="posted" """).Should().Be(2);
        Value("banking_postings_total", """type="deposit",outcome="posted" """).Should().Be(2);
        Value("banking_postings_total", """type="deposit",outcome="replayed" """).Should().Be(1);
        Value("banking_postings_total", """type="transfer",outcome="posted" """).Should().Be(1);
        Value("banking_postings_total", """type="withdrawal",outcome="refused" """).Should().Be(1);
        Value("banking_postings_total").Should().Be(7);
        Value("banking_refusals_total", """code="insufficient_funds" """).Should().Be(1);
        Value("banking_refusals_total", """code="validation_failed" """).Should().Be(1);
        Value("banking_refusals_total", """code="not_found" """).Should().Be(1);
        Value("banking_refusals_total").Should().Be(3);
        // The same, with each of the seven requests alone in its transaction.
        foreach (var counted in new[] { "batch_size", "batch_duration_seconds", "write_duration_seconds", "queue_wait_seconds" })
        {
            Value($"banking_{counted}_count").Should().Be(7, counted);
        }

        Value("banking_batch_size_sum").Should().Be(7);
        Value("banking_write_duration_seconds_sum").Should().BePositive();
        Value("banking_queue_depth").Should().Be(0);
        Value("banking_queue_age_seconds").Should().Be(0);
        await using var log = new BookInspector(database.ConnectionString, book);
        Value("banking_head").Should().Be(await log.ScalarAsync<long>("SELECT last_transaction_id FROM ledger_head;")).And.Be(3);
        Value("db_client_connection_count").Should().BePositive("the pool is told of too");
        metrics.Split('\n').Where(line => line.Length > 0 && line[0] != '#').Should().OnlyContain(line => line.Contains($"book=\"{book}\""));
        var named = new NpgsqlConnectionStringBuilder(database.ConnectionString);
        metrics.Should().NotContainAny(Theirs).And.NotContainAny("Host=", "Username", "Password", "Search Path").And.NotMatchRegex($@"\b{named.Username}\b");
        metrics.Split('\n').Where(line => line.StartsWith("db_client", StringComparison.Ordinal)).Should().NotContain(line => line.Contains(named.Host!));

        double Value(string name, string labels = "") => metrics.Split('\n')
            .Where(line => Regex.IsMatch(line, $"^{name}[ {{]") && labels.Trim().Split(',').All(line.Contains))
            .Sum(line => double.Parse(line[(line.LastIndexOf('}') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[line.Contains('}') ? 0 : 1], CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task Every_currency_that_a_book_can_have_has_its_series()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book);
        await service.MakeBookAsync();
        await using var sql = new BookInspector(database.ConnectionString, book);
        var currencies = (await sql.ScalarAsync<string[]>("""
            INSERT INTO currency (code, numeric_code, minor_unit, name)
            SELECT translate(to_char(number, 'FM000'), '0123456789', 'QWXZJKVYFH'), number, 2, 'Made up'
              FROM generate_series(1, 999) AS number
             WHERE number NOT IN (SELECT numeric_code FROM currency);

            INSERT INTO account (account_id, kind, owner_name, currency, created_at)
            SELECT numeric_code, 'settlement', code, code, clock_timestamp()
              FROM currency
             WHERE name = 'Made up';

            SELECT array_agg(code) FROM currency;
            """))!;
        await service.StartAsync();

        await Task.WhenAll(currencies.Select(currency => service.OpenAsync("1", currency)));

        var metrics = (await service.GetAsync("/metrics")).Text;
        metrics.Should().NotContain("overflow");
        Regex.Matches(metrics, @"^banking_settlement_use\{.*currency=""(\w+)""", RegexOptions.Multiline).Select(series => series.Groups[1].Value)
            .Should().HaveCount(999).And.BeEquivalentTo(currencies);
    }

    [Fact]
    public async Task A_transaction_that_is_run_again_is_counted()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var service = new ServiceProcess(proxy.ConnectionString, book);
        await service.StartAsync();
        var account = await service.OpenAsync();
        proxy.Break([Fault.CutBeforeCommit, Fault.CutAfterCommit]);

        (await service.DepositAsync(account, "1")).ShouldBeCreated();

        var metrics = (await service.GetAsync("/metrics")).Text;
        metrics.Should().MatchRegex(@"\nbanking_batch_retries_total(\{.*\})? 2\b").And.MatchRegex(@"\nbanking_postings_total\{.*type=""deposit"".*\} 1\b");
    }

    [Fact]
    public async Task A_trace_leads_from_the_call_through_its_batch_to_the_statements()
    {
        using var collector = new Collector();
        await using var service = await StartAsync(collector.Settings);
        foreach (var quiet in new[] { "/health/live", "/health/ready", "/metrics" })
        {
            (await service.GetAsync(quiet)).Status.Should().Be(HttpStatusCode.OK);
        }

        var (account, _) = await UseAsync(service);
        var shown = await service.GetAsync($"/api/get_one_account?account_id={account}", $"00-{OtherTrace}-{Caller}-01");
        shown.ShouldBeOk();

        var transfer = await GetsAsync("POST /api/transaction");
        var read = await Collector.GetsAsync(collector.Spans, span => span.TraceId == OtherTrace);
        transfer.TraceId.Should().Be(Trace);
        shown.Headers.GetValues("traceresponse").Should().Equal($"00-{OtherTrace}-{read.SpanId}-01");
        var received = new List<string>();
        foreach (var (request, together) in new[] { (transfer, "write transaction"), (read, "look-up") })
        {
            request.ParentId.Should().Be(Caller);
            var back = request.Links.Should().ContainSingle().Subject;
            var work = await Collector.GetsAsync(collector.Spans, span => span.SpanId == back.SpanId);
            work.Name.Should().Be(together);
            work.TraceId.Should().Be(back.TraceId).And.NotBe(request.TraceId);
            work.ParentId.Should().BeEmpty("it is nobody's alone");
            work.Links.Should().Equal((request.TraceId, request.SpanId));
            var statements = collector.Spans.Where(span => span.ParentId == work.SpanId && span.TraceId == work.TraceId).ToList();
            statements.Should().Contain(span => span.Attributes.Contains("db.system")).And.OnlyContain(span => span.TraceId == work.TraceId);
            received.AddRange([Line(request), Line(work), .. statements.Select(Line)]);
        }

        var posted = await Collector.GetsAsync(collector.Points, point => point is { Name: "banking.postings", Labels: "outcome=posted, type=transfer" });
        posted.Value.Should().Be(1);
        received.AddRange(collector.Points.Where(point => point.Name.StartsWith("banking.", StringComparison.Ordinal))
            .GroupBy(point => (point.Name, point.Labels)).Select(points => $"{points.Key.Name}{{{points.Key.Labels}}} {points.Last().Value}"));
        Report.Write(string.Join('\n', received));
        collector.Resources.Should().OnlyContain(resource => resource.StartsWith($"book={book}, service.instance.id="));
        collector.Spans.Should().NotContain(span => span.Attributes.Contains("/health") || span.Attributes.Contains("/metrics"));
        string.Join('\n', collector.Spans).Should().NotContainAny(Theirs.Where(theirs => theirs is not "account_id=" and not "secret"));
        string.Join('\n', collector.Points).Should().NotContainAny(Theirs);

        Task<Collector.Span> GetsAsync(string name) => Collector.GetsAsync(collector.Spans, span => span.Name == name);

        static string Line(Collector.Span span) => string.Create(
            CultureInfo.InvariantCulture,
            $"{span.Name}: trace {span.TraceId}, span {span.SpanId}, parent {span.ParentId}, links [{string.Join(' ', span.Links)}], {span.Milliseconds:F2} ms");
    }

    [Fact]
    public async Task Verify_sends_the_result_of_each_check_to_the_collector()
    {
        using var collector = new Collector();
        await using (var service = await StartAsync())
        {
            await UseAsync(service);
        }

        (await VerifyAsync(collector.Settings)).ExitCode.Should().Be(0);
        var right = Findings();
        var time = collector.Points.Last(point => point.Name == "banking.verify.time").Value;
        await using var log = new BookInspector(database.ConnectionString, book);
        await log.ExecuteAsync("UPDATE account SET balance = balance + 1 WHERE kind = 'customer';");
        (await VerifyAsync(collector.Settings)).ExitCode.Should().Be(1);

        right.Should().HaveCount(13).And.OnlyContain(found => found.Value == 0);
        time.Should().BeApproximately(DateTimeOffset.UtcNow.ToUnixTimeSeconds(), 60);
        Findings().Where(found => found.Value > 0).Should().BeEquivalentTo(
            new Dictionary<string, double> { [$"book={book}, check=balances_equal_the_log"] = 2, [$"book={book}, check=books_sum_to_zero"] = 1 });
        collector.Points.Should().OnlyContain(point => point.Labels.StartsWith($"book={book}"));

        Dictionary<string, double> Findings() => collector.Points.Where(point => point.Name == "banking.verify.findings")
            .GroupBy(point => point.Labels).ToDictionary(points => points.Key, points => points.Last().Value);
    }

    [Fact]
    public async Task A_collector_that_does_not_answer_does_not_change_the_result_of_verify()
    {
        await using (await StartAsync())
        {
        }

        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var began = Stopwatch.GetTimestamp();

        var run = await VerifyAsync(("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://{silent.LocalEndpoint}"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"));

        run.ExitCode.Should().Be(0, run.Errors);
        Report.Write($"verify, its collector silent: {Stopwatch.GetElapsedTime(began).TotalSeconds:F1} s");
        Stopwatch.GetElapsedTime(began).Should().BeLessThan(TimeSpan.FromSeconds(15));
        silent.Pending().Should().BeTrue("it was told all the same");
    }

    [Fact]
    public async Task Each_call_has_a_log_line_without_client_data()
    {
        await using var service = await StartAsync();
        var (account, transactionId) = await UseAsync(service);
        await service.GetAsync("/health/live");
        await service.GetAsync("/metrics");
        var shown = await service.GetAsync($"/api/get_one_account?account_id={account}");

        await service.StopAsync();

        service.Lines.Should().OnlyContain(line => line.StartsWith('{'));
        var lines = service.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        lines.Should().OnlyContain(line => line.GetProperty("Book").GetString() == book);
        var calls = lines.Where(line => line.GetProperty("Category").GetString() == "Banking.Api.Requests").Select(line => line.GetProperty("State")).ToList();
        calls.Select(Told).Should().Equal(
            "POST create_account 201", "POST create_account 201", "POST deposit 201 1", "POST deposit 201 1",
            $"POST transaction 201 {transactionId}", "POST withdraw 422 insufficient_funds", "POST withdraw 400 validation_failed",
            "GET unknown 404 not_found", "GET get_one_account 200");
        calls.Should().OnlyContain(call => call.GetProperty("Milliseconds").GetDouble() > 0);
        calls[4].GetProperty("TraceId").GetString().Should().Be(Trace);
        calls[^1].GetProperty("TraceId").GetString().Should().Be(shown.TraceId, "an answer leads to its line");
        calls.Select(call => call.GetProperty("TraceId").GetString()).Should().OnlyHaveUniqueItems().And.OnlyContain(trace => trace!.Length == 32);
        lines.Select(line => line.GetProperty("Timestamp").GetString()).Should().OnlyContain(timestamp =>
            timestamp!.EndsWith('Z') && Math.Abs((DateTimeOffset.Parse(timestamp, CultureInfo.InvariantCulture) - DateTimeOffset.UtcNow).TotalMinutes) < 2);
        string.Join('\n', service.Lines).Should().NotContainAny(Theirs);
        var posted = service.Lines.Single(line => line.Contains(Trace)).Replace(book, "banking");
        posted.Length.Should().BeInRange(450, 520, "docs/operate.md says how much a day of them takes");
        Report.Write($"{posted.Length} bytes: {posted}");

        static string Told(JsonElement call) => string.Join(' ', Members
            .Where(name => call.TryGetProperty(name, out _)).Select(name => call.GetProperty(name).ToString()));
    }

    [Theory]
    [InlineData("simple", @"^{0} .*(info|warn): ")]
    [InlineData("systemd", @"^<[46]>{0} ")]
    public async Task The_log_lines_can_be_turned_off_and_written_as_text(string form, string beginning)
    {
        await using var service = await StartAsync(("Logging__LogLevel__Banking.Api.Requests", "Warning"), ("Logging__Console__FormatterName", form));
        await UseAsync(service);

        await service.StopAsync();

        service.Lines.Where(line => line[0] != ' ').Should().HaveCountGreaterThan(2).And.OnlyContain(line => Regex.IsMatch(line, beginning.Replace("{0}", book)));
        service.Lines.Should().Contain(line => line.Contains("Ready. ")).And.NotContain(line => line.Contains(Trace) || line.Contains("Banking.Api.Requests"))
            .And.NotContain(line => line.StartsWith('{'));
    }

    /// <summary>A service whose account ids cannot be confused with another number.</summary>
    private async Task<ServiceProcess> StartAsync(params (string Name, string Value)[] settings)
    {
        var service = new ServiceProcess(database.ConnectionString, book, settings);
        await service.StartAsync();
        await using var sql = new BookInspector(database.ConnectionString, book);
        await sql.ExecuteAsync($"UPDATE ledger_head SET last_account_id = {LastAccount};");
        return service;
    }

    /// <summary>One call of each kind and outcome, one after another.</summary>
    private static async Task<(long Account, long TransactionId)> UseAsync(ServiceProcess service)
    {
        var (one, other) = (await service.OpenAsync(), await service.OpenAsync());
        (await service.DepositAsync(one, "7654.32", "the-key")).ShouldBeCreated();
        (await service.DepositAsync(one, "7654.32", "the-key")).ShouldBeCreated(replayed: true);
        var transfer = await service.PostAsync(
            "/api/transaction", new { from_account_id = one, to_account_id = other, amount = "7654.32", reference = "for the rent" }, "the-key-too", $"00-{Trace}-{Caller}-01");
        transfer.ShouldBeCreated();
        (await service.PostAsync("/api/withdraw", new { account_id = one, amount = "7654.32" })).ShouldBeProblem(422, "insufficient_funds");
        (await service.PostAsync("/api/withdraw", new { account_id = one, amount = "secret" })).ShouldBeProblem(400, "validation_failed", "amount");
        (await service.GetAsync("/secret?secret=secret")).ShouldBeProblem(404, "not_found");
        return (one, transfer.Id("transaction_id"));
    }

    private Task<Run> VerifyAsync(params (string Name, string Value)[] settings) =>
        ServiceProcess.RunAsync(["verify"], [("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", book), .. settings]);
}
