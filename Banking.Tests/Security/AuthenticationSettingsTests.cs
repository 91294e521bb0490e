using FluentAssertions;

namespace Banking.Tests;

/// <summary>The real program with an operator's authentication settings: it starts if they are complete, else it names what to set.</summary>
public sealed class AuthenticationSettingsTests(TestDatabase database) : IDisposable
{
    private const string Bearer = "Authentication__Schemes__Bearer__";
    private const string Key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    private const string Audience = $"{Bearer}ValidAudiences__0=core-banking";
    private const string Issuer = $"{Bearer}ValidIssuer=us";
    private const string SigningKey = $"{Bearer}SigningKeys__0__Issuer=us {Bearer}SigningKeys__0__Value={Key}";

    private readonly DirectoryInfo home = Directory.CreateTempSubdirectory();

    public static TheoryData<string, string> Faults => new()
    {
        { "", $"{Bearer}Authority {Bearer}SigningKeys__0__Issuer {Bearer}ValidIssuer {Bearer}ValidAudiences__0 Banking__AllowAnonymous=true" },
        { "ASPNETCORE_ENVIRONMENT=Staging", $"{Bearer}Authority Banking__AllowAnonymous=true" },
        { $"{Bearer}Authority=", $"{Bearer}Authority Banking__AllowAnonymous=true" },
        { $"{Bearer}Authority=https://issuer.test {Audience} Banking__AllowAnonymous=true", "Banking__AllowAnonymous Authentication__Schemes__Bearer" },
        { $"{Bearer}Authority=https://issuer.test", $"{Bearer}ValidAudiences__0" },
        { $"{Bearer}Authority=https://issuer.test {Bearer}Audience=core-banking", $"{Bearer}ValidAudiences__0" },
        { $"{Bearer}Authority=issuer.test {Audience}", $"{Bearer}Authority https" },
        { $"{Bearer}Authority=http://issuer.test {Audience}", $"{Bearer}Authority https" },
        { $"{Bearer}Authority=http://issuer.test {Bearer}RequireHttpsMetadata=false {Audience}", $"{Bearer}Authority https" },
        { $"{Bearer}Authority=https://issuer.test {Bearer}MetadataAddress=http://issuer.test {Audience}", $"{Bearer}MetadataAddress https" },
        { $"{Bearer}Authority=https://issuer.test {Bearer}BackchannelTimeout=soon {Audience}", "Authentication__Schemes__Bearer soon" },
        { $"{Bearer}Authority=issuer.test {Audience} ASPNETCORE_ENVIRONMENT=Development", $"{Bearer}Authority https" },
        { Audience, $"{Bearer}Authority {Bearer}SigningKeys__0__Issuer" },
        { $"{Audience} ASPNETCORE_ENVIRONMENT=Development", $"{Bearer}Authority {Bearer}SigningKeys__0__Issuer" },
        { $"{Bearer}Authority=https://issuer.test {SigningKey} {Issuer} {Audience}", $"{Bearer}Authority {Bearer}SigningKeys__0__Issuer" },
        { $"{SigningKey} {Issuer}", $"{Bearer}ValidAudiences__0" },
        { $"{SigningKey} {Audience}", $"{Bearer}SigningKeys__0__Issuer {Bearer}ValidIssuer" },
        { $"{SigningKey} {Audience} {Bearer}ValidIssuer=them", $"{Bearer}SigningKeys__0__Issuer {Bearer}ValidIssuer" },
        { $"{Bearer}SigningKeys__0__Issuer=us {Issuer} {Audience}", $"{Bearer}SigningKeys__0__Value base64" },
        { $"{Bearer}SigningKeys__0__Issuer=us {Bearer}SigningKeys__0__Value=c2VjcmV0IHNlY3JldA== {Issuer} {Audience}", $"{Bearer}SigningKeys__0__Value 32" },
        { $"{Bearer}SigningKeys__0__Issuer=us {Bearer}SigningKeys__0__Value=it's_a_long_secret_but_it_is_not_in_base64 {Issuer} {Audience}", $"{Bearer}SigningKeys__0__Value base64" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Incomplete_or_contradictory_settings_stop_the_start(string settings, string named)
    {
        await using var service = Of(settings);

        (await service.StartOnceAsync()).Should().Be(1);

        service.Lines.Should().ContainSingle(line => line.Contains("Can't start")).Which.Should().ContainAll(named.Split(' '));
        service.Lines.Should().NotContain(line => line.Contains("   at "), "a stack trace is no help to its reader");
        service.Lines.Should().NotContain(line => line.Contains("secret") || line.Contains("c2VjcmV0"), "a key must never be shown");
    }

    [Fact]
    public async Task With_AllowAnonymous_it_warns_at_each_start()
    {
        await using var service = Of("Banking__AllowAnonymous=true");

        await service.StartAsync();
        (await service.GetAsync("/api/audit_head")).Id("transaction_id").Should().Be(0);
        await service.KillAsync();
        await service.StartAsync();

        service.Warnings.Should().HaveCount(2).And.OnlyContain(line => line.Contains("Everybody who reaches this service") && line.Contains("Banking__AllowAnonymous"));
    }

    [Fact]
    public async Task In_development_it_asks_for_no_token_and_logs_no_warning()
    {
        await using var service = Of("ASPNETCORE_ENVIRONMENT=Development");

        await service.StartAsync();

        (await service.GetAsync("/api/audit_head")).Id("transaction_id").Should().Be(0);
        service.Warnings.Should().BeEmpty();
    }

    [Theory]
    [InlineData("http://+:0")]
    [InlineData("http://0.0.0.0:0")]
    [InlineData("http://[::]:0")]
    [InlineData("http://bank.test:0")]
    [InlineData("http://127.0.0.1:0;http://*:0")]
    public async Task In_development_it_warns_if_other_machines_can_reach_it(string addresses)
    {
        await using var service = Of($"ASPNETCORE_ENVIRONMENT=Development ASPNETCORE_URLS={addresses}");

        await service.StartAsync();
        await service.TerminateAsync();
        await service.ExitCodeAsync(within: TimeSpan.FromSeconds(20));

        service.Warnings.Should().ContainSingle().Which.Should().ContainAll("Everybody who reaches this service", "Development", Bearer, "localhost");
    }

    [Theory]
    [InlineData("http://127.0.0.1:0")]
    [InlineData("http://127.0.0.2:0")]
    [InlineData("http://localhost:PORT")]
    [InlineData("http://unix:HOME/socket")]
    public async Task In_development_it_does_not_warn_if_only_its_own_machine_can_reach_it(string address)
    {
        var url = address.Replace("PORT", $"{Ports.Free()}", StringComparison.Ordinal).Replace("HOME", home.FullName, StringComparison.Ordinal);
        await using var service = Of($"ASPNETCORE_ENVIRONMENT=Development ASPNETCORE_URLS={url}");

        await service.StartAsync();
        await service.TerminateAsync();
        await service.ExitCodeAsync(within: TimeSpan.FromSeconds(20));

        service.Warnings.Should().BeEmpty();
    }

    [Theory]
    [InlineData($"{SigningKey} {Issuer} {Audience}")]
    [InlineData($"{SigningKey} {Issuer} {Audience} ASPNETCORE_ENVIRONMENT=Development")]
    [InlineData($"{SigningKey} {Bearer}ValidIssuers__0=us {Bearer}ValidAudience=core-banking")]
    [InlineData($"{Bearer}Authority=https://issuer.test {Audience}")]
    [InlineData($"{Bearer}Authority=http://issuer.test {Audience} ASPNETCORE_ENVIRONMENT=Development")]
    public async Task With_complete_settings_it_starts_without_a_warning_and_asks_for_tokens(string settings)
    {
        await using var service = Of(settings);

        await service.StartAsync();

        (await service.GetAsync("/api/audit_head")).ShouldBeProblem(401, "unauthorized");
        (await service.GetAsync("/health/ready"))["status"].Should().Be("ready");
        service.Warnings.Should().BeEmpty();
        home.EnumerateFileSystemInfos().Should().BeEmpty("a container has no place for keys that nobody needs");
    }

    public void Dispose() => home.Delete(recursive: true);

    /// <summary>A service with only these settings, as NAME=value, and its own home folder.</summary>
    private ServiceProcess Of(string settings) => new(
        database.ConnectionString,
        $"book_{Guid.NewGuid():N}",
        [
            ("Banking__AllowAnonymous", "false"),
            ("HOME", home.FullName),
            .. settings.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(setting => setting.Split('=', 2)).Select(setting => (setting[0], setting[1])),
        ]);
}
