using System.Globalization;
using FluentAssertions;

namespace Banking.Tests;

public sealed class BalanceAtTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task It_is_the_balance_after_the_last_transaction_before_the_instant()
    {
        var opened = await bank.PostAsync("/api/create_account", new { owner_name = "Someone", currency = "USD", initial_deposit = "100" });
        var account = opened.Id("account_id");
        var first = await bank.WithdrawAsync(account, "30.5");
        var second = await bank.DepositAsync(account, "5");

        var before = await AtAsync(account, first["created_at"]!);
        before.Body.Members().Should().Equal("account_id", "currency", "at", "balance", "transaction_id");
        before.Text.Should().Be($$"""{"account_id":{{account}},"currency":"USD","at":"{{first["created_at"]}}","balance":"100.00","transaction_id":{{opened["transaction_id"]}}}""");
        (await AtAsync(account, second["created_at"]!)).Text.Should().Contain($"\"balance\":\"69.50\",\"transaction_id\":{first["transaction_id"]}}}");
        (await AtAsync(account, opened["created_at"]!)).Text.Should().EndWith("\"balance\":\"0.00\",\"transaction_id\":null}", "its first deposit is not before its opening");
        (await NowAsync(account)).Text.Should().Contain($"\"balance\":\"74.50\",\"transaction_id\":{second["transaction_id"]}}}");
    }

    [Fact]
    public async Task A_settlement_account_has_one_too()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100", "JPY");
        var withdrawn = await own.WithdrawAsync(account, "40");

        (await own.GetAsync($"/api/balance_at?account_id=392&at={withdrawn["created_at"]}"))["balance"].Should().Be("-100");
    }

    [Fact]
    public async Task An_instant_in_the_future_or_before_the_opening_is_refused()
    {
        var opened = await bank.PostAsync("/api/create_account", new { owner_name = "Someone" });
        var account = opened.Id("account_id");
        var at = opened.Body.GetProperty("created_at").GetDateTime();

        var early = await AtAsync(account, Text(at.AddTicks(-10)));
        early.ShouldBeProblem(400, "validation_failed", "at");
        early["detail"].Should().Contain(Text(at));
        (await AtAsync(account, "2999-01-01T00:00:00Z")).ShouldBeProblem(400, "validation_failed", "at");
        (await AtAsync(account, "0001-01-01T00:00:00Z")).ShouldBeProblem(400, "validation_failed", "at");
        (await AtAsync(long.MaxValue, "2999-01-01T00:00:00Z")).ShouldBeProblem(404, "account_not_found");
    }

    [Fact]
    public async Task It_never_changes_while_postings_go_on()
    {
        await using var own = new BankingApp(database);
        var (account, other) = (await own.OpenAsync("1000000"), await own.OpenAsync("1000000"));
        using var stop = new CancellationTokenSource();
        var posting = Enumerable.Range(0, 8).Select(async i =>
        {
            while (!stop.IsCancellationRequested)
            {
                await (i % 2 == 0 ? own.TransferAsync(account, other, "1") : own.TransferAsync(other, account, "1.5"));
            }
        }).ToList();

        // The instant is as close to the present as the database lets it be.
        var said = new Dictionary<string, string>();
        while (said.Count < 300)
        {
            var at = Text(await own.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();"));
            var reply = await own.GetAsync($"/api/balance_at?account_id={account}&at={at}");
            reply.ShouldBeOk();
            said[at] = reply.Text;
        }

        await stop.CancelAsync();
        await Task.WhenAll(posting);
        said.Values.Distinct().Should().HaveCountGreaterThan(100);
        foreach (var (at, text) in said)
        {
            (await own.GetAsync($"/api/balance_at?account_id={account}&at={at}")).Text.Should().Be(text);
        }
    }

    [Fact]
    public async Task A_posting_that_waits_for_the_book_gets_a_time_after_every_instant_that_was_answered()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");

        for (var round = 0; round < 10; round++)
        {
            Task<Reply> deposit, asked;
            string at;
            await using (var held = await own.Book.HoldHeadAsync())
            {
                deposit = own.DepositAsync(account, "1");
                var writer = await held.BlocksAsync();
                at = Text(await own.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();")); // after the writer began to wait
                asked = own.GetAsync($"/api/balance_at?account_id={account}&at={at}");
                await Wait.UntilAsync(() => own.Book.ScalarAsync<bool>( // behind the writer, or beside it
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pg_blocking_pids(pid) && ARRAY[@holder, @writer] AND pid <> @writer);",
                    new { holder = held.ProcessId, writer }));
            }

            // One of the two has the head first. The answer and the posting's time agree, whichever it was.
            var (posted, answer) = (await deposit, await asked);
            var isBefore = string.CompareOrdinal(posted["created_at"], at) < 0;
            answer.ShouldBeOk();
            answer["balance"].Should().Be((100m + round + (isBefore ? 1 : 0)).ToString("F2", CultureInfo.InvariantCulture));
            (await own.GetAsync($"/api/balance_at?account_id={account}&at={at}")).Text.Should().Be(answer.Text);
        }
    }

    [Fact]
    public async Task Many_who_wait_for_a_stuck_writer_leave_the_connections_to_others()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");
        Task<Reply>[] asked;
        await using (var held = await own.Book.HoldHeadAsync())
        {
            var at = Text(await own.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();"));
            asked = [.. Enumerable.Range(0, 40).Select(_ => own.GetAsync($"/api/balance_at?account_id={account}&at={at}"))];
            await held.BlocksAsync();

            (await own.HistoryAsync(account)).Should().ContainSingle();
            asked.Should().OnlyContain(reply => !reply.IsCompleted);
        }

        (await Task.WhenAll(asked)).Should().OnlyContain(reply => reply.Text.Contains("\"balance\":\"100.00\""));
    }

    private Task<Reply> AtAsync(long account, string at) => bank.GetAsync($"/api/balance_at?account_id={account}&at={at}");

    private async Task<Reply> NowAsync(long account) => await AtAsync(account, Text(await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();")));

    private static string Text(DateTime instant) => instant.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
}
