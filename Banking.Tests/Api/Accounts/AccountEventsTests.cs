using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class AccountEventsTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task Events_are_listed_newest_first_with_the_caller_the_reason_and_the_account_after_it()
    {
        var opened = await bank.PostAsync(
            "/api/create_account", new { owner_name = "Someone", currency = "KWD", initial_deposit = "10", overdraft_limit = "7.5" });
        var account = opened.Id("account_id");
        await bank.ChangeAsync(account, "Ada", "20", "a raise");
        var deposit = await bank.DepositAsync(account, "2");
        await bank.PostAsync("/api/freeze_account", new { account_id = account, blocks = "debits", reason = "a suspicion" });
        await bank.PostAsync("/api/freeze_account", new { account_id = account, reason = "a court's order" });
        await bank.PostAsync("/api/unfreeze_account", new { account_id = account, reason = "sorry 🦊" });
        await bank.ChangeAsync(account, "Grace");
        var withdrawal = await bank.WithdrawAsync(account, "12");
        var closed = await bank.PostAsync("/api/close_account", new { account_id = account, reason = "on request" });
        closed.ShouldBeOk();

        var page = await bank.GetAsync($"/api/account_events?account_id={account}");

        page.ShouldBeOk();
        page.Body.Members().Should().Equal("account_id", "events", "next_cursor");
        page.Id("account_id").Should().Be(account);
        page.Body.GetProperty("next_cursor").ValueKind.Should().Be(JsonValueKind.Null);
        var events = page.Body.GetProperty("events").EnumerateArray().ToList();
        events[0].Members().Should().Equal(
            "account_event_id", "type", "status_after", "balance_after", "held_after", "overdraft_limit_after", "hold_id", "amount",
            "after_transaction_id", "client_id", "reason", "created_at");
        events.Select(row => string.Join('|', row.EnumerateObject().Select(member => member.Value).Skip(1).Take(7)) + $"|{row.GetProperty("reason")}").Should().Equal(
            "closed|closed|0.000|0.000|20.000|||on request",
            "changed|active|12.000|0.000|20.000|||",
            "unfrozen|active|12.000|0.000|20.000|||sorry 🦊",
            "frozen|frozen|12.000|0.000|20.000|||a court's order",
            "frozen|debits_blocked|12.000|0.000|20.000|||a suspicion",
            "changed|active|10.000|0.000|20.000|||a raise",
            "opened|active|0.000|0.000|7.500|||");
        events.Should().OnlyContain(row => row.GetProperty("client_id").GetString() == "anonymous");
        events.Should().OnlyContain(row => DateTime.UtcNow - row.GetProperty("created_at").GetDateTime() < TimeSpan.FromMinutes(1));
        events.Select(IdOf).Should().BeInDescendingOrder().And.OnlyHaveUniqueItems();
        events.Select(row => row.GetProperty("after_transaction_id").GetInt64()).Should().BeInDescendingOrder("both logs are in one order");
        events[0].GetProperty("after_transaction_id").GetInt64().Should().BeGreaterThanOrEqualTo(withdrawal.Id("transaction_id"));
        events[4].GetProperty("after_transaction_id").GetInt64().Should()
            .BeGreaterThanOrEqualTo(deposit.Id("transaction_id")).And.BeLessThan(withdrawal.Id("transaction_id"));
        events[^1].GetProperty("created_at").GetString().Should().Be(opened["created_at"]);
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(3, 3)]
    [InlineData(4, 2)]
    [InlineData(8, 1)]
    [InlineData(500, 1)]
    public async Task Pages_of_any_size_give_every_event_once(int limit, int pages)
    {
        var (account, neighbour) = (await bank.OpenAsync(), await bank.OpenAsync());
        for (var number = 1; number <= 7; number++)
        {
            await bank.ChangeAsync(account, overdraftLimit: $"{number}", reason: $"{number}");
            await bank.ChangeAsync(neighbour, overdraftLimit: $"{number}", reason: "the neighbour's");
        }

        var (read, turned) = (new List<JsonElement>(), 0);
        for (var cursor = ""; cursor is not null; turned++)
        {
            var page = await bank.GetAsync($"/api/account_events?account_id={account}&limit={limit}{cursor}");
            read.AddRange(page.Body.GetProperty("events").EnumerateArray());
            cursor = page.Body.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
            await bank.FreezeAsync(neighbour);
            await bank.UnfreezeAsync(neighbour);
        }

        turned.Should().Be(pages);
        read.Select(row => row.GetProperty("reason").ToString()).Should().Equal("7", "6", "5", "4", "3", "2", "1", "");
    }

    [Fact]
    public async Task A_page_has_50_events_by_default()
    {
        var account = await bank.OpenAsync();
        await Task.WhenAll(Enumerable.Range(1, 50).Select(number => bank.ChangeAsync(account, overdraftLimit: $"{number}")));

        var page = await bank.GetAsync($"/api/account_events?account_id={account}");

        page.Body.GetProperty("events").GetArrayLength().Should().Be(50);
        var last = await bank.GetAsync($"/api/account_events?account_id={account}&cursor={page["next_cursor"]}");
        last.Body.GetProperty("events").EnumerateArray().Single().GetProperty("type").GetString().Should().Be("opened");
    }

    [Fact]
    public async Task A_settlement_account_has_no_events_and_an_unknown_one_is_not_found()
    {
        (await bank.GetAsync("/api/account_events?account_id=840")).Text.Should().Be("""{"account_id":840,"events":[],"next_cursor":null}""");
        (await bank.GetAsync($"/api/account_events?account_id={long.MaxValue}")).ShouldBeProblem(404, "account_not_found");
    }

    private static long IdOf(JsonElement row) => row.GetProperty("account_event_id").GetInt64();
}
