using System.Net.Http.Headers;
using System.Text;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A book of its own with two accounts and a hold, for requests that must not change it.</summary>
public sealed class UntouchedBook(TestDatabase database) : IAsyncLifetime
{
    public BankingApp App { get; } = new(database);

    public async ValueTask InitializeAsync()
    {
        (await App.OpenAsync("100")).Should().Be(1000);
        (await App.OpenAsync("100")).Should().Be(1001);
        (await App.HoldAsync(1000, "1")).Should().Be(3);
    }

    public ValueTask DisposeAsync() => App.DisposeAsync();

    public Task<string?> ContentAsync() => App.Book.ScalarAsync<string>(
        """
        SELECT concat_ws('; ', string_agg(concat_ws(' ', account_id, owner_name, status, balance, held, overdraft_limit), ', ' ORDER BY account_id)
                             , (SELECT count(*) FROM transaction_log)
                             , (SELECT count(*) FROM account_log)
                             , (SELECT hold::text FROM hold)
                             , (SELECT ledger_head::text FROM ledger_head))
          FROM account;
        """);
}

public sealed class InvalidRequestTests(UntouchedBook book, TestDatabase database) : IClassFixture<UntouchedBook>
{
    private static readonly Dictionary<string, InvalidRequest> ByName = InvalidRequests.All().ToDictionary(invalid => invalid.Name);

    private const string AmountRule =
        "must be a decimal such as \"10.50\", with at most 15 digits before the point and 4 after it. Signs, commas, exponents and currency symbols are not allowed.";

    private const string TimeRule =
        "must be a time such as 2026-01-02T03:04:05Z or 2026-01-02T03:04:05.678901+01:00 (RFC 3339). Z or an offset is required, and at most 9 digits of fraction are allowed.";

    public static TheoryData<string> InvalidRequestNames => [.. ByName.Keys];

    public static TheoryData<string> PostingCalls => [.. InvalidRequests.PostingCalls];

    [Theory]
    [MemberData(nameof(InvalidRequestNames))]
    public async Task A_mistake_is_refused_by_its_field_and_changes_nothing(string name)
    {
        var invalid = ByName[name];
        var before = await book.ContentAsync();

        var reply = await invalid.SendAsync(book.App);

        reply.ShouldBeProblem(invalid.Status, invalid.Code, invalid.Fields);
        (await book.ContentAsync()).Should().Be(before);
    }

    [Fact]
    public async Task No_mistake_of_a_client_is_logged_as_a_warning_or_error()
    {
        await using var own = new UntouchedBook(database);
        await own.InitializeAsync();

        foreach (var invalid in ByName.Values)
        {
            await invalid.SendAsync(own.App);
        }

        own.App.Complaints.Should().BeEmpty();
        (await own.App.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory]
    [MemberData(nameof(PostingCalls))]
    public async Task The_bodies_of_these_tests_are_valid_without_their_mistakes(string call)
    {
        await using var own = new UntouchedBook(database);
        await own.InitializeAsync();

        var reply = await own.App.PostAsync($"/api/{call}", InvalidRequests.Body(call));

        // The account is active and has a hold, so unfreeze_account and close_account answer 409.
        ((int)reply.Status).Should().BeOneOf([200, 201, 409], reply.Text);
    }

    [Theory]
    [InlineData("deposit", """{"accountId":1000,"amount":"1"}""", "accountId", "is not a member of this call. Did you mean account_id?")]
    [InlineData("deposit", """{"account_id":1000,"amuont":"1"}""", "amuont", "is not a member of this call. Did you mean amount?")]
    [InlineData("deposit", """{"account_id":1000,"amount":"1","colour":"red"}""", "colour", "is not a member of this call. Remove it.")]
    [InlineData("deposit?idempotencyKey=1", """{"account_id":1000,"amount":"1"}""", "idempotencyKey", "is not a parameter of this call. Remove it.")]
    [InlineData("deposit", """{"account_id":1000}""", "amount", "is required.")]
    [InlineData("deposit", """{"account_id":1000,"amount":"1","metadata":{"n":1}}""", "metadata.n", "must be a string of at most 500 characters.")]
    [InlineData("deposit", """{"account_id":1000,"amount":"1,5"}""", "amount", AmountRule)]
    [InlineData("deposit", """{"account_id":1000,"amount":-1}""", "amount", AmountRule)]
    [InlineData("deposit", """{"account_id":1000,"amount":"0"}""", "amount", "must be above zero.")]
    [InlineData("create_account", """{"owner_name":"  "}""", "owner_name", "must have 1 to 200 characters. NUL and text of spaces alone are not allowed.")]
    [InlineData("change_account", """{"account_id":1000}""", "owner_name", "or overdraft_limit is required.")]
    [InlineData("place_hold", """{"account_id":1000,"amount":"1","expires_at":"2026-11-26T03:04:05"}""", "expires_at", TimeRule)]
    [InlineData("place_hold", """{"account_id":1000,"amount":"1","expires_at":"2020-01-02T03:04:05Z"}""", "expires_at", "must be in the future, at most one year from now.")]
    [InlineData("capture_hold", """{"hold_id":3,"final":"yes"}""", "final", "must be true or false.")]
    [InlineData("batch", """{"mode":"both","postings":[{}]}""", "mode", "must be one of atomic, independent.")]
    [InlineData("batch", """{"mode":"atomic","postings":[]}""", "postings", "must be a list of 1 to 1000 objects.")]
    [InlineData("batch", """{"mode":"atomic","postings":[1]}""", "postings[0]", "must be a JSON object with the members of this call.")]
    [InlineData("batch", """{"mode":"atomic","postings":[{"type":"deposit","acount_id":1,"amount":"1"}]}""", "postings[0].acount_id", "is not a member of this call. Did you mean postings[0].account_id?")]
    [InlineData("batch", """{"mode":"atomic","postings":[{"type":"deposit","amount":"1"}]}""", "postings[0].account_id", "is required in a deposit.")]
    [InlineData("batch", """{"mode":"atomic","postings":[{"type":"transfer","account_id":1,"amount":"1"}]}""", "postings[0].account_id", "does not belong to a transfer. Remove it.")]
    public async Task A_mistake_is_explained_in_words(string call, string body, string field, string rule)
    {
        var reply = await book.App.PostAsync($"/api/{call}", body);

        reply["title"].Should().Be("The request is invalid");
        reply.Body.GetProperty("errors").GetProperty(field)[0].GetString().Should().Be(rule);
        reply["detail"].Should().Contain($"{field} {rule}");
    }

    [Theory]
    [InlineData("application/json", "gzip", "The body is compressed. Send it uncompressed, without Content-Encoding.")]
    [InlineData("application/json; charset=iso-8859-1", null, "The body is not in UTF-8. Send it in UTF-8.")]
    [InlineData("text/plain", null, "The body has another Content-Type, or none. Send JSON with Content-Type: application/json.")]
    public async Task A_body_that_is_not_plain_json_is_refused_with_its_reason(string type, string? encoding, string detail)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/api/deposit") { Content = new StringContent(InvalidRequests.Body("deposit")) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        if (encoding is not null)
        {
            request.Content.Headers.ContentEncoding.Add(encoding);
        }

        var reply = await book.App.SendAsync(request);

        reply.ShouldBeProblem(415, "unsupported_media_type");
        reply["detail"].Should().Be(detail);
    }

    [Fact]
    public async Task A_body_full_of_mistakes_gets_a_short_answer()
    {
        var members = Enumerable.Range(0, 30_000).Select(i => $"\"unknown_{i:d10}\":{i}");
        var (many, longest) = ($"{{{string.Join(',', members)}}}", $"{{\"{new string('x', 1_000_000)}\":1}}");

        foreach (var body in new[] { many, longest })
        {
            var reply = await book.App.PostAsync("/api/deposit", body);

            ((int)reply.Status).Should().Be(400);
            reply.Body.GetProperty("errors").EnumerateObject().Count().Should().BeInRange(1, 50);
            reply.Text.Length.Should().BeLessThan(10_000);
        }
    }

    [Theory]
    [InlineData("GET", "nothing", 404, "not_found")]
    [InlineData("GET", "deposit", 405, "method_not_allowed")]
    [InlineData("GET", "get_one_account", 400, "validation_failed", "account_id")]
    [InlineData("GET", "get_one_account?account_id=0", 400, "validation_failed", "account_id")]
    [InlineData("GET", "get_one_account?account_id=77", 404, "account_not_found")]
    [InlineData("POST", "deposit", 400, "validation_failed", "account_id", "amount")]
    public async Task A_client_that_asks_for_html_gets_the_problem_document(
        string method, string path, int status, string code, params string[] fields)
    {
        var request = new HttpRequestMessage(new(method), $"/api/{path}") { Headers = { { "Accept", "text/html" } } };
        request.Content = method == "POST" ? new StringContent("{}", Encoding.UTF8, "application/json") : null;

        (await book.App.SendAsync(request)).ShouldBeProblem(status, code, fields);
    }
}
