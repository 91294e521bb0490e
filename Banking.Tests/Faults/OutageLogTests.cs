using System.Net;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The log of an outage is short and says all that an operator needs: what fails and why, how often, for how long, and its end.</summary>
public sealed class OutageLogTests(TestDatabase database)
{
    private const string NoLineForRequests = "Logging__LogLevel__Banking.Api.Requests";

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_server_that_is_gone_is_a_few_lines_even_with_the_lines_for_requests_turned_off()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var service = new ServiceProcess(
            server.ConnectionString, "banking", (NoLineForRequests, "Warning"), ("Banking__RetrySeconds", "1"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await service.BalanceAsync(account);
        var before = service.Lines.Count;
        await server.CrashAsync();

        var deposits = Enumerable.Range(0, 20).Select(_ => service.DepositAsync(account, "1")).ToList();
        var reads = Enumerable.Range(0, 200).Select(i => service.GetAsync($"/api/{(i % 2 == 0 ? "get_one_account" : "transaction_history")}?account_id={account}"));
        (await Task.WhenAll([.. deposits, .. reads])).Should().OnlyContain(reply => reply.Code == "database_unavailable");
        await server.StartAsync();
        await Wait.UntilAsync(async () =>
            (await service.DepositAsync(account, "1")).Status == HttpStatusCode.Created && service.Lines.Any(line => line.Contains("The database commits again.")));
        await service.SaidAsync("The database answers again.");

        var lines = service.Lines.Skip(before).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        lines.Should().HaveCountLessThan(10);
        TestContext.Current.TestOutputHelper?.WriteLine($"220 failed requests: {lines.Count} lines, {service.Lines.Skip(before).Sum(line => line.Length)} bytes.");
        lines.Count(line => line.TryGetProperty("Exception", out _)).Should().Be(2, "the ledger and reads each show one stack");
        var givenUp = lines.Single(line => line.GetProperty("LogLevel").GetString() == "Error");
        givenUp.GetProperty("Message").GetString().Should().Contain("given up after 1 s").And.Contain("Connection refused");
        Of("The database commits again.", "Requests").Should().Be(20);
        Of("The database answers again.", "Requests").Should().Be(200);

        int Of(string message, string figure) => lines
            .Single(line => line.GetProperty("Message").GetString()!.StartsWith(message, StringComparison.Ordinal)).GetProperty("State").GetProperty(figure).GetInt32();
    }

    [Fact]
    public async Task Reads_that_a_lock_holds_up_are_one_line_without_a_stack()
    {
        await using var service = new ServiceProcess(database.ConnectionString, $"book_{Guid.NewGuid():N}", ("Banking__ReadSeconds", "1"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await using var book = new BookInspector(database.ConnectionString, service.Schema);
        await using (await book.HoldAsync("LOCK TABLE transaction_log;"))
        {
            var reads = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => service.GetAsync($"/api/transaction_history?account_id={account}")));
            reads.Should().OnlyContain(reply => reply.Code == "database_unavailable");
        }

        await service.StopAsync();

        service.Warnings.Where(line => !line.Contains("Banking__AllowAnonymous")).Should().ContainSingle()
            .Which.Should().Contain("GET /api/transaction_history failed with 503: no answer within 1 s").And.NotContain("   at ");
    }

    [Fact]
    public async Task Giving_up_on_a_full_disk_is_an_error_with_its_SQLSTATE()
    {
        await using var bank = new BankingApp(database, null, ("Banking:RetrySeconds", "1"));
        var account = await bank.OpenAsync();
        await bank.Book.ExecuteAsync("""
            CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100';
            END;
            $body$;
            CREATE TRIGGER fill BEFORE INSERT ON ledger_block FOR EACH ROW EXECUTE FUNCTION fill();
            """);

        (await bank.DepositAsync(account, "1")).ShouldBeProblem(503, "database_unavailable");

        const string Reason = "53100: could not extend file \"base/1/2\": No space left on device";
        bank.Complaints.Should().HaveCount(2);
        bank.Complaints.First().Should().StartWith($"Warning: The database failed a batch of 1 requests (attempt 1): {Reason}. The batch runs again").And.Contain("   at ");
        bank.Complaints.Last().Should().StartWith("Error: The database has failed write transactions for 1.")
            .And.Contain($"the last with: {Reason}. ").And.Contain("Requests given up after 1 s: 1;").And.NotContain("   at ");
    }
}
