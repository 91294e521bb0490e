using FluentAssertions;

namespace Banking.Tests;

/// <summary>What is said about the speed is what was measured: the table of docs/performance.md.</summary>
public sealed class PerformanceTests
{
    private static readonly string Page = Path.Combine(Repository.Folder, "docs", "performance.md");

    [Fact]
    public async Task The_chart_is_drawn_from_the_table()
    {
        var run = await Run.ToEndAsync(new(Path.Combine(Repository.Folder, "bench", "chart")));

        run.ExitCode.Should().Be(0, run.Errors);
        run.Output.Should().Be(await File.ReadAllTextAsync(Path.Combine(Repository.Folder, "docs", "images", "speed.svg")), "bench/chart makes it");
    }

    [Fact]
    public async Task The_readme_shows_five_rows_of_the_table()
    {
        var measured = (await File.ReadAllLinesAsync(Page)).Where(line => line.StartsWith('|')).ToList();
        var readme = await File.ReadAllLinesAsync(Path.Combine(Repository.Folder, "README.md"));

        var shown = readme.SkipWhile(line => line != "## Speed").TakeWhile(line => line != "## Develop").Where(line => line.StartsWith('|')).ToList();

        shown.Should().HaveCount(2 + 5, "five rows below a heading and a line").And.BeSubsetOf(measured);
    }
}
