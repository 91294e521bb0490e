using System.ComponentModel.DataAnnotations;
using System.Reflection;
using System.Text.RegularExpressions;
using Banking.Api;
using Banking.Data;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>docs/configuration.md says what the program does.</summary>
public sealed partial class ConfigurationTests
{
    private static readonly string[] Rows = [.. Repository.Read("docs/configuration.md").Split('\n').Where(line => line.StartsWith('|'))];

    private static IEnumerable<(PropertyInfo Setting, object Defaults)> Settings => new object[] { new LedgerOptions(), new ServiceOptions() }
        .SelectMany(options => options.GetType().GetProperties().Select(setting => (setting, options)));

    [Fact]
    public void Every_setting_is_listed_with_its_default_and_what_is_allowed()
    {
        foreach (var (setting, defaults) in Settings)
        {
            var row = Rows.Should().ContainSingle(row => row.StartsWith($"| `Banking__{setting.Name}` |")).Which.Split(" | ");

            if (setting.GetValue(defaults) is { } value)
            {
                row[1].Should().Be($"`{value}`");
            }

            row[2].Should().Be(setting.GetCustomAttribute<ValidationAttribute>() switch
            {
                RangeAttribute range => $"{range.Minimum} to {range.Maximum}",
                RegularExpressionAttribute form => form.ErrorMessage,
                _ => "true or false",
            });
        }
    }

    [Fact]
    public void Every_setting_that_is_shown_exists()
    {
        var pages = Directory.EnumerateFiles(Path.Combine(Repository.Folder, "docs"), "*.md")
            .Concat(Directory.EnumerateFiles(Path.Combine(Repository.Folder, "deploy"), "*.yaml", SearchOption.AllDirectories))
            .Append(Path.Combine(Repository.Folder, "README.md"))
            .Append(Path.Combine(Repository.Folder, "compose.yaml"));

        foreach (var page in pages)
        {
            Setting().Matches(File.ReadAllText(page)).Select(match => match.Groups[1].Value).Should().BeSubsetOf(Settings.Select(one => one.Setting.Name), page);
        }
    }

    [Fact]
    public void Every_call_is_listed_with_its_scope()
    {
        foreach (var (call, scope) in AuthenticationTests.Calls.Select(row => row.Data))
        {
            Rows.Should().ContainSingle(row => row.StartsWith($"| `{scope}` |")).Which.Should().Contain($"`{call}`");
        }
    }

    [Theory]
    [InlineData("serve")]
    [InlineData("migrate")]
    [InlineData("verify")]
    [InlineData("health")]
    public async Task Every_command_is_listed_with_its_exit_codes(string command)
    {
        var help = (await ServiceProcess.RunAsync([command, "--help"])).Output;

        var codes = ExitCodes().Match(help.ReplaceLineEndings(" ")).Groups[1].Value;
        Rows.Should().ContainSingle(row => row.StartsWith($"| `{command}` |")).Which.Replace("`", "").Should().EndWith($"| {codes} |");
    }

    [GeneratedRegex("Banking__([A-Za-z]+)")]
    private static partial Regex Setting();

    [GeneratedRegex(@"Exit codes: (.+)\.")]
    private static partial Regex ExitCodes();
}
