using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using FluentAssertions;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>docs/clients.md, run: its commands generate, compile and start each client, and its code is the clients' code.</summary>
public sealed partial class ClientTests(TestDatabase database) : IAsyncLifetime
{
    // All clients make the same requests in the same order, each on a fresh book, and print what they read.
    private const string Printed = """
        balance 100.00
        balance 110.50
        refused: insufficient_funds
        credit 10.50
        credit 100.00
        createAccount 1001 customer-18 London
        withdraw 3 100.00
        transaction 4 0.00 100.00
        getOneTransaction transfer 100.00 EUR
        getOneRequest invoice-4713 4 0
        placeHold 3 30.00 1
        captureHold 5 12.50
        getOneHold pending 12.50
        listHolds 3
        releaseHold released 12.50
        reverseTransaction 5 12.50
        batch dry run: 25.00, insufficient_funds
        batch 125.00
        changeAccount 50.00 175.00
        freezeAccount debits_blocked
        listAccounts 1001
        unfreezeAccount active
        accountEvents unfrozen frozen changed hold_released hold_placed opened
        transactionHistory 25.00 100.00
        balanceAt 100.00 3
        statement 3 110.50 100.00
        events 1-1 2-1 100.00
        closeAccount closed
        getOneAccount closed 0.00
        auditHead 8 64

        """;

    private static readonly string Sources = Path.Combine(Repository.Folder, "Banking.Tests", "Clients");

    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Folder, "docs", "clients.md"));

    private static readonly (string Name, string Value)[] Quiet =
    [
        // No process of the build goes on when its command has ended.
        ("MSBUILDDISABLENODEREUSE", "1"), ("UseSharedCompilation", "false"),
        // No tool looks for its next version, or reports that it ran.
        ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("KIOTA_OFFLINE_ENABLED", "true"), ("KIOTA_CLI_TELEMETRY_OPTOUT", "1"),
        ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"), ("REDOCLY_TELEMETRY", "off"),
    ];

    private readonly SymmetricSecurityKey key = new(RandomNumberGenerator.GetBytes(32));

    // What is generated does not stay in the repository.
    private readonly DirectoryInfo copy = Directory.CreateTempSubdirectory();

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData("Kiota")]
    [InlineData("NSwag")]
    [InlineData("TypeScript")]
    public async Task A_generated_client_makes_every_call(string client)
    {
        await using var service = NewService();
        await service.StartAsync();
        await using var gateway = await LossyGateway.StartAsync(service.Address);
        var operations = Operation.In((await service.GetAsync("/openapi/v1.json")).Body).Select(operation => $"{operation.Method} {operation.Path}").ToList();

        var output = "";
        foreach (var command in Commands().Matches(SectionOf(client)).SelectMany(block => Command().Matches(block.Groups["commands"].Value)))
        {
            output = await RunAsync(
                client.ToLowerInvariant(),
                command.Value.Replace("http://localhost:8080", gateway.Address, StringComparison.Ordinal),
                ("BANKING_URL", gateway.Address),
                ("BANKING_TOKEN", TokenOf(client)));
        }

        var done = gateway.Exchanges.Where(call => call.Status < 300).ToList();
        operations.Except(done.Select(call => $"{call.Method} {call.Path}"))
            .Should().BeEmpty("Banking.Tests/Clients/{0} must make every call of the document", client.ToLowerInvariant());
        output.Should().Be(Printed);
        done.Where(call => call.Path == "/api/deposit").Select(call => call.Replayed).Should().Equal([false, true], "the first answer was lost");
        gateway.Exchanges.Select(call => call.Status).Should().Contain(429, "this caller may make two requests in a second");
    }

    [Theory]
    [InlineData("Kiota")]
    [InlineData("NSwag")]
    [InlineData("TypeScript")]
    public void The_code_of_the_page_is_the_clients_code(string client)
    {
        var sources = string.Join('\n', Directory.EnumerateFiles(Path.Combine(Sources, client.ToLowerInvariant())).Select(File.ReadAllText));

        var blocks = Code().Matches(SectionOf(client)).Select(block => block.Groups["code"].Value).ToList();
        blocks.Should().HaveCountGreaterThan(4);
        foreach (var block in blocks)
        {
            sources.Should().Contain(block);
        }
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task The_document_passes_the_recommended_rules_of_Redocly_and_Spectral()
    {
        await using var service = NewService();
        await service.StartAsync();
        var document = new Uri(service.Address, "openapi/v1.json");

        await RunAsync("lint", "npm ci");
        await RunAsync("lint", $"npx redocly lint {document}");
        await RunAsync("lint", $"npx spectral lint --fail-severity hint {document}");
    }

    public async ValueTask InitializeAsync()
    {
        var run = await Run.ToEndAsync(new("cp", ["-r", $"{Sources}/.", Path.Combine(Repository.Folder, ".config"), copy.FullName]));
        run.ExitCode.Should().Be(0, run.Errors);
    }

    public ValueTask DisposeAsync()
    {
        copy.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>The service with callers, each of whom may make two requests in a second.</summary>
    private ServiceProcess NewService()
    {
        const string Bearer = "Authentication__Schemes__Bearer__";
        return new(
            database.ConnectionString,
            $"book_{Guid.NewGuid():N}",
            ("Banking__AllowAnonymous", "false"),
            ("Banking__RateLimit", "2"),
            ($"{Bearer}ValidIssuer", GuardedBank.Issuer),
            ($"{Bearer}ValidAudiences__0", Token.Audience),
            ($"{Bearer}SigningKeys__0__Issuer", GuardedBank.Issuer),
            ($"{Bearer}SigningKeys__0__Value", Convert.ToBase64String(key.Key)));
    }

    private string TokenOf(string client) =>
        new Token(GuardedBank.Issuer, client, string.Join(' ', AuthenticationTests.Calls.Select(call => call.Data.Item2).Distinct()))
            .With("exp", Token.At(3600)).Signed(key);

    private static string SectionOf(string client) => Section().Matches(Page).Select(section => section.Value).Single(section => section.StartsWith($"## {client}\n"));

    private static async Task<bool> HasNodeAsync() =>
        await Run.ToEndAsync(new("bash", ["-c", "npm --version && node --version"])) is { ExitCode: 0, Output: var versions }
        && Version.Parse(versions.Trim().Split('v')[1]) >= new Version(20, 19);

    /// <summary>Runs a command in a client's folder, gives what it printed, and fails with it.</summary>
    private async Task<string> RunAsync(string folder, string command, params (string Name, string Value)[] variables)
    {
        Assert.SkipUnless(command.StartsWith("dotnet", StringComparison.Ordinal) || await HasNodeAsync(), "This needs Node.js 20.19 or later, with npm.");
        var start = new ProcessStartInfo("bash", ["-c", command]) { WorkingDirectory = Path.Combine(copy.FullName, folder) };
        foreach (var (name, value) in variables.Concat(Quiet))
        {
            start.Environment[name] = value;
        }

        var run = await Run.ToEndAsync(start, Run.Download);
        run.ExitCode.Should().Be(0, "{0} printed {1}{2}", command, run.Output, run.Errors);
        return run.Output;
    }

    // To the next heading of its kind.
    [GeneratedRegex(@"^## (?:(?!^## ).*\n)*", RegexOptions.Multiline)]
    private static partial Regex Section();

    [GeneratedRegex(@"^```sh\n(?<commands>(?:(?!```).*\n)*)```$", RegexOptions.Multiline)]
    private static partial Regex Commands();

    // With the lines that it goes on in.
    [GeneratedRegex(@"^(?:.*\\\n)*.+$", RegexOptions.Multiline)]
    private static partial Regex Command();

    [GeneratedRegex(@"^```(?:csharp|ts|xml|json)\n(?<code>(?:(?!```).*\n)*)```$", RegexOptions.Multiline)]
    private static partial Regex Code();
}
