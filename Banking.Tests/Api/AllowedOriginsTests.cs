using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Calls of browsers from pages of other origins (CORS).</summary>
public sealed class AllowedOriginsTests(TestDatabase database)
{
    private const string Allowed = "https://bank.example";
    private const string AlsoAllowed = "http://localhost:3000";

    [Theory]
    [InlineData(Allowed)]
    [InlineData(AlsoAllowed)]
    public async Task An_allowed_origin_can_call_and_read_the_answer(string origin)
    {
        await using var guarded = new GuardedBank(database, ("Banking:AllowedOrigins", $"{Allowed}, {AlsoAllowed}"));

        var preflight = await PreflightAsync(guarded.App, origin);
        var answer = await CallAsync(guarded.App, origin);

        preflight.Status.Should().Be(HttpStatusCode.NoContent, "a preflight carries no token");
        OriginOf(preflight).Should().Be(origin);
        Header(preflight, "Access-Control-Allow-Methods").Should().Contain("POST");
        Header(preflight, "Access-Control-Allow-Headers").Should().ContainAll("Authorization", "Content-Type", "Idempotency-Key");
        answer.ShouldBeProblem(401, "unauthorized");
        OriginOf(answer).Should().Be(origin, "the page must be able to read a refusal");
        Header(answer, "Access-Control-Expose-Headers").Should().ContainAll("Location", "Retry-After", "Idempotency-Replayed");
        Header(answer, "Access-Control-Allow-Credentials").Should().BeEmpty("the page sends the token, not the browser");
    }

    [Theory]
    [InlineData("https://bank.example.evil.test")]
    [InlineData("http://bank.example")]
    [InlineData("https://bank.example:444")]
    [InlineData("null")]
    public async Task Another_origin_is_refused(string origin)
    {
        await using var bank = new BankingApp(database, schema: null, ("Banking:AllowedOrigins", $"{Allowed} {AlsoAllowed}"));

        OriginOf(await PreflightAsync(bank, origin)).Should().BeEmpty();
        OriginOf(await CallAsync(bank, origin)).Should().BeEmpty();
    }

    [Fact]
    public async Task Without_the_setting_every_origin_is_refused()
    {
        await using var bank = new BankingApp(database);

        var preflight = await PreflightAsync(bank, Allowed);

        preflight.ShouldBeProblem(405, "method_not_allowed");
        OriginOf(preflight).Should().BeEmpty();
        OriginOf(await CallAsync(bank, Allowed)).Should().BeEmpty();
    }

    private static Task<Reply> PreflightAsync(BankingApp bank, string origin) => SendAsync(
        bank, HttpMethod.Options, "/api/deposit", origin,
        ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key"));

    private static Task<Reply> CallAsync(BankingApp bank, string origin) =>
        SendAsync(bank, HttpMethod.Get, "/api/get_one_account?account_id=978", origin);

    private static Task<Reply> SendAsync(BankingApp bank, HttpMethod method, string path, string origin, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        foreach (var (name, value) in headers.Append(("Origin", origin)))
        {
            request.Headers.Add(name, value);
        }

        return bank.SendAsync(request);
    }

    private static string OriginOf(Reply reply) => Header(reply, "Access-Control-Allow-Origin");

    private static string Header(Reply reply, string name) => reply.Headers.TryGetValues(name, out var values) ? string.Join(',', values) : "";
}
