using System.Net;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Statements as JSON, and what all forms share.</summary>
public sealed class StatementTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("USD", 2)]
    [InlineData("JPY", 0)]
    [InlineData("KWD", 3)]
    public async Task A_statement_lists_the_entries_oldest_first_between_two_balances(string currency, int digits)
    {
        var story = await Story.TellAsync(bank, currency, digits);

        var reply = await bank.StatementAsync(story.Account, story.From, story.To);

        reply.ShouldBeOk();
        reply.Body.Members().Should().Equal("account_id", "owner_name", "currency", "from", "to", "opening_balance", "entries", "totals", "closing_balance");
        (reply.Id("account_id"), reply["owner_name"], reply["currency"]).Should().Be((story.Account, "Someone", currency));
        (reply.Body.GetProperty("from").GetDateTime(), reply.Body.GetProperty("to").GetDateTime()).Should().Be((story.From, story.To));
        (reply["opening_balance"], reply["closing_balance"]).Should().Be((story.Money(0), story.Money(-23)));
        reply["totals"].Should().Be($$$"""{"credits":{"count":3,"amount":"{{{story.Money(115)}}}"},"debits":{"count":3,"amount":"{{{story.Money(138)}}}"}}""");
        Entries(reply).Select(Line).Should().Equal(story.Entries);
        Entries(reply).Select(IdOf).Should().Equal(story.Ids);
        Entries(reply).Select(entry => entry.GetProperty("counterparty_account_id").GetInt64()).Should().Equal(
            story.Settlement, story.Other, story.Other, story.Settlement, story.Other, story.Settlement);
        Entries(reply).Select(entry => $"{entry.GetProperty("hold_id")}").Should().Equal("", "", "", $"{story.Hold}", "", "");
        Entries(reply).Select(entry => $"{entry.GetProperty("reverses_transaction_id")}").Should().Equal("", "", "", "", $"{story.Ids[1]}", "");
    }

    [Fact]
    public async Task A_statement_has_the_entries_of_the_history()
    {
        var story = await Story.TellAsync(bank);

        var entries = Entries(await bank.StatementAsync(story.Account, story.From, story.To));

        var history = (await bank.HistoryAsync(story.Account)).AsEnumerable().Reverse().ToList();
        entries.Should().HaveCount(history.Count);
        foreach (var (entry, known) in entries.Zip(history))
        {
            entry.EnumerateObject().Select(member => $"{member}").Should().Equal(
                known.EnumerateObject().Where(member => member.Name != "reversed_by_transaction_ids").Select(member => $"{member}"));
        }
    }

    [Fact]
    public async Task From_is_inclusive_and_to_is_exclusive()
    {
        var account = await bank.OpenAsync();
        var times = new List<DateTime>();
        for (var i = 1; i <= 4; i++)
        {
            times.Add(Story.TimeOf(await bank.DepositAsync(account, $"{i}")));
        }

        var middle = await bank.StatementAsync(account, times[1], times[3]);
        var later = await bank.StatementAsync(account, times[1].AddMicroseconds(1), times[3].AddMicroseconds(1));

        Entries(middle).Select(Line).Should().Equal("deposit credit 2.00 3.00", "deposit credit 3.00 6.00");
        (middle["opening_balance"], middle["closing_balance"]).Should().Be(("1.00", "6.00"));
        Entries(later).Select(Line).Should().Equal("deposit credit 3.00 6.00", "deposit credit 4.00 10.00");
        (later["opening_balance"], later["closing_balance"]).Should().Be(("3.00", "10.00"));
    }

    [Theory]
    [InlineData(-2, -1, "0.00")] // before the opening
    [InlineData(1, 2, "7.00")]
    public async Task A_period_without_entries_has_two_equal_balances(int from, int to, string balance)
    {
        var account = await bank.OpenAsync();
        var posted = Story.TimeOf(await bank.DepositAsync(account, "7"));

        var reply = await bank.StatementAsync(account, posted.AddMicroseconds(from), posted.AddMicroseconds(to));

        reply["totals"].Should().Be("""{"credits":{"count":0,"amount":"0.00"},"debits":{"count":0,"amount":"0.00"}}""");
        (reply["entries"], reply["opening_balance"], reply["closing_balance"]).Should().Be(("[]", balance, balance));
    }

    [Fact]
    public async Task A_statement_does_not_change_after_later_postings_and_reversals()
    {
        var story = await Story.TellAsync(bank);
        var before = await bank.StatementAsync(story.Account, story.From, story.To);
        await bank.DepositAsync(story.Account, "500");
        (await bank.ReverseAsync(story.Ids[0])).ShouldBeCreated();

        var after = await bank.StatementAsync(story.Account, story.From, story.To);

        after.Text.Should().Be(before.Text);
    }

    [Fact]
    public async Task A_settlement_account_has_statements_too()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");
        var (from, to) = Story.UntilAfter(await own.WithdrawAsync(account, "40"));

        var reply = await own.StatementAsync(840, from, to);

        Entries(reply).Select(Line).Should().Equal("deposit debit 100.00 -100.00", "withdrawal credit 40.00 -60.00");
        reply["closing_balance"].Should().Be("-60.00");
    }

    [Theory]
    [InlineData(null, "json", "application/json; charset=utf-8")]
    [InlineData("csv", "csv", "text/csv; charset=utf-8; header=present")]
    [InlineData("camt.053", "xml", "application/xml")]
    public async Task A_statement_is_a_file_with_a_name_and_head_names_it_too(string? format, string extension, string contentType)
    {
        var account = await bank.OpenAsync("1");
        var path = BankingClient.StatementPath(account, new(2025, 12, 31, 22, 0, 0), new(2026, 2, 1, 0, 0, 0), format);

        using var got = await bank.Http.GetAsync(new Uri(path, UriKind.Relative));
        using var head = await bank.Http.SendAsync(new(HttpMethod.Head, path));

        foreach (var reply in new[] { got, head })
        {
            reply.StatusCode.Should().Be(HttpStatusCode.OK);
            reply.Headers.CacheControl!.NoStore.Should().BeTrue();
            reply.Headers.Contains("traceresponse").Should().BeTrue();
            reply.Content.Headers.GetValues("Content-Type").Should().Equal(contentType);
            reply.Content.Headers.GetValues("Content-Disposition").Should().Equal($"attachment; filename=\"statement-{account}-2025-12-31-2026-02-01.{extension}\"");
        }

        (await head.Content.ReadAsStringAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task An_unknown_account_has_no_statement() =>
        (await bank.StatementAsync(long.MaxValue, DateTime.UtcNow.AddDays(-1), DateTime.UtcNow.AddHours(-1))).ShouldBeProblem(404, "account_not_found");

    [Fact]
    public async Task The_longest_period_is_a_setting()
    {
        await using var own = new BankingApp(database, null, ("Banking:StatementDays", "2"));
        var (account, from) = (await own.OpenAsync(), new DateTime(2026, 1, 1));

        var longest = await own.StatementAsync(account, from, from.AddDays(2));
        var longer = await own.StatementAsync(account, from, from.AddDays(2).AddMicroseconds(1));

        longest.ShouldBeOk();
        longer.ShouldBeProblem(400, "validation_failed", "to");
        longer["detail"].Should().Be("to must be at most 2 days after from. Ask for shorter periods.");
    }

    [Fact]
    public async Task A_statement_whose_entries_do_not_add_up_is_not_given()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");
        var (from, to) = Story.UntilAfter(await own.WithdrawAsync(account, "40"));
        await own.Book.ExecuteAsync($"ALTER TABLE transaction_log DISABLE TRIGGER ALL; UPDATE transaction_log SET amount = 41 WHERE from_account_id = {account};");

        var head = await own.SendAsync(new(HttpMethod.Head, BankingClient.StatementPath(account, from, to)));
        (head.Status, own.Complaints.Count).Should().Be((HttpStatusCode.OK, 0), "head reads no entries");
        var reading = () => own.StatementAsync(account, from, to);

        await reading.Should().ThrowAsync<HttpRequestException>();
        own.Complaints.Should().ContainSingle().Which.Should().Contain($"The entries of account {account} do not add up to its balance.");
    }

    [Fact]
    public async Task A_statement_made_while_others_post_adds_up()
    {
        var (account, other, posting) = (await bank.OpenAsync("1000"), await bank.OpenAsync("1000"), true);
        var from = DateTime.UtcNow.AddDays(-1);
        var posters = Enumerable.Range(0, 8).Select(async poster =>
        {
            for (var i = 1; Volatile.Read(ref posting); i++)
            {
                await (poster % 2 == 0 ? bank.TransferAsync(account, other, $"0.{(i % 90) + 10}") : bank.TransferAsync(other, account, $"0.{(i % 80) + 10}"));
            }
        }).ToList();

        var (before, made) = (0, new List<(DateTime To, string Text)>());
        while (made.Count < 20)
        {
            // Waits for the writer under way: it may be before this instant.
            var to = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();");
            var reply = await bank.StatementAsync(account, from, to);
            var statement = Parse(reply);
            statement.Opening.Should().Be(0);
            (statement.Credits - statement.Debits).Should().Be(statement.Closing);
            statement.Last.Should().Be(statement.Closing);
            statement.Count.Should().BeGreaterThanOrEqualTo(before);
            before = statement.Count;
            made.Add((to, reply.Text));
        }

        Volatile.Write(ref posting, false);
        await Task.WhenAll(posters);
        foreach (var (to, text) in made)
        {
            (await bank.StatementAsync(account, from, to)).Text.Should().Be(text);
        }

        before.Should().BeGreaterThan(20, "others have posted meanwhile");
    }

    private static (decimal Opening, decimal Credits, decimal Debits, decimal Closing, decimal Last, int Count) Parse(Reply reply)
    {
        var totals = reply.Body.GetProperty("totals");
        return (
            Money(reply.Body.GetProperty("opening_balance")), Money(totals.GetProperty("credits").GetProperty("amount")),
            Money(totals.GetProperty("debits").GetProperty("amount")), Money(reply.Body.GetProperty("closing_balance")),
            Money(Entries(reply)[^1].GetProperty("balance_after")), Entries(reply).Count);

        static decimal Money(JsonElement amount) => decimal.Parse(amount.GetString()!, System.Globalization.CultureInfo.InvariantCulture);
    }

    private static List<JsonElement> Entries(Reply reply) => [.. reply.Body.GetProperty("entries").EnumerateArray()];

    private static string Line(JsonElement entry) => string.Join(' ', entry.EnumerateObject().Select(member => member.Value).Skip(1).Take(4));

    private static long IdOf(JsonElement entry) => entry.GetProperty("transaction_id").GetInt64();
}
