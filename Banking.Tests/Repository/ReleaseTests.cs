using System.Security.Cryptography;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The version of <c>Directory.Build.props</c> is the one that everything shows, and what was released stays as it was.</summary>
public sealed class ReleaseTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private const string ReleasedScripts = "sql/released.sha256"; // for `cd sql && sha256sum --check released.sha256`

    private static readonly string Version = XDocument.Load(PathOf("Directory.Build.props")).Descendants("Version").Single().Value;

    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task The_program_prints_it() =>
        (await ServiceProcess.RunAsync(["--version"])).Should().Be(new Run(0, $"{Version}\n", ""));

    [Fact]
    public async Task The_description_of_the_api_shows_it() =>
        (await bank.GetAsync("/openapi/v1.json")).Body.GetProperty("info").GetProperty("version").GetString().Should().Be(Version);

    [Fact]
    public async Task The_metrics_show_it() =>
        (await bank.GetAsync("/metrics")).Text.Should().MatchRegex($@"(?m)^target_info\{{.*service_version=""{Regex.Escape(Version)}""");

    [Fact]
    public async Task The_image_is_labelled_with_it()
    {
        var dockerfile = await File.ReadAllLinesAsync(PathOf("Dockerfile"));

        dockerfile.Should().Contain($"ARG VERSION={Version}").And.Contain(line => line.Contains("org.opencontainers.image.version=$VERSION"));
    }

    [Fact]
    public async Task The_changelog_says_what_it_brings()
    {
        var versions = (await File.ReadAllLinesAsync(PathOf("CHANGELOG.md"))).Where(line => line.StartsWith("## ", StringComparison.Ordinal)).ToList();

        versions[0].Should().Be("## [Unreleased]");
        versions[1].Should().MatchRegex($@"^## \[{Regex.Escape(Version)}\] - \d{{4}}-\d\d-\d\d$");
    }

    [Fact]
    public async Task Scripts_that_were_released_never_change()
    {
        if (Version.StartsWith("0.", StringComparison.Ordinal) || Version.StartsWith("1.0.0-", StringComparison.Ordinal))
        {
            File.Exists(PathOf(ReleasedScripts)).Should().BeFalse("before 1.0.0 no script is released");
            Report.Write($"Version {Version}: the scripts of sql/ may still be rewritten.");
            return;
        }

        var scripts = Directory.EnumerateFiles(PathOf("sql"), "*.sql").Order(StringComparer.Ordinal)
            .Select(path => $"{Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)))}  {Path.GetFileName(path)}").ToList();
        var released = File.Exists(PathOf(ReleasedScripts)) ? await File.ReadAllLinesAsync(PathOf(ReleasedScripts)) : [];

        released.Should().BeSubsetOf(scripts, "a released script is never edited, only followed by another");
        // A pre-release may add scripts that are still to change; a release takes all of them over.
        if (!Version.Contains('-') && scripts.Count > released.Length)
        {
            var received = PathOf("sql/released.received.sha256");
            await File.WriteAllLinesAsync(received, scripts);
            Assert.Fail($"Version {Version} releases more scripts. Move {received} to {PathOf(ReleasedScripts)} and commit it.");
        }
    }

    private static string PathOf(string file) => Path.Combine(Repository.Folder, file);
}
