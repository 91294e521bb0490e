using System.Text;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A book of its own with two accounts in it, for requests of which none may leave a trace.</summary>
public sealed class UntouchedBook(TestDatabase database) : IAsyncLifetime
{
    public BankingApp App { get; } = new(database);

    public async ValueTask InitializeAsync()
    {
        (await App.OpenAsync("100")).Should().Be(1000);
        (await App.OpenAsync("100")).Should().Be(1001);
    }

    public ValueTask DisposeAsync() => App.DisposeAsync();

    public Task<string?> ContentAsync() => App.Book.ScalarAsync<string>(
        """
        SELECT concat_ws('; ', string_agg(concat_ws(' ', account_id, owner_name, status, balance, overdraft_limit), ', ' ORDER BY account_id)
                             , (SELECT count(*) FROM transaction_log)
                             , (SELECT count(*) FROM account_log)
                             , (SELECT ledger_head::text FROM ledger_head))
          FROM account;
        """);
}

public sealed class InvalidRequestTests(UntouchedBook book, TestDatabase database) : IClassFixture<UntouchedBook>
{
    private static readonly Dictionary<string, InvalidRequest> ByName = InvalidRequests.All().ToDictionary(invalid => invalid.Name);

    public static TheoryData<string> InvalidRequestNames => new(ByName.Keys);

    public static TheoryData<string> PostingCalls => new(InvalidRequests.PostingCalls);

    [Theory]
    [MemberData(nameof(InvalidRequestNames))]
    public async Task A_mistake_is_refused_by_its_field_and_leaves_no_trace(string name)
    {
        var invalid = ByName[name];
        var before = await book.ContentAsync();

        var reply = await invalid.SendAsync(book.App);

        reply.ShouldBeProblem(invalid.Status, invalid.Code, invalid.Fields);
        (await book.ContentAsync()).Should().Be(before);
    }

    [Fact]
    public async Task No_mistake_of_a_client_is_a_complaint_of_the_service()
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
    public async Task The_bodies_that_mistakes_are_made_in_are_good_without_them(string call)
    {
        await using var own = new UntouchedBook(database);
        await own.InitializeAsync();

        var reply = await own.App.PostAsync($"/api/{call}", InvalidRequests.Body(call));

        // An account that is active and has money is not to be unfrozen or closed, however well that is asked.
        ((int)reply.Status).Should().BeOneOf([200, 201, 409], reply.Text);
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
