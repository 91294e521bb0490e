using System.Globalization;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class HistoryTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task Entries_are_listed_newest_first_from_the_view_of_the_account()
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var sent = await bank.TransferAsync(account, other, "30");
        var received = await bank.TransferAsync(other, account, "5");
        var withdrawn = await bank.WithdrawAsync(account, "75");

        var page = await bank.GetAsync($"/api/transaction_history?account_id={account}");

        ((int)page.Status).Should().Be(200);
        page.ContentType.Should().Be("application/json");
        page.Body.Members().Should().Equal("account_id", "transactions", "next_cursor");
        page.Id("account_id").Should().Be(account);
        page.Body.GetProperty("next_cursor").ValueKind.Should().Be(JsonValueKind.Null);
        var entries = page.Body.GetProperty("transactions").EnumerateArray().ToList();
        entries[0].Members().Should().Equal(
            "transaction_id", "type", "direction", "amount", "balance_after", "counterparty_account_id",
            "reverses_transaction_id", "reversed_by_transaction_ids", "hold_id", "reference", "metadata", "created_at");
        entries.Select(entry => string.Join(' ', entry.EnumerateObject().Select(member => member.Value).Skip(1).Take(5))).Should().Equal(
            "withdrawal debit 75.00 0.00 840",
            $"transfer credit 5.00 75.00 {other}",
            $"transfer debit 30.00 70.00 {other}",
            "deposit credit 100.00 100.00 840");
        entries.Take(3).Select(IdOf).Should().Equal(withdrawn.Id("transaction_id"), received.Id("transaction_id"), sent.Id("transaction_id"));
    }

    [Fact]
    public async Task The_balances_of_concurrent_postings_follow_each_other_without_a_gap()
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));

        await Task.WhenAll(Enumerable.Range(1, 60).Select(i =>
            i % 2 == 0 ? bank.TransferAsync(account, other, $"{i}.07") : bank.TransferAsync(other, account, $"{i}.11")));

        var balance = 0m;
        foreach (var entry in Enumerable.Reverse(await bank.HistoryAsync(account)))
        {
            balance += DecimalOf(entry, "amount") * (entry.GetProperty("direction").GetString() == "credit" ? 1 : -1);
            DecimalOf(entry, "balance_after").Should().Be(balance);
        }

        (await bank.BalanceAsync(account)).Should().Be(balance.ToString("F2", CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task A_page_with_large_metadata_ends_early_and_the_next_page_has_the_rest()
    {
        const int Entries = 70;
        var account = await bank.OpenAsync();
        var metadata = Enumerable.Range(10, 19).ToDictionary(i => $"{i}", _ => new string('\u0001', 420)); // six bytes each in JSON
        var posted = await Task.WhenAll(Enumerable.Range(0, Entries).Select(_ => bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", metadata })));

        var page = await bank.GetAsync($"/api/transaction_history?account_id={account}&limit=500");

        page.Body.GetProperty("transactions").GetArrayLength().Should().BeInRange(1, Entries - 1);
        page["next_cursor"].Should().NotBeEmpty();
        (await bank.HistoryAsync(account)).Select(IdOf).Should().Equal(posted.Select(reply => reply.Id("transaction_id")).OrderDescending());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(500)]
    public async Task Pages_of_any_size_give_every_entry_once_newest_first(int limit)
    {
        var account = await bank.OpenAsync();
        var deposits = await Task.WhenAll(Enumerable.Range(1, 24).Select(i => bank.DepositAsync(account, $"{i}")));

        var entries = await bank.HistoryAsync(account, limit);

        entries.Select(IdOf).Should().Equal(deposits.Select(deposit => deposit.Id("transaction_id")).OrderDescending());
    }

    [Fact]
    public async Task Pages_stay_as_they_are_while_new_postings_arrive()
    {
        var account = await bank.OpenAsync();
        var deposits = await Task.WhenAll(Enumerable.Range(1, 10).Select(_ => bank.DepositAsync(account, "1")));

        var read = new List<long>();
        for (var cursor = ""; cursor is not null;)
        {
            var page = await bank.GetAsync($"/api/transaction_history?account_id={account}&limit=3{cursor}");
            read.AddRange(page.Body.GetProperty("transactions").EnumerateArray().Select(IdOf));
            cursor = page["next_cursor"] is { Length: > 0 } next ? $"&cursor={next}" : null;
            await bank.WithdrawAsync(account, "0.01");
        }

        read.Should().Equal(deposits.Select(deposit => deposit.Id("transaction_id")).OrderDescending());
        (await bank.HistoryAsync(account)).Should().HaveCount(14);
    }

    [Theory]
    [InlineData(6, 7, 1)]
    [InlineData(7, 7, 1)]
    [InlineData(8, 7, 2)]
    [InlineData(14, 7, 2)]
    public async Task The_last_page_has_no_next_cursor(int postings, int limit, int pages)
    {
        var account = await bank.OpenAsync();
        await Task.WhenAll(Enumerable.Range(1, postings).Select(_ => bank.DepositAsync(account, "1")));

        var cursor = "";
        for (var page = 1; page <= pages; page++)
        {
            var reply = await bank.GetAsync($"/api/transaction_history?account_id={account}&limit={limit}{cursor}");
            var next = reply.Body.GetProperty("next_cursor");
            next.ValueKind.Should().Be(page < pages ? JsonValueKind.String : JsonValueKind.Null);
            cursor = $"&cursor={next}";
        }
    }

    [Fact]
    public async Task A_page_has_50_entries_by_default()
    {
        var account = await bank.OpenAsync();
        await Task.WhenAll(Enumerable.Range(1, 51).Select(_ => bank.DepositAsync(account, "1")));

        var page = await bank.GetAsync($"/api/transaction_history?account_id={account}");

        page.Body.GetProperty("transactions").GetArrayLength().Should().Be(50);
        var last = await bank.GetAsync($"/api/transaction_history?account_id={account}&cursor={page["next_cursor"]}");
        last.Body.GetProperty("transactions").GetArrayLength().Should().Be(1);
        last.Body.GetProperty("next_cursor").ValueKind.Should().Be(JsonValueKind.Null);
    }

    [Fact]
    public async Task An_account_without_postings_has_an_empty_history()
    {
        var account = await bank.OpenAsync();

        (await bank.GetAsync($"/api/transaction_history?account_id={account}")).Text.Should()
            .Be($$"""{"account_id":{{account}},"transactions":[],"next_cursor":null}""");
    }

    [Fact]
    public async Task An_unknown_account_has_no_history() =>
        (await bank.GetAsync($"/api/transaction_history?account_id={long.MaxValue}")).ShouldBeProblem(404, "account_not_found");

    [Fact]
    public async Task The_settlement_account_sees_deposits_as_debits_and_withdrawals_as_credits()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");
        await own.WithdrawAsync(account, "40");

        var entries = await own.HistoryAsync(840);

        entries.Select(entry => string.Join(' ', entry.EnumerateObject().Select(member => member.Value).Skip(1).Take(5))).Should().Equal(
            $"withdrawal credit 40.00 -60.00 {account}",
            $"deposit debit 100.00 -100.00 {account}");
    }

    private static long IdOf(JsonElement entry) => entry.GetProperty("transaction_id").GetInt64();

    private static decimal DecimalOf(JsonElement entry, string member) =>
        decimal.Parse(entry.GetProperty(member).GetString()!, CultureInfo.InvariantCulture);
}
