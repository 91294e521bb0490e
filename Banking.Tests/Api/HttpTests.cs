using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>HEAD, caching and cursors.</summary>
public sealed class HttpTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("/api/audit_head", 200)]
    [InlineData("/api/list_accounts?limit=1", 200)]
    [InlineData("/api/get_one_account?account_id=978", 200)]
    [InlineData("/api/get_one_account?account_id=0", 400)]
    [InlineData("/api/get_one_account?account_id=77", 404)]
    [InlineData("/api/nothing", 404)]
    [InlineData("/api/deposit", 405)]
    [InlineData("/health/live", 200)]
    [InlineData("/openapi/v1.json", 200)]
    public async Task Head_gets_the_answer_of_get_without_its_body(string path, int status)
    {
        var got = await bank.GetAsync(path);

        var head = await bank.SendAsync(new(HttpMethod.Head, path));

        ((int)got.Status).Should().Be(status);
        (head.Status, head.ContentType, head.Text).Should().Be((got.Status, got.ContentType, ""));
        got.Text.Should().NotBeEmpty();
    }

    [Theory]
    [InlineData("GET", "audit_head", 200)]
    [InlineData("GET", "get_one_account?account_id=0", 400)]
    [InlineData("GET", "get_one_account?account_id=77", 404)]
    [InlineData("GET", "nothing", 404)]
    [InlineData("GET", "deposit", 405)]
    [InlineData("POST", "deposit", 400)]
    [InlineData("POST", "create_account", 201)]
    public async Task No_answer_of_the_api_may_be_cached(string method, string call, int status)
    {
        var request = new HttpRequestMessage(new(method), $"/api/{call}");
        request.Content = method == "POST" ? new StringContent("""{"owner_name":"Someone"}""", new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")) : null;

        var reply = await bank.SendAsync(request);

        ((int)reply.Status).Should().Be(status);
        reply.Headers.CacheControl!.NoStore.Should().BeTrue();
    }

    [Fact]
    public async Task No_refusal_before_the_api_may_be_cached()
    {
        await using var guarded = new GuardedBank(database);
        await using var small = new BankingApp(database, null, ("Banking:BodyLimit", "2000"));

        var unknown = await guarded.App.GetAsync("/api/audit_head");
        var large = await small.PostAsync("/api/deposit", new string(' ', 2_001));

        (unknown.Status, unknown.Headers.CacheControl!.NoStore).Should().Be((HttpStatusCode.Unauthorized, true));
        (large.Status, large.Headers.CacheControl!.NoStore).Should().Be((HttpStatusCode.RequestEntityTooLarge, true));
    }

    [Theory]
    [InlineData("transaction_history?account_id={0}&cursor=")]
    [InlineData("transaction_history?account_id={0}&cursor")]
    [InlineData("account_events?account_id={0}&cursor=")]
    [InlineData("list_accounts?limit=2&cursor=")]
    public async Task An_empty_cursor_is_the_first_page(string call)
    {
        await using var own = new BankingApp(database);
        var path = $"/api/{call.Replace("{0}", $"{await own.OpenAsync("10")}", StringComparison.Ordinal)}";

        var page = await own.GetAsync(path);

        page.ShouldBeOk();
        page.Text.Should().Be((await own.GetAsync(path.Replace("&cursor=", "", StringComparison.Ordinal).Replace("&cursor", "", StringComparison.Ordinal))).Text);
    }
}
