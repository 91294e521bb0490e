using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the build takes from others, and what it publishes.</summary>
public sealed partial class SupplyChainTests
{
    private const string Generated = "<!-- From here on written by SupplyChainTests. -->\n";

    private static readonly string[] Free = ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MS-PL OR Apache-2.0", "PostgreSQL"];

    // Tools of the tests, never shipped.
    private static readonly string[] FreeInTests = [.. Free, "(MIT OR CC0-1.0)", "0BSD", "BlueOak-1.0.0", "ISC", "Python-2.0", "Unlicense"];

    // npm knows no licence of these; the text that they bring is MIT's.
    private static readonly string[] MitByText = ["node_modules/only", "node_modules/reserved"];

    private static readonly string Cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private sealed record Package(string Name, string Licence);

    [Fact]
    public void Every_package_has_a_free_licence()
    {
        var packages = PackagesOf("Banking.Api", "Banking.Data", "Banking.Tests", "bench/Banking.Bench");

        packages.Should().NotBeEmpty().And.OnlyContain(package => Free.Contains(package.Licence));
    }

    [Fact]
    public void Every_npm_package_has_a_free_licence_and_a_hash()
    {
        var packages = Directory.EnumerateFiles(Repository.Folder, "package-lock.json", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/node_modules/") && !file.Contains("/bin/"))
            .SelectMany(file => JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("packages").EnumerateObject())
            .Where(package => package.Name.Length > 0) // the empty name is the project's own
            .Select(package => (package.Name, Licence: Text(package, "license"), Hash: Text(package, "integrity")))
            .ToList();

        packages.Should().NotBeEmpty();
        packages.Where(package => !FreeInTests.Contains(package.Licence) && !MitByText.Contains(package.Name)).Should().BeEmpty();
        packages.Where(package => package.Hash is null).Should().BeEmpty();

        static string? Text(JsonProperty package, string member) => package.Value.TryGetProperty(member, out var text) ? text.GetString() : null;
    }

    [Fact]
    public async Task Every_package_is_listed_with_its_licence()
    {
        var (agreed, received) = (Path.Combine(Repository.Folder, "docs", "licences.md"), Path.Combine(Repository.Folder, "docs", "licences.received.md"));
        var text = await File.ReadAllTextAsync(agreed);
        var shipped = PackagesOf("Banking.Api", "Banking.Data");
        var others = PackagesOf("Banking.Tests", "bench/Banking.Bench").Except(shipped);

        var list = text[..text.IndexOf(Generated, StringComparison.Ordinal)] + Generated
            + Table("In the image", shipped) + Table("Only in the tests and the benchmark", others);

        if (list != text)
        {
            await File.WriteAllTextAsync(received, list);
            Assert.Fail($"The packages or their licences have changed. If that is intended, move {received} to {agreed} and commit it.");
        }
    }

    [Fact]
    public void Every_action_is_pinned_by_its_commit()
    {
        var lines = Workflows.SelectMany(File.ReadLines).ToList();

        lines.Where(line => line.Contains("uses:")).Should().NotBeEmpty().And.OnlyContain(line => PinnedAction().IsMatch(line), "a tag can be moved to other code");
        lines.Should().Contain(line => line.EndsWith("run: .ci/run")).And.Contain(line => line.EndsWith("run: .ci/image"));
    }

    [Fact]
    public void Every_image_that_is_published_was_tested_and_carries_its_parts_and_its_origin()
    {
        var release = File.ReadAllText(Path.Combine(Repository.Folder, ".github", "workflows", "release.yml"));

        var builds = Command().Matches(release).Select(match => match.Value).ToList();
        builds.Should().NotBeEmpty().And.OnlyContain(command => command.Contains("--sbom=true") && command.Contains("--provenance=mode=max"));
        release.Should().Contain("tests:\n    uses: ./.github/workflows/ci.yml\n").And.Contain("image:\n    needs: [version, tests]\n");
        release.IndexOf("run: .ci/image", StringComparison.Ordinal).Should().BePositive().And.BeLessThan(release.IndexOf("docker buildx build", StringComparison.Ordinal));
    }

    private static IEnumerable<string> Workflows => Directory.EnumerateFiles(Path.Combine(Repository.Folder, ".github", "workflows"));

    private static string Table(string title, IEnumerable<Package> packages) =>
        $"\n## {title}\n\n| package | licence |\n| --- | --- |\n" + string.Concat(packages.Select(package => $"| {package.Name} | {package.Licence} |\n"));

    /// <summary>The packages that the projects' lock files name, by name.</summary>
    private static List<Package> PackagesOf(params string[] projects) =>
    [
        .. from project in projects
           from target in JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Folder, project, "packages.lock.json"))).RootElement.GetProperty("dependencies").EnumerateObject()
           from package in target.Value.EnumerateObject()
           where package.Value.GetProperty("type").GetString() != "Project"
           select (package.Name, Version: package.Value.GetProperty("resolved").GetString()) into locked
           group locked by locked into one
           select new Package(one.Key.Name, LicenceOf(one.Key.Name, one.Key.Version)) into package
           group package by package into one
           orderby one.Key.Name.ToUpperInvariant()
           select one.Key,
    ];

    private static string LicenceOf(string name, string version)
    {
        var folder = Path.Combine(Cache, name.ToLowerInvariant(), version.ToLowerInvariant());
        var licence = XDocument.Load(Path.Combine(folder, $"{name.ToLowerInvariant()}.nuspec")).Descendants().FirstOrDefault(element => element.Name.LocalName == "license");
        if (licence?.Attribute("type")?.Value == "expression")
        {
            return licence.Value;
        }

        // Older packages contain the text of the licence instead of its name.
        var texts = Directory.EnumerateFiles(folder).Where(file => Path.GetFileName(file).StartsWith("license", StringComparison.OrdinalIgnoreCase));
        return texts.Any(file => Words().Replace(File.ReadAllText(file), " ").Contains("Permission is hereby granted, free of charge, to any person obtaining a copy of this software"))
            ? "MIT"
            : "unknown";
    }

    // Or a workflow of this repository, which is of the same commit.
    [GeneratedRegex(@"uses: (?:[\w./-]+@[0-9a-f]{40} # v[0-9.]+|\./[\w./-]+)$")]
    private static partial Regex PinnedAction();

    // To the end of its last line: the lines before it end with a backslash.
    [GeneratedRegex(@"docker buildx build(?:.*\\\n)*.*")]
    private static partial Regex Command();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Words();
}
