using FluentAssertions;

namespace Banking.Tests;

/// <summary>Every answer has its trace id in a header. A problem document repeats it.</summary>
public sealed class TraceTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Caller = "b7ad6b7169203331";

    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("GET", "/api/get_one_account?account_id=840", 200)]
    [InlineData("GET", "/api/get_one_account?account_id=77", 404)]
    [InlineData("GET", "/api/get_one_account", 400)]
    [InlineData("GET", "/api/nothing", 404)]
    [InlineData("GET", "/api/deposit", 405)]
    [InlineData("POST", "/api/deposit", 415)]
    [InlineData("GET", "/health/live", 200)]
    [InlineData("GET", "/health/ready", 200)]
    [InlineData("GET", "/metrics", 200)]
    [InlineData("GET", "/openapi/v1.json", 200)]
    [InlineData("GET", "/scalar", 200)]
    public async Task An_answer_continues_the_trace_of_its_client(string method, string path, int status)
    {
        var request = new HttpRequestMessage(new(method), path) { Headers = { { "traceparent", $"00-{Trace}-{Caller}-00" } } };
        request.Content = method == "POST" ? new StringContent("{}") : null;

        var reply = await bank.SendAsync(request);

        ((int)reply.Status).Should().Be(status);
        reply.Headers.GetValues("traceresponse").Single().Should().MatchRegex($"^00-{Trace}-[0-9a-f]{{16}}-0[01]$").And.NotContain(Caller, "the span is this service's");
        if (status >= 400)
        {
            reply["trace_id"].Should().Be(Trace);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("00-bad")]
    [InlineData("00-00000000000000000000000000000000-b7ad6b7169203331-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")]
    [InlineData("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    [InlineData("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01")]
    public async Task Without_a_valid_traceparent_an_answer_starts_its_own_trace(string? traceParent)
    {
        var replies = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => bank.GetAsync("/api/get_one_account?account_id=77", traceParent)));

        replies.Select(reply => reply.TraceId).Should().OnlyHaveUniqueItems();
        foreach (var reply in replies)
        {
            reply.ShouldBeProblem(404, "account_not_found");
        }
    }

    // ASP.NET starts no activity if nothing logs or collects it.
    [Fact]
    public async Task Answers_name_their_traces_even_if_nothing_is_logged()
    {
        await using var app = new BankingApp(database, null, ("Logging:LogLevel:Default", "None"), ("Logging:LogLevel:Microsoft.AspNetCore", "None"));

        var replies = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => app.GetAsync("/api/nothing")));

        replies.Select(reply => reply.TraceId).Should().OnlyHaveUniqueItems();
        foreach (var reply in replies)
        {
            reply.ShouldBeProblem(404, "not_found");
        }

        (await app.GetAsync("/api/nothing", $"00-{Trace}-{Caller}-01")).TraceId.Should().Be(Trace);
    }

    [Fact]
    public async Task A_fault_of_the_service_is_logged_with_the_trace_id_of_its_answer()
    {
        await using var app = new BankingApp(database);
        var account = await app.OpenAsync();
        await app.Book.ExecuteAsync("ALTER TABLE transaction_log ADD CONSTRAINT nothing_is_posted CHECK (amount <> 13);");

        var reply = await app.DepositAsync(account, "13");

        reply.ShouldBeProblem(500, "internal_error");
        reply["detail"].Should().Contain("Quote trace_id");
        app.Complaints.Should().ContainSingle().Which.Should().Contain(reply.TraceId);
    }
}
