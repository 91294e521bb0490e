using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>docs/operate.md and deploy/ say what the service shows.</summary>
public sealed partial class OperateTests
{
    private static readonly string[] Rows = [.. Repository.Read("docs/operate.md").Split('\n').Where(line => line.StartsWith('|'))];

    private static readonly string[] Projects = ["Banking.Api", "Banking.Data"];

    [Fact]
    public void Every_metric_is_listed()
    {
        var metrics = Projects
            .SelectMany(project => Directory.EnumerateFiles(Path.Combine(Repository.Folder, project), "*.cs", SearchOption.AllDirectories))
            .SelectMany(file => Instrument().Matches(File.ReadAllText(file))).Select(match => match.Groups[1].Value).ToList();

        metrics.Should().HaveCountGreaterThan(10);
        foreach (var metric in metrics)
        {
            Rows.Should().ContainSingle(row => row.Contains($"`{metric}`"), metric);
        }
    }

    [Fact]
    public void Every_reason_against_readiness_is_listed()
    {
        var reasons = Reason().Matches(Repository.Read("Banking.Api/Hosting/Readiness.cs")).Select(match => Value().Replace(match.Groups[1].Value, "..."));
        var listed = Rows.SkipWhile(row => !row.StartsWith("| reason |")).Skip(2).TakeWhile(row => !row.StartsWith("| metric |")).Select(row => row.Split('`')[1]);

        listed.Should().BeEquivalentTo(reasons);
    }

    [Fact]
    public void Every_path_that_kubernetes_probes_exists()
    {
        var probed = ProbedPath().Matches(Repository.Read("deploy/kubernetes.yaml")).Select(match => match.Groups[1].Value);

        probed.Should().HaveCount(3).And.BeSubsetOf(AuthenticationTests.OpenPaths);
    }

    [GeneratedRegex(@"[Mm]eter\.Create\w+(?:<\w+>)?\(\s*""(banking\.[a-z.]+)""")]
    private static partial Regex Instrument();

    [GeneratedRegex("\"((?:the|database) [^\"]+)\"")]
    private static partial Regex Reason();

    [GeneratedRegex(@"\{[^}]+\}")]
    private static partial Regex Value();

    [GeneratedRegex("^ +path: (/.*)$", RegexOptions.Multiline)]
    private static partial Regex ProbedPath();
}
