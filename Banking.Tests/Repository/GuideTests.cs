using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the pages name is there.</summary>
public sealed partial class GuideTests
{
    public static TheoryData<string> Pages =>
    [
        .. Directory.EnumerateFiles(Repository.Folder, "*.md", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Repository.Folder, path))
            .Where(path => !path.Split(Path.DirectorySeparatorChar).Any(folder => folder is "bin" or "obj" or "node_modules" or "TestResults") && !path.Contains(".received."))
            .Order(StringComparer.Ordinal),
    ];

    [Fact]
    public void Every_alert_has_its_heading_in_the_guide()
    {
        var alerts = Alert().Matches(Read("deploy/alerts.yaml")).Select(match => match.Groups[1].Value);
        var headings = Heading().Matches(Read("docs/operate.md")).Select(match => match.Groups[1].Value).Where(heading => heading.StartsWith("CoreBanking"));

        headings.Should().BeEquivalentTo(alerts);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_link_leads_somewhere(string page) => Link().Matches(Read(page))
        .Where(link => !LeadsSomewhere(page, link.Groups[1].Value, link.Groups[2].Value)).Select(link => link.Value).Should().BeEmpty();

    private static bool LeadsSomewhere(string page, string file, string heading)
    {
        var target = file.Length == 0 ? page : Path.Combine(Path.GetDirectoryName(page)!, file);
        return Path.Exists(Path.Combine(Repository.Folder, target))
            && (heading.Length == 0 || Heading().Matches(Read(target)).Any(match => Anchor(match.Groups[1].Value) == heading));
    }

    private static string Anchor(string heading) => NotInAnchors().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    private static string Read(string file) => File.ReadAllText(Path.Combine(Repository.Folder, file));

    [GeneratedRegex(@"^\s*- alert: (\w+)", RegexOptions.Multiline)]
    private static partial Regex Alert();

    [GeneratedRegex("^##+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    // Within the repository: a path, a heading or both.
    [GeneratedRegex(@"\]\((?!https?:)([^)#]*)#?([^)]*)\)")]
    private static partial Regex Link();

    [GeneratedRegex("[^a-z0-9 -]")]
    private static partial Regex NotInAnchors();
}
