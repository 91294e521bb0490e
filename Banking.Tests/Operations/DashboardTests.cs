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
        "sum", "max", "min", "by", "on", "and", "or", "rate", "offset", "time", "absent_over_time", "last_over_time", "histogram_quantile", "min_over_time", "label_values", "up",
    ];

    [Theory]
    [InlineData("grafana.json")]
    [InlineData("alerts.yaml")]
    public async Task Every_metric_and_label_in_a_query_exists(string file)
    {
        var text = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, "deploy", file));
        List<string> asked = file.EndsWith(".json", StringComparison.Ordinal)
            ? [.. StringsOf(JsonDocument.Parse(text).RootElement, "expr"), .. StringsOf(JsonDocument.Parse(text).RootElement, "query").Where(query => query.Contains('('))]
            : [.. Rule().Matches(text).Select(match => match.Groups[1].Value)];
        var (metrics, labels) = Known(await ScrapeAsync());

        asked.Should().HaveCountGreaterThan(5);
        foreach (var expression in asked)
        {
            var bare = Quoted().Replace(expression, "");
            var grouped = Grouping().Matches(bare).SelectMany(match => Name().Matches(match.Groups[1].Value));
            var matched = Label().Matches(bare).Concat(grouped).Select(match => match.Value).ToList();
            var named = Name().Matches(Grouping().Replace(Braces().Replace(Range().Replace(bare, ""), ""), "")).Select(match => match.Value)
                .Except(Words).Except(Added);

            named.Should().BeSubsetOf(metrics, expression);
            matched.Except(Added).Should().BeSubsetOf(labels, expression);
        }
    }

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
