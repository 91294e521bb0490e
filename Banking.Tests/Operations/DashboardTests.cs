using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The dashboard and the alerts use metrics and labels that the service really has.</summary>
public sealed partial class DashboardTests(TestDatabase database)
{
    // Prometheus' own: labels that it adds, and words of its query language.
    private static readonly string[] Added = ["job", "instance", "le"];
    private static readonly string[] Words =
    [
        "sum", "max", "min", "by", "on", "and", "or", "rate", "offset", "time", "absent_over_time", "last_over_time", "histogram_quantile", "min_over_time", "max_over_time", "increase", "label_values", "unless",
        "up",
    ];

    // Of postgres_exporter and node_exporter.
    private static readonly string[] OfTheDatabase =
    [
        "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "pg_replication_lag_seconds", "pg_settings_max_connections", "pg_stat_activity_count",
        "pg_stat_archiver_failed_count",
    ];

    private static readonly string[] LabelsOfTheDatabase = ["fstype", "mountpoint"];

    private static JsonElement Dashboard => JsonDocument.Parse(Repository.Read("deploy/grafana.json")).RootElement;

    [Theory]
    [InlineData("grafana.json")]
    [InlineData("alerts.yaml")]
    public async Task Every_metric_and_label_in_a_query_exists(string file)
    {
        var asked = file.EndsWith(".json", StringComparison.Ordinal)
            ? [.. PanelQueries(), .. StringsOf(Dashboard, "query").Where(query => query.Contains('('))]
            : AlertQueries();
        var (metrics, labels) = Known(await ScrapeAsync());

        asked.Should().HaveCountGreaterThan(5);
        foreach (var expression in asked)
        {
            var bare = Quoted().Replace(expression, "");
            var grouped = Grouping().Matches(bare).SelectMany(match => Name().Matches(match.Groups[1].Value));
            var matched = Label().Matches(bare).Concat(grouped).Select(match => match.Value).ToList();
            var named = Name().Matches(Grouping().Replace(Braces().Replace(Range().Replace(bare, ""), ""), "")).Select(match => match.Value)
                .Except(Words).Except(Added);

            named.Should().BeSubsetOf([.. metrics, .. OfTheDatabase, "book"], expression); // label_values asks for this label
            matched.Except(Added).Should().BeSubsetOf([.. labels, .. LabelsOfTheDatabase], expression);
        }
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Prometheus_understands_every_query_and_those_about_the_service_find_data()
    {
        await using var service = new ServiceProcess(
            database.ConnectionString, $"book_{Guid.NewGuid():N}", ("ConnectionStrings__Replica", database.ConnectionString), ("Banking__RetrySeconds", "1"));
        await service.StartAsync();
        await using var prometheus = await Prometheus.StartAsync(service.Address);
        var account = await service.OpenAsync("1");
        await service.GetAsync("/health/ready");
        await using var sql = new BookInspector(database.ConnectionString, service.Schema);
        await using (await sql.HoldHeadAsync())
        {
            (await service.DepositAsync(account, "1")).Code.Should().Be("database_unavailable");
        }

        var panels = PanelQueries().Select(query => Variable().Replace(query, match => match.Value == "$__rate_interval" ? "1m" : ".*")).ToList();
        // Without their limits, which a healthy service keeps. verify and the database have not reported here, and an offset goes back too far.
        var alerts = AlertQueries();
        var answered = alerts.Where(query => !Elsewhere().IsMatch(query)).Select(query => Limit().Replace(query, ""));

        foreach (var query in alerts)
        {
            await prometheus.AskAsync(query); // throws where it is not understood
        }

        foreach (var query in panels.Concat(answered))
        {
            await Wait.UntilAsync(
                async () =>
                {
                    await service.DepositAsync(account, "1", "the-key");
                    return await prometheus.AskAsync(query) > 0;
                },
                expression: query);
        }

        (await prometheus.FaultyRulesAsync()).Should().BeEmpty();
        Report.Write($"{panels.Count} queries of the dashboard and {alerts.Count} alerts");
    }

    private static List<string> PanelQueries() => [.. StringsOf(Dashboard, "expr")];

    private static List<string> AlertQueries() => [.. Rule().Matches(Repository.Read("deploy/alerts.yaml")).Select(match => match.Groups[1].Value)];

    /// <summary>The metrics of a service with a standby (here the primary itself) after a posting, a refusal, a replay and a retry.</summary>
    private async Task<string> ScrapeAsync()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var service = new ServiceProcess(
            proxy.ConnectionString, $"book_{Guid.NewGuid():N}", ("ConnectionStrings__Replica", database.ConnectionString));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        proxy.Break([Fault.CutAfterCommit]);
        (await service.DepositAsync(account, "1", "the-key")).ShouldBeCreated();
        (await service.DepositAsync(account, "1", "the-key")).ShouldBeCreated(replayed: true);
        (await service.PostAsync("/api/withdraw", new { account_id = account, amount = "9" })).Code.Should().Be("insufficient_funds");
        await service.GetAsync("/health/ready");
        return (await service.GetAsync("/metrics")).Text;
    }

    private static (HashSet<string> Metrics, HashSet<string> Labels) Known(string scrape)
    {
        var samples = Sample().Matches(scrape);
        // The metrics of verify come from its own process. These are the names that the exporters write.
        var verify = VerifyInstrument().Matches(File.ReadAllText(Path.Combine(Repository.Folder, "Banking.Api", "Commands", "VerifyCommand.cs")))
            .Select(match => match.Groups[1].Value.Replace('.', '_') + (match.Groups[2].Value == "s" ? "_seconds" : ""));
        return ([.. samples.Select(sample => sample.Groups[1].Value), .. verify],
            [.. samples.SelectMany(sample => Label().Matches(Quoted().Replace(sample.Groups[2].Value, "")).Select(label => label.Value)), "check"]);
    }

    private static IEnumerable<string> StringsOf(JsonElement element, string member) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().SelectMany(item => StringsOf(item, member)),
        JsonValueKind.Object => element.EnumerateObject().SelectMany(inner =>
            inner.Name == member && inner.Value.ValueKind == JsonValueKind.String ? [inner.Value.GetString()!] : StringsOf(inner.Value, member)),
        _ => [],
    };

    /// <summary>A real Prometheus that scrapes one service every second and runs the alert rules.</summary>
    private sealed class Prometheus(Process process, DirectoryInfo folder, HttpClient http) : IAsyncDisposable
    {
        public static async Task<Prometheus> StartAsync(Uri service)
        {
            var program = Run.Find("prometheus");
            Assert.SkipWhen(program is null, "The queries are run by Prometheus, and this machine has none.");
            var (folder, port) = (Directory.CreateTempSubdirectory(), Ports.Free());
            var configuration = Path.Combine(folder.FullName, "prometheus.yml");
            await File.WriteAllTextAsync(configuration, $$"""
                global: { scrape_interval: 1s, evaluation_interval: 1s }
                rule_files: [{{Path.Combine(Repository.Folder, "deploy", "alerts.yaml")}}]
                scrape_configs:
                  - job_name: core-banking
                    static_configs: [{ targets: ["{{service.Authority}}"] }]
                """);
            string[] arguments = [$"--config.file={configuration}", $"--storage.tsdb.path={folder.FullName}/data", $"--web.listen-address=127.0.0.1:{port}", "--log.level=error"];
            var client = new HttpClient { BaseAddress = new($"http://127.0.0.1:{port}/") };
            var prometheus = new Prometheus(Process.Start(program, arguments), folder, client);
            await Wait.UntilAsync(async () =>
            {
                try
                {
                    return (await client.GetAsync("-/ready")).IsSuccessStatusCode;
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            });
            return prometheus;
        }

        /// <summary>How many series answer a query.</summary>
        public async Task<int> AskAsync(string query)
        {
            var answer = await http.GetFromJsonAsync<JsonElement>($"api/v1/query?query={Uri.EscapeDataString(query)}");
            return answer.GetProperty("data").GetProperty("result").GetArrayLength();
        }

        public async Task<List<string>> FaultyRulesAsync()
        {
            var answer = await http.GetFromJsonAsync<JsonElement>("api/v1/rules");
            return
            [
                .. answer.GetProperty("data").GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("rules").EnumerateArray())
                    .Where(rule => rule.GetProperty("health").GetString() != "ok").Select(rule => rule.GetProperty("name").GetString()!),
            ];
        }

        public async ValueTask DisposeAsync()
        {
            http.Dispose();
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            folder.Delete(recursive: true);
        }
    }

    [GeneratedRegex(@"\$__rate_interval|\$\w+")]
    private static partial Regex Variable();

    [GeneratedRegex("verify|node_|pg_|offset")]
    private static partial Regex Elsewhere();

    [GeneratedRegex(@" (?:>|<|==) [\d.]+")]
    private static partial Regex Limit();

    // The expression is on this line or on the indented lines below it.
    [GeneratedRegex(@"^ {8}expr: (?:\|\n)?(.+(?:\n {10}.+)*)$", RegexOptions.Multiline)]
    private static partial Regex Rule();

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"(?:by|on) \(([^)]*)\)")]
    private static partial Regex Grouping();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Braces();

    [GeneratedRegex(@"\[[^\]]*\]|\b\d+[smhd]\b")]
    private static partial Regex Range();

    [GeneratedRegex("[a-zA-Z_][a-zA-Z0-9_]*(?==)|[a-zA-Z_][a-zA-Z0-9_]*(?=!=)")]
    private static partial Regex Label();

    [GeneratedRegex(@"(?<![\w$])[a-zA-Z_]\w*")]
    private static partial Regex Name();

    [GeneratedRegex(@"^([a-zA-Z_]\w*)(\{.*\})? ", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex("\"(banking\\.verify\\.[a-z.]+)\", \"([^\"]*)\"")]
    private static partial Regex VerifyInstrument();
}
