using System.Diagnostics;
using System.Net;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

public sealed partial class OpenApiTests(SharedBank shared, GuardedBank guarded, TestDatabase database) : IClassFixture<SharedBank>, IClassFixture<GuardedBank>
{
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task The_openapi_document_equals_the_committed_one()
    {
        var agreed = Path.Combine(Repository.Folder, "Banking.Tests", "Api", "openapi.json");
        var received = Path.Combine(Repository.Folder, "Banking.Tests", "openapi.received.json");

        var description = JsonNode.Parse((await guarded.App.GetAsync("/openapi/v1.json")).Text)!.ToJsonString(Readable) + "\n";

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
        operations.Should().HaveCount(25);
        foreach (var responses in operations.Select(operation => operation.Value.GetProperty("responses")))
        {
            responses.EnumerateObject().Select(response => response.Name).Should().Contain(["400", "401", "403", "405", "500", "503"]);
            foreach (var response in responses.EnumerateObject().Where(response => !response.Name.StartsWith('2')))
            {
                var examples = response.Value.GetProperty("content").GetProperty("application/problem+json").GetProperty("examples");
                examples.EnumerateObject().Should().NotBeEmpty().And.OnlyContain(
                    example => Problem.KindOf(example.Name).Status.ToString(System.Globalization.CultureInfo.InvariantCulture) == response.Name);
            }
        }
    }

    [Fact]
    public async Task Every_parameter_and_every_member_is_described_and_every_parameter_has_an_example()
    {
        var description = await DescriptionAsync();

        foreach (var parameter in Operation.In(description).SelectMany(operation => operation.Parameters("query").Concat(operation.Parameters("header"))))
        {
            var text = parameter.GetRawText();
            parameter.TryGetProperty("description", out var words).Should().BeTrue(text);
            words.GetString().Should().NotBeNullOrWhiteSpace(text);
            (parameter.TryGetProperty("example", out _) || parameter.TryGetProperty("examples", out _)).Should().BeTrue(text);
        }

        foreach (var (name, member, schema) in Members(description))
        {
            var given = description.GetProperty("components").GetProperty("schemas").GetProperty(name).GetProperty("properties").GetProperty(member);
            (given.TryGetProperty("description", out var words) || schema.TryGetProperty("description", out words)).Should().BeTrue("{0}.{1} has no description", name, member);
            words.GetString().Should().NotBeNullOrWhiteSpace();
            schema.TryGetProperty("type", out _).Should().BeTrue("{0}.{1} has no type", name, member);
        }

        var tags = description.GetProperty("tags").EnumerateArray().ToDictionary(tag => tag.GetProperty("name").GetString()!, tag => tag.GetProperty("description").GetString());
        tags.Values.Should().OnlyContain(words => !string.IsNullOrWhiteSpace(words));
        Operation.In(description).SelectMany(operation => operation.Description.GetProperty("tags").EnumerateArray().Select(tag => tag.GetString()!))
            .Distinct().Should().BeEquivalentTo(tags.Keys);
    }

    [Fact]
    public async Task No_amount_is_a_number_which_generators_would_read_as_a_binary_float()
    {
        var description = await DescriptionAsync();

        foreach (var (name, member, schema) in Members(description))
        {
            JsonSchema.TypesOf(schema).Should().NotContain("number", "{0}.{1} would be a float", name, member);
        }

        string[] amounts =
        [
            "CashRequest.amount", "TransferRequest.amount", "ReverseTransactionRequest.amount", "BatchPosting.amount", "PlaceHoldRequest.amount", "CaptureHoldRequest.amount",
            "CreateAccountRequest.initial_deposit", "CreateAccountRequest.overdraft_limit", "ChangeAccountRequest.overdraft_limit",
        ];
        foreach (var (name, member, schema) in Members(description).Where(member => amounts.Contains($"{member.Name}.{member.Member}")))
        {
            JsonSchema.TypesOf(schema).Should().Equal("string");
            schema.GetProperty("pattern").GetString().Should().Be(Money.RequestPattern, "{0}.{1}", name, member);
            schema.GetProperty("description").GetString().Should().Contain("A JSON number is accepted too.");
        }
    }

    [Fact]
    public async Task Requests_are_closed_and_each_member_has_one_type()
    {
        var description = await DescriptionAsync();

        var schemas = new JsonSchema(description);
        var requests = Operation.In(description).Where(operation => operation.RequestSchema is not null)
            .Select(operation => schemas.Resolve(operation.RequestSchema!.Value)).ToList();
        requests.Should().NotBeEmpty();
        foreach (var schema in requests.Append(description.GetProperty("components").GetProperty("schemas").GetProperty(nameof(BatchPosting))))
        {
            schema.GetProperty("additionalProperties").ValueKind.Should().Be(JsonValueKind.False);
            schema.GetProperty("properties").EnumerateObject().Should().OnlyContain(
                member => JsonSchema.TypesOf(schemas.Resolve(member.Value)).Count == 1, "an optional member is left out");
        }

        var limits = Operation.In(description).SelectMany(operation => operation.Parameters("query")).Where(parameter => parameter.GetProperty("name").GetString() == "limit").ToList();
        limits.Should().NotBeEmpty().And.OnlyContain(limit => limit.GetProperty("schema").GetProperty("default").GetInt32() == LimitAttribute.Default);
    }

    [Fact]
    public async Task Answers_are_open_to_new_members_words_and_codes()
    {
        var description = await DescriptionAsync();

        var answers = description.GetProperty("components").GetProperty("schemas").EnumerateObject()
            .Where(schema => schema.Name != nameof(BatchPosting) && !schema.Name.EndsWith("Request", StringComparison.Ordinal) && schema.Value.TryGetProperty("properties", out _))
            .Select(schema => schema.Value).ToList();
        answers.Should().NotBeEmpty();
        foreach (var answer in answers)
        {
            (answer.TryGetProperty("additionalProperties", out var more) && more.ValueKind == JsonValueKind.False).Should().BeFalse(answer.GetRawText());
            answer.GetProperty("properties").EnumerateObject().Should().NotContain(member => member.Value.GetRawText().Contains("\"enum\""));
        }

        var problem = description.GetProperty("components").GetProperty("schemas").GetProperty("Problem");
        problem.GetProperty("additionalProperties").EnumerateObject().Should().BeEmpty();
        problem.GetProperty("properties").GetProperty("detail").GetProperty("x-ms-primary-error-message").GetBoolean().Should().BeTrue();
        var code = problem.GetProperty("properties").GetProperty("code");
        code.GetProperty("x-extensible-enum").EnumerateArray().Select(known => known.GetString()).Should().Equal(Problem.Kinds.Select(kind => kind.Code));
        code.GetProperty("description").GetString().Should().ContainAll(Problem.Kinds.Select(kind => $"`{kind.Code}`"));
    }

    [Fact]
    public async Task Operations_have_method_names_and_the_document_has_a_server()
    {
        var description = await DescriptionAsync();

        Operation.In(description).Select(operation => operation.Description.GetProperty("operationId").GetString()).Should().BeEquivalentTo(
            "createAccount", "getOneAccount", "listAccounts", "changeAccount", "freezeAccount", "unfreezeAccount", "closeAccount", "accountEvents",
            "deposit", "withdraw", "transaction", "reverseTransaction", "batch", "placeHold", "captureHold", "releaseHold", "getOneHold", "listHolds", "transactionHistory", "balanceAt", "statement", "getOneTransaction", "getOneRequest", "events", "auditHead");
        description.GetProperty("servers").EnumerateArray().Select(server => server.GetProperty("url").GetString()).Should().Equal("/");
        description.GetProperty("info").EnumerateObject().Select(member => member.Name).Should().Contain(["license", "contact"]);
    }

    [Fact]
    public async Task Metadata_and_the_words_of_parameters_are_described_once_so_that_generators_make_one_type_of_each()
    {
        var description = await DescriptionAsync();

        var metadata = description.GetProperty("components").GetProperty("schemas").GetProperty("Metadata");
        metadata.GetProperty("additionalProperties").GetProperty("maxLength").GetInt32().Should().Be(MetadataAttribute.LongestValue);
        Members(description).Where(member => member.Member == "metadata").Select(member => member.Schema.GetRawText()).Distinct().Should().Equal(metadata.GetRawText());
        Operation.In(description).SelectMany(operation => operation.Parameters("query")).Select(parameter => parameter.GetProperty("schema").GetRawText())
            .Should().NotContainMatch("*\"enum\"*").And.ContainMatch("*/ListAccountsStatus\"*");
    }

    [Fact]
    public async Task The_successes_of_a_call_have_one_type_as_generated_clients_return_one()
    {
        var successes = Operation.In(await DescriptionAsync())
            .Select(operation => operation.Description.GetProperty("responses").EnumerateObject().Where(response => response.Name[0] == '2').ToList()).ToList();

        successes.Should().Contain(several => several.Count > 1).And.OnlyContain(
            responses => responses.Select(response => response.Value.GetProperty("content").EnumerateObject().Single().Value.GetProperty("schema").GetRawText()).Distinct().Count() == 1);
    }

    [Fact]
    public async Task Tokens_are_described_only_if_the_service_needs_them()
    {
        var open = (await bank.GetAsync("/openapi/v1.json")).Text;
        var closed = await DescriptionAsync();

        open.Should().NotContain("\"security\"").And.NotContain("\"securitySchemes\"");
        Operation.In(closed).Should().OnlyContain(operation => operation.Description.GetProperty("security").GetArrayLength() == 1);
        (await bank.GetAsync("/scalar/")).Text.Should().NotContain("preferredSecurityScheme");
        (await guarded.App.GetAsync("/scalar/")).Text.Should().Contain("preferredSecurityScheme");
    }

    [Fact]
    public async Task The_openapi_document_is_generated_only_once()
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
        each.Should().BeLessThan(TimeSpan.FromMilliseconds(4));
    }

    [Fact]
    public async Task The_docs_page_loads_nothing_from_other_sites()
    {
        var page = await bank.GetAsync("/");

        page.Status.Should().Be(HttpStatusCode.OK);
        page.Text.Should().Contain("Core Banking");
        var scripts = ScriptSource().Matches(page.Text).Select(match => match.Groups[1].Value).ToList();
        scripts.Should().NotBeEmpty().And.OnlyContain(script => !script.Contains("//", StringComparison.Ordinal));
        page.Text.Should().NotContain("https://");
        page.Text.Should().Contain(".darklight-reference a { display: none }", "this links to Scalar's site").And.Contain("developer.mozilla.org").And.Contain("pointer-events: none").And.Contain("\"hideClientButton\":true");
    }

    private async Task<JsonElement> DescriptionAsync() => (await guarded.App.GetAsync("/openapi/v1.json")).Body;

    /// <summary>All members of bodies; where one may be null, with the schema of what else it is.</summary>
    private static IEnumerable<(string Name, string Member, JsonElement Schema)> Members(JsonElement description) =>
        from schema in description.GetProperty("components").GetProperty("schemas").EnumerateObject()
        where schema.Value.TryGetProperty("properties", out _)
        from member in schema.Value.GetProperty("properties").EnumerateObject()
        let given = member.Value.TryGetProperty("oneOf", out var options) ? options.EnumerateArray().Last() : member.Value
        select (schema.Name, member.Name, new JsonSchema(description).Resolve(given));

    [GeneratedRegex("<script[^>]*src=\"([^\"]*)\"")]
    private static partial Regex ScriptSource();
}
