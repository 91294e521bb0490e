using System.Globalization;
using System.Text.RegularExpressions;
using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

public sealed partial class ApiPageTests
{
    [Fact]
    public void The_table_of_codes_has_every_code_once_with_its_status_and_what_to_do()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Folder, "docs", "api.md"));

        var rows = Row().Matches(page).Select(row => (row.Groups["code"].Value, int.Parse(row.Groups["status"].Value, CultureInfo.InvariantCulture)));

        rows.Should().BeEquivalentTo(Problem.Kinds.Select(kind => (kind.Code, kind.Status)));
    }

    [GeneratedRegex(@"^\| (?<status>[0-9]{3}) \| `(?<code>[a-z_]+)` \| \S.* \|$", RegexOptions.Multiline)]
    private static partial Regex Row();
}
