using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the guides name is there.</summary>
public sealed partial class GuideTests
{
    [Fact]
    public void Every_alert_has_its_heading_in_the_guide()
    {
        var alerts = Alert().Matches(Read("deploy/alerts.yaml")).Select(match => match.Groups[1].Value);
        var headings = Heading().Matches(Read("docs/operate.md")).Select(match => match.Groups[1].Value).Where(heading => heading.StartsWith("CoreBanking"));

        headings.Should().BeEquivalentTo(alerts);
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("sql/README.md")]
    [InlineData("docs/api.md")]
    [InlineData("docs/operate.md")]
    [InlineData("docs/licences.md")]
    public void Every_link_leads_somewhere(string page)
    {
        foreach (Match link in Link().Matches(Read(page)))
        {
            var (file, heading) = (link.Groups[1].Value, link.Groups[2].Value);
            var target = file.Length == 0 ? page : Path.GetRelativePath(Repository.Folder, Path.Combine(Repository.Folder, Path.GetDirectoryName(page)!, file));

            Path.Exists(Path.Combine(Repository.Folder, target)).Should().BeTrue("{0} links to {1}", page, link.Value);
            if (heading.Length > 0)
            {
                Heading().Matches(Read(target)).Select(match => Anchor(match.Groups[1].Value)).Should().Contain(heading, "{0} links to {1}", page, link.Value);
            }
        }
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
