using System.Reflection;
using System.Text.RegularExpressions;
using Banking.Api;
using Banking.Data;
using FluentAssertions;

namespace Banking.Tests;

public sealed partial class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(Repository.Folder, "README.md"));

    private static IEnumerable<(PropertyInfo Setting, object Defaults)> Settings => new object[] { new LedgerOptions(), new ServiceOptions() }
        .SelectMany(options => options.GetType().GetProperties().Select(setting => (setting, options)));

    [Fact]
    public void The_readme_lists_every_call_with_its_scope()
    {
        foreach (var (call, scope) in AuthenticationTests.Calls.Select(row => row.Data))
        {
            Readme.Split('\n').Should().ContainSingle(row => row.StartsWith($"| `{scope}` |")).Which.Should().Contain($"`{call}`");
        }
    }

    [Fact]
    public void The_readme_lists_every_setting_with_its_default()
    {
        foreach (var (setting, defaults) in Settings)
        {
            var value = setting.GetValue(defaults);
            Readme.Should().Contain(value is null ? $"| `Banking__{setting.Name}` |" : $"| `Banking__{setting.Name}` | `{value}` |");
        }
    }

    [Fact]
    public void The_readme_lists_every_metric()
    {
        var metrics = Directory.EnumerateFiles(Path.Combine(Repository.Folder, "Banking.Api"), "*.cs", SearchOption.AllDirectories)
            .Concat(Directory.EnumerateFiles(Path.Combine(Repository.Folder, "Banking.Data"), "*.cs", SearchOption.AllDirectories))
            .SelectMany(file => Instrument().Matches(File.ReadAllText(file))).Select(match => match.Groups[1].Value).ToList();

        metrics.Should().HaveCountGreaterThan(10);
        foreach (var metric in metrics)
        {
            Readme.Split('\n').Should().ContainSingle(row => row.StartsWith("| ") && row.Contains($"`{metric}`"), metric);
        }
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("docs/operate.md")]
    [InlineData("compose.yaml")]
    [InlineData("deploy/kubernetes.yaml")]
    public void Every_setting_that_is_shown_exists(string file)
    {
        var shown = Setting().Matches(File.ReadAllText(Path.Combine(Repository.Folder, file))).Select(match => match.Groups[1].Value).ToHashSet();

        shown.Should().NotBeEmpty().And.BeSubsetOf(Settings.Select(one => one.Setting.Name));
    }

    [Fact]
    public void Every_path_that_kubernetes_probes_exists()
    {
        var probed = ProbedPath().Matches(File.ReadAllText(Path.Combine(Repository.Folder, "deploy", "kubernetes.yaml"))).Select(match => match.Groups[1].Value);

        probed.Should().HaveCount(3).And.BeSubsetOf(AuthenticationTests.OpenPaths);
    }

    [GeneratedRegex(@"[Mm]eter\.Create\w+(?:<\w+>)?\(\s*""(banking\.[a-z.]+)""")]
    private static partial Regex Instrument();

    [GeneratedRegex("^ +path: (/.*)$", RegexOptions.Multiline)]
    private static partial Regex ProbedPath();

    [GeneratedRegex("Banking__([A-Za-z]+)")]
    private static partial Regex Setting();
}
