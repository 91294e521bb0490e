using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

public sealed class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(Repository.Folder, "README.md"));

    [Fact]
    public void The_readme_lists_every_code_with_its_status()
    {
        var rows = Readme.Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal)).ToList();

        foreach (var kind in Problem.Kinds)
        {
            rows.Should().Contain(row => row.StartsWith($"| {kind.Status} ", StringComparison.Ordinal) && row.Contains($"`{kind.Code}`", StringComparison.Ordinal), kind.Code);
        }
    }
}
