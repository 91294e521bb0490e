using System.Net;
using System.Security.Cryptography;
using FluentAssertions;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>Several issuers that share keys with the service. Each may sign only its own tokens.</summary>
public sealed class IssuerTests(TestDatabase database)
{
    private const string One = "https://one.test";
    private const string Other = "https://other.test";
    private const string Bearer = "Authentication:Schemes:Bearer:";

    private static readonly SymmetricSecurityKey KeyOfOne = NewKey(), NextKeyOfOne = NewKey(), KeyOfOther = NewKey();

    [Fact]
    public async Task A_key_is_accepted_for_its_own_issuer_only()
    {
        await using var bank = new BankingApp(
            database,
            null,
            [
                ($"{Bearer}ValidIssuers:0", One), ($"{Bearer}ValidIssuers:1", Other), ($"{Bearer}ValidAudiences:0", Token.Audience),
                .. Key(0, One, KeyOfOne), .. Key(1, Other, KeyOfOther), .. Key(2, One, NextKeyOfOne),
            ]);

        foreach (var (issuer, key) in new[] { (One, KeyOfOne), (One, NextKeyOfOne), (Other, KeyOfOther) })
        {
            (await HeadAsync(bank, issuer, key)).Status.Should().Be(HttpStatusCode.OK);
        }

        foreach (var (issuer, key) in new[] { (One, KeyOfOther), (Other, KeyOfOne), (Other, NextKeyOfOne) })
        {
            var refused = await HeadAsync(bank, issuer, key);
            refused.ShouldBeProblem(401, "unauthorized");
            refused["detail"].Should().Be("The token is not signed with a key that this service trusts. Get a new one from its issuer.");
        }

        bank.Complaints.Should().BeEmpty();
    }

    private static (string, string)[] Key(int number, string issuer, SymmetricSecurityKey key) =>
        [($"{Bearer}SigningKeys:{number}:Issuer", issuer), ($"{Bearer}SigningKeys:{number}:Value", Convert.ToBase64String(key.Key))];

    private static SymmetricSecurityKey NewKey() => new(RandomNumberGenerator.GetBytes(32));

    private static Task<Reply> HeadAsync(BankingApp bank, string issuer, SymmetricSecurityKey key) => bank.SendAsync(
        new(HttpMethod.Get, "/api/audit_head") { Headers = { Authorization = new("Bearer", new Token(issuer, "client", "audit:read").Signed(key)) } });
}
