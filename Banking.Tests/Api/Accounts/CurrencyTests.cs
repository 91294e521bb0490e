using FluentAssertions;

namespace Banking.Tests;

/// <summary>A DBA adds a currency while instances run.</summary>
public sealed class CurrencyTests(TestDatabase database)
{
    private const string CurrencySql = "INSERT INTO currency (code, numeric_code, minor_unit, name) VALUES ('XTS', 963, 3, 'Test');";

    private const string SettlementSql = """
        INSERT INTO account (account_id, kind, owner_name, currency, created_at)
        SELECT numeric_code, 'settlement', 'Settlement ' || code, code, clock_timestamp()
          FROM currency
         WHERE code = 'XTS';
        """;

    [Fact]
    public async Task An_added_currency_can_be_used_within_a_second_on_every_instance()
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        await using var third = new BankingApp(database, first.Book.Schema);
        var neighbour = await second.OpenAsync("10");
        await third.OpenAsync();
        await first.Book.ExecuteAsync(CurrencySql + SettlementSql);

        Reply? opened = null;
        await Wait.UntilAsync(async () => (opened = await OpenAsync(first)).Code is null, seconds: 3);

        opened!.ShouldBeCreated();
        opened!["balance"].Should().Be("1.500");
        var account = opened.Id("account_id");
        (await first.DepositAsync(account, "0.125")).ShouldBeCreated();

        // The second instance first sees the currency in a batch with other requests.
        await using var head = await second.Book.HoldHeadAsync();
        var waits = second.DepositAsync(neighbour, "1");
        await head.BlocksAsync();
        Task<Reply>[] batch =
        [
            second.DepositAsync(neighbour, "1"), second.DepositAsync(account, "1"), second.WithdrawAsync(account, "0.625"),
            second.FreezeAsync(account, "debits"), second.TransferAsync(neighbour, account, "1"), second.DepositAsync(neighbour, "1"),
        ];
        await second.QueuedAsync(7);
        await head.DisposeAsync();

        (await waits).ShouldBeCreated();
        var replies = await Task.WhenAll(batch);
        replies.Select(reply => reply.Code).Where(code => code is not null and not "account_frozen").Should().Equal("currency_mismatch");
        (await second.BalanceAsync(neighbour)).Should().Be("13.00");

        // The third instance only reads.
        (await third.AccountAsync(account)).Text.Should().Be((await first.AccountAsync(account)).Text);
        (await third.HistoryAsync(account)).Should().NotBeEmpty();
        (await third.GetAsync($"/api/account_events?account_id={account}")).Body.GetProperty("events")[0].GetProperty("overdraft_limit_after").GetString().Should().Be("0.000");
        (await third.GetAsync("/api/list_accounts?currency=XTS")).Body.GetProperty("accounts").GetArrayLength().Should().Be(1);
        (await third.AccountAsync(963))["currency"].Should().Be("XTS");

        first.Complaints.Concat(second.Complaints).Concat(third.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task A_currency_without_a_settlement_account_is_refused()
    {
        await using var bank = new BankingApp(database);
        await bank.Book.ExecuteAsync(CurrencySql);
        await using var started = new BankingApp(database, bank.Book.Schema);

        (await OpenAsync(bank)).ShouldBeProblem(400, "validation_failed", "currency");
        (await OpenAsync(started)).ShouldBeProblem(400, "validation_failed", "currency");
        await bank.Book.ExecuteAsync(SettlementSql);
        await Wait.UntilAsync(async () => (await OpenAsync(started)).Code is null, seconds: 3);

        bank.Complaints.Concat(started.Complaints).Should().BeEmpty();
    }

    private static Task<Reply> OpenAsync(BankingApp app) =>
        app.PostAsync("/api/create_account", new { owner_name = "Someone", currency = "XTS", initial_deposit = "1.5" });
}
