using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Each alert of deploy/alerts.yaml fires in its case and stays quiet in another, and the service shows what they need.</summary>
public sealed partial class AlertTests(TestDatabase database)
{
    private static readonly string Rules = Repository.Read("deploy/alerts.yaml");

    private static readonly string[] Alerts = [.. AlertName().Matches(Rules).Select(match => match.Groups[1].Value)];

    private readonly string book = $"book_{Guid.NewGuid():N}";

    [Fact]
    public Task The_rules_are_valid() => PassAsync("check", "alerts.yaml");

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task The_rules_fire_and_stay_quiet_as_their_cases_say() => PassAsync("test", "alerts.test.yaml");

    [Fact]
    public void Every_alert_has_a_case_that_fires_one_that_is_quiet_and_a_heading()
    {
        var cases = Repository.Read("deploy/alerts.test.yaml");
        var quiet = cases[cases.IndexOf("  - name: A busy but healthy day", StringComparison.Ordinal)..];
        var fired = FiringAlert().Matches(cases[..^quiet.Length]).Select(match => match.Groups[1].Value).Distinct();
        var guide = Repository.Read("docs/operate.md");

        fired.Should().BeEquivalentTo(Alerts);
        FiringAlert().Matches(quiet).Should().BeEmpty();
        MetricName().Matches(Rules).Select(match => match.Value).Should().OnlyContain(metric => quiet.Contains($"series: {metric}"), "the quiet day has every metric");
        foreach (var alert in Alerts)
        {
            guide.Should().Contain($"\n### {alert}\n");
            Rules.Should().Contain($"runbook_url: docs/operate.md#{alert.ToLowerInvariant()}\n");
        }
    }

    [Fact]
    public async Task Counters_of_faults_are_0_from_the_start()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book);
        await service.StartAsync();

        var metrics = await MetricsAsync(service);

        metrics["banking_batch_retries_total"].Should().Be(0);
        metrics["banking_failures_total"].Should().Be(0);
        foreach (var code in new[] { "database_unavailable", "overloaded", "account_busy", "authority_unavailable", "internal_error" })
        {
            metrics[$"banking_refusals_total code={code}"].Should().Be(0);
        }
    }

    [Fact]
    public async Task The_age_of_the_queue_grows_through_a_stall_although_each_request_is_refused_in_time()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book, ("Banking__RetrySeconds", "1"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await using var sql = new BookInspector(database.ConnectionString, book);
        var refused = 0;

        await using (await sql.HoldHeadAsync())
        {
            var grows = Wait.UntilAsync(async () => (await MetricsAsync(service))["banking_queue_age_seconds"] > 2.5);
            // Each is refused after a second or so. A scrape between two of them finds nobody waiting, and the age begins anew.
            for (; !grows.IsCompleted; refused++)
            {
                (await service.DepositAsync(account, "1")).Code.Should().Be("database_unavailable");
            }

            await grows;
        }

        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        await Wait.UntilAsync(async () => (await MetricsAsync(service))["banking_queue_age_seconds"] == 0);
        (await MetricsAsync(service))["banking_postings_total outcome=failed type=deposit"].Should().Be(refused);
        (await MetricsAsync(service))["banking_failures_total"].Should().Be(refused);
    }

    [Fact]
    public async Task A_book_ahead_of_the_database_clock_is_shown_and_logged_until_the_clock_has_reached_it()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book);
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await using var sql = new BookInspector(database.ConnectionString, book);
        (await MetricsAsync(service))["banking_head_ahead_seconds"].Should().Be(0);
        await sql.ExecuteAsync("UPDATE ledger_head SET last_created_at = clock_timestamp() + interval '4 s';");

        var first = await service.DepositAsync(account, "1");
        var second = await service.DepositAsync(account, "1");

        first.ShouldBeCreated();
        second["created_at"].Should().Be(first["created_at"], "times never go back");
        await Wait.UntilAsync(async () => (await MetricsAsync(service))["banking_head_ahead_seconds"] is > 0 and < 4);
        await service.SaidAsync("ahead of the database's clock");
        await Wait.UntilAsync(async () => (await MetricsAsync(service))["banking_head_ahead_seconds"] == 0);
        (await service.DepositAsync(account, "1"))["created_at"].Should().NotBe(first["created_at"]);
        await service.SaidAsync("The database's clock has reached the last time in the book.");
        service.Warnings.Should().ContainSingle(line => line.Contains("CoreBankingHeadIsAhead"));
        (await sql.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task The_use_of_a_settlement_account_shows_after_a_restart_before_the_first_posting()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book);
        await service.StartAsync();
        await service.OpenAsync("900000000000000");

        await service.RestartAsync();

        (await MetricsAsync(service)).Where(one => one.Key.StartsWith("banking_settlement_use", StringComparison.Ordinal))
            .Should().ContainSingle().Which.Should().Be(KeyValuePair.Create("banking_settlement_use currency=USD", 0.9));
    }

    private static async Task PassAsync(string command, string file)
    {
        var promtool = Run.Find("promtool");
        Assert.SkipWhen(promtool is null, "The rules are tested with promtool, and this machine has none.");

        var run = await Run.ToEndAsync(new(promtool, [command, "rules", file]) { WorkingDirectory = Path.Combine(Repository.Folder, "deploy") });

        run.ExitCode.Should().Be(0, "{0}{1}", run.Output, run.Errors);
    }

    /// <summary>
    /// The samples of /metrics by name and labels, such as <c>banking_settlement_use currency=USD</c>. The service keeps an answer for
    /// 0.3 seconds.
    /// </summary>
    private static async Task<Dictionary<string, double>> MetricsAsync(ServiceProcess service) => (await service.GetAsync("/metrics")).Text.Split('\n')
        .Select(line => Sample().Match(line)).Where(match => match.Success).ToDictionary(
            match => string.Join(' ', Label().Matches(match.Groups[2].Value).Where(label => label.Groups[1].Value is not ("otel_scope_name" or "book"))
                .Select(label => $"{label.Groups[1].Value}={label.Groups[2].Value}").Order(StringComparer.Ordinal).Prepend(match.Groups[1].Value)),
            match => double.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex("^ +- alert: (.+)$", RegexOptions.Multiline)]
    private static partial Regex AlertName();

    [GeneratedRegex("ALERTS\\{alertname=\"(\\w+)\"")]
    private static partial Regex FiringAlert();

    [GeneratedRegex(@"\b(?:banking|http_server|node|pg)_\w+(?=[{[)])")]
    private static partial Regex MetricName();

    [GeneratedRegex(@"^(banking_\w+)(\{.*\})? (\S+)")]
    private static partial Regex Sample();

    [GeneratedRegex("(\\w+)=\"([^\"]*)\"")]
    private static partial Regex Label();
}
