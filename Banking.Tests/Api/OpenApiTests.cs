using System.Diagnostics;
using System.Net;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

public sealed partial class OpenApiTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task The_description_is_the_one_that_was_agreed_on()
    {
        var agreed = Path.Combine(Repository.Folder, "Banking.Tests", "Api", "openapi.json");
        var received = Path.Combine(Repository.Folder, "Banking.Tests", "openapi.received.json");

        var description = JsonNode.Parse((await bank.GetAsync("/openapi/v1.json")).Text)!.ToJsonString(Readable) + "\n";

        if (!File.Exists(agreed) || description != await File.ReadAllTextAsync(agreed))
        {
            await File.WriteAllTextAsync(received, description);
            Assert.Fail($"The API's description has changed. Where that is meant, move {received} to {agreed} and commit it.");
        }
    }

    [Fact]
    public async Task Every_call_states_its_answers_and_every_code_has_one_status()
    {
        var description = (await bank.GetAsync("/openapi/v1.json")).Body;

        description.GetProperty("openapi").GetString().Should().StartWith("3.1");
        var operations = description.GetProperty("paths").EnumerateObject().SelectMany(path => path.Value.EnumerateObject()).ToList();
        operations.Should().HaveCount(15);
        foreach (var responses in operations.Select(operation => operation.Value.GetProperty("responses")))
        {
            responses.EnumerateObject().Select(response => response.Name).Should().Contain(["400", "401", "403", "500", "503"]);
            foreach (var response in responses.EnumerateObject().Where(response => !response.Name.StartsWith('2')))
            {
                var examples = response.Value.GetProperty("content").GetProperty("application/problem+json").GetProperty("examples");
                examples.EnumerateObject().Should().NotBeEmpty().And.OnlyContain(
                    example => Problem.KindOf(example.Name).Status.ToString(System.Globalization.CultureInfo.InvariantCulture) == response.Name);
            }
        }
    }

    [Fact]
    public async Task The_description_is_made_once_and_a_flood_of_requests_for_it_costs_next_to_nothing()
    {
        const int Flood = 1_000;
        await using var service = new ServiceProcess(database.ConnectionString, $"book_{Guid.NewGuid():N}");
        await service.StartAsync();
        var first = await service.GetAsync("/openapi/v1.json");
        using var process = Process.GetProcessById(service.ProcessId);
        var before = process.TotalProcessorTime;

        for (var i = 0; i < Flood; i++)
        {
            var again = await service.GetAsync("/openapi/v1.json");
            (again.Status, again.ContentType, again.Text).Should().Be((HttpStatusCode.OK, "application/json", first.Text));
        }

        process.Refresh();
        var each = (process.TotalProcessorTime - before) / Flood;
        Report.Write($"{Flood} requests for the description: {each.TotalMilliseconds:F2} ms of processor time each.");
        each.Should().BeLessThan(TimeSpan.FromMilliseconds(2));
    }

    [Fact]
    public async Task The_docs_page_needs_nothing_from_elsewhere()
    {
        var page = await bank.GetAsync("/");

        page.Status.Should().Be(HttpStatusCode.OK);
        page.Text.Should().Contain("Core Banking");
        var scripts = ScriptSource().Matches(page.Text).Select(match => match.Groups[1].Value).ToList();
        scripts.Should().NotBeEmpty().And.OnlyContain(script => !script.Contains("//", StringComparison.Ordinal));
        page.Text.Should().NotContain("https://");
    }

    [GeneratedRegex("<script[^>]*src=\"([^\"]*)\"")]
    private static partial Regex ScriptSource();
}
