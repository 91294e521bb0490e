using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using FluentAssertions;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>Tokens of an OpenID Connect issuer, whose keys the service fetches itself.</summary>
public sealed class AuthorityTests(TestDatabase database)
{
    private const string Scope = "audit:read";

    [Fact]
    public async Task Only_tokens_of_the_authority_are_accepted()
    {
        await using var authority = await Authority.StartAsync();
        await using var stranger = await Authority.StartAsync();
        await using var bank = Trusting(authority.Address);

        (await HeadAsync(bank, authority.TokenOf("client", Scope))).Status.Should().Be(HttpStatusCode.OK);
        (await HeadAsync(bank, authority.Sign(new Token(authority.Address, "client", Scope).With("aud", "another")))).ShouldBeProblem(401, "unauthorized");
        (await HeadAsync(bank, authority.Sign(new Token(stranger.Address, "client", Scope)))).ShouldBeProblem(401, "unauthorized");
        (await HeadAsync(bank, stranger.TokenOf("client", Scope))).ShouldBeProblem(401, "unauthorized");
        (await HeadAsync(bank, stranger.Sign(new Token(authority.Address, "client", Scope)))).ShouldBeProblem(401, "unauthorized");
        (await HeadAsync(bank, new Token(authority.Address, "client", Scope).Unsigned())).ShouldBeProblem(401, "unauthorized");
        bank.Complaints.Should().BeEmpty();
    }

    [Fact]
    public async Task A_public_key_cannot_be_used_as_a_secret_to_sign_with()
    {
        await using var authority = await Authority.StartAsync();
        await using var bank = Trusting(authority.Address);

        foreach (var published in authority.Published)
        {
            (await HeadAsync(bank, new Token(authority.Address, "client", Scope).Signed(published))).ShouldBeProblem(401, "unauthorized");
        }

        (await HeadAsync(bank, authority.TokenOf("client", Scope))).Status.Should().Be(HttpStatusCode.OK);
    }

    [Fact]
    public async Task An_authority_may_change_its_key_and_the_old_one_is_then_refused()
    {
        await using var authority = await Authority.StartAsync();
        await using var bank = Trusting(authority.Address);
        var old = authority.TokenOf("client", Scope);
        (await HeadAsync(bank, old)).Status.Should().Be(HttpStatusCode.OK);

        authority.ChangeKey();

        await TakenAsync(bank, authority);
        (await HeadAsync(bank, old)).ShouldBeProblem(401, "unauthorized");
    }

    [Fact]
    public async Task A_withdrawn_key_is_accepted_until_the_hourly_fetch_of_keys()
    {
        await using var authority = await Authority.StartAsync();
        await using var bank = Trusting(authority.Address);
        var old = authority.TokenOf("client", Scope);
        (await HeadAsync(bank, old)).Status.Should().Be(HttpStatusCode.OK);
        var keys = (BaseConfigurationManager)bank.Services.GetRequiredService<IOptionsMonitor<JwtBearerOptions>>()
            .Get(JwtBearerDefaults.AuthenticationScheme).ConfigurationManager!;

        authority.ChangeKey();
        (await HeadAsync(bank, old)).Status.Should().Be(HttpStatusCode.OK);
        keys.AutomaticRefreshInterval.Should().Be(TimeSpan.FromHours(1));
        keys.RequestRefresh(); // as it does after an hour

        await Wait.UntilAsync(async () => (await HeadAsync(bank, old)).Status != HttpStatusCode.OK);
        (await HeadAsync(bank, old)).ShouldBeProblem(401, "unauthorized");
    }

    [Fact]
    public async Task While_the_authority_is_unreachable_calls_get_503_and_the_log_has_a_warning()
    {
        var port = Ports.Free();
        await using var bank = Trusting($"http://127.0.0.1:{port}");
        await using var other = await Authority.StartAsync();
        var token = other.TokenOf("client", Scope);

        var reply = await HeadAsync(bank, token);

        reply.ShouldBeProblem(503, "authority_unavailable");
        reply.Headers.RetryAfter!.Delta.Should().Be(TimeSpan.FromSeconds(5));
        reply.Headers.WwwAuthenticate.Should().BeEmpty();
        bank.Complaints.Should().ContainSingle().Which.Should().Contain($"http://127.0.0.1:{port}").And.NotContain(token);
        (await bank.GetAsync("/api/audit_head")).ShouldBeProblem(401, "unauthorized");
        (await bank.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        await using var authority = await Authority.StartAsync(port);
        await TakenAsync(bank, authority);
    }

    [Fact]
    public async Task An_authority_that_hangs_does_not_keep_callers_waiting()
    {
        await using var authority = await Authority.StartAsync();
        await using var bank = Trusting(authority.Address);
        authority.IsSilent = true;
        var since = Stopwatch.GetTimestamp();

        var replies = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => HeadAsync(bank, authority.TokenOf("client", Scope))));

        Stopwatch.GetElapsedTime(since).Should().BeLessThan(TimeSpan.FromSeconds(12), "they wait together, not one after the other");
        foreach (var reply in replies)
        {
            reply.ShouldBeProblem(503, "authority_unavailable");
        }

        authority.IsSilent = false;
        await TakenAsync(bank, authority);
    }

    private BankingApp Trusting(string authority) => new(
        database,
        schema: null,
        ("Authentication:Schemes:Bearer:Authority", authority),
        ("Authentication:Schemes:Bearer:ValidAudiences:0", Token.Audience));

    /// <summary>Waits until the authority's tokens are accepted. The service fetches the keys in the background.</summary>
    private static Task TakenAsync(BankingApp bank, Authority authority) =>
        Wait.UntilAsync(async () => (await HeadAsync(bank, authority.TokenOf("client", Scope))).Status == HttpStatusCode.OK);

    private static Task<Reply> HeadAsync(BankingApp bank, string token) =>
        bank.SendAsync(new(HttpMethod.Get, "/api/audit_head") { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) } });
}
