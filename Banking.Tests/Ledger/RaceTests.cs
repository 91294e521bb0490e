using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Many clients at the same moment: each gets the answer it would have had alone, and not a cent is made or lost.</summary>
public sealed class RaceTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task Of_two_withdrawals_of_the_same_last_money_exactly_one_wins()
    {
        for (var round = 0; round < 50; round++)
        {
            var account = await bank.OpenAsync("70");

            var replies = await Task.WhenAll(bank.WithdrawAsync(account, "70"), bank.WithdrawAsync(account, "70"));

            replies.Count(reply => reply.Status == HttpStatusCode.Created).Should().Be(1, "this is round {0}", round);
            replies.Count(reply => reply.Code == "insufficient_funds").Should().Be(1);
            (await bank.BalanceAsync(account)).Should().Be("0.00");
        }
    }

    [Fact]
    public async Task A_thousand_transfers_at_once_both_ways_between_two_accounts_are_all_made()
    {
        await using var own = new BankingApp(database);
        var (one, other) = (await own.OpenAsync("1000"), await own.OpenAsync("1000"));

        var replies = await Task.WhenAll(Enumerable.Range(0, 500).SelectMany(_ => new[]
        {
            own.TransferAsync(one, other, "1.50"),
            own.TransferAsync(other, one, "1"),
        }));

        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await own.BalanceAsync(one)).Should().Be("750.00");
        (await own.BalanceAsync(other)).Should().Be("1250.00");
        (await own.HistoryAsync(one)).Should().HaveCount(1_001);
        own.Complaints.Should().BeEmpty();
        (await own.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task A_hundred_clients_empty_an_account_to_the_last_payment_it_affords()
    {
        var account = await bank.OpenAsync("1000");

        var paid = await Task.WhenAll(Enumerable.Range(0, 100).Select(async _ =>
        {
            var times = 0;
            Reply reply;
            while ((reply = await bank.WithdrawAsync(account, "3")).Status == HttpStatusCode.Created)
            {
                times++;
            }

            reply.Code.Should().Be("insufficient_funds");
            return times;
        }));

        paid.Sum().Should().Be(333);
        (await bank.BalanceAsync(account)).Should().Be("1.00");
    }

    [Fact]
    public async Task Bad_postings_among_good_ones_get_their_own_answers_and_harm_nobody()
    {
        var (payer, payee, poor, frozen) = (await bank.OpenAsync("100"), await bank.OpenAsync(), await bank.OpenAsync(), await bank.OpenAsync("5"));
        var yen = await bank.OpenAsync("5000", "JPY");
        await bank.Book.ExecuteAsync("UPDATE account SET status = 'frozen' WHERE account_id = @frozen;", new { frozen });

        var good = Enumerable.Range(0, 100).Select(_ => bank.TransferAsync(payer, payee, "1")).ToList();
        Task<Reply>[] bad =
        [
            bank.TransferAsync(poor, payee, "1"),
            bank.TransferAsync(payer, payer, "1"),
            bank.TransferAsync(payer, yen, "1"),
            bank.TransferAsync(payer, 9_000_000_000, "1"),
            bank.TransferAsync(payer, payee, "0.001"),
            bank.DepositAsync(frozen, "1"),
            bank.DepositAsync(840, "1"),
        ];
        good.AddRange(Enumerable.Range(0, 100).Select(_ => bank.DepositAsync(payee, "1")));

        (await Task.WhenAll(good)).Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await Task.WhenAll(bad)).Select(reply => reply.Code).Should().Equal(
            "insufficient_funds", "same_account", "currency_mismatch", "account_not_found", "amount_precision", "account_frozen",
            "account_not_found");
        (await bank.BalanceAsync(payer)).Should().Be("0.00");
        (await bank.BalanceAsync(payee)).Should().Be("200.00");
    }

    [Fact]
    public async Task Two_instances_that_post_at_each_other_keep_one_book_without_gaps()
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var (one, other) = (await first.OpenAsync("1000"), await second.OpenAsync("1000"));

        var replies = await Task.WhenAll(Enumerable.Range(0, 300).SelectMany(_ => new[]
        {
            first.TransferAsync(one, other, "2"),
            second.TransferAsync(other, one, "1"),
            first.DepositAsync(other, "1"),
            second.WithdrawAsync(one, "1"),
        }));

        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await first.BalanceAsync(one)).Should().Be("400.00");
        (await second.BalanceAsync(other)).Should().Be("1600.00");
        (await first.Book.ScalarAsync<long>("SELECT last_transaction_id FROM ledger_head;")).Should().Be(1_202);
        replies.Select(reply => reply.Id("transaction_id")).Order().Should().Equal(Enumerable.Range(3, 1_200).Select(id => (long)id));
        first.Complaints.Concat(second.Complaints).Should().BeEmpty("no batch of one may break one of the other");
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task Instances_with_accounts_of_their_own_wait_for_each_other_at_the_head_only()
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var mine = (From: await first.OpenAsync("300"), To: await first.OpenAsync());
        var yours = (From: await second.OpenAsync("300"), To: await second.OpenAsync());

        await Task.WhenAll(PayAsync(first, mine.From, mine.To), PayAsync(second, yours.From, yours.To));

        (await first.BalanceAsync(yours.To)).Should().Be("300.00");
        (await second.BalanceAsync(mine.To)).Should().Be("300.00");
        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();

        // Four at a time: many small transactions, so that the two instances meet often.
        static Task PayAsync(BankingApp bank, long from, long to) => Parallel.ForEachAsync(
            Enumerable.Range(0, 300),
            new ParallelOptions { MaxDegreeOfParallelism = 4 },
            async (_, _) => (await bank.TransferAsync(from, to, "1")).Status.Should().Be(HttpStatusCode.Created));
    }

    [Fact]
    public async Task One_key_sent_at_once_to_two_instances_is_done_once()
    {
        await using var second = new BankingApp(database, bank.Book.Schema);
        var account = await bank.OpenAsync();

        for (var round = 1; round <= 20; round++)
        {
            var key = Guid.NewGuid().ToString();
            var replies = await Task.WhenAll(
                bank.DepositAsync(account, "1", key), second.DepositAsync(account, "1", key),
                bank.DepositAsync(account, "1", key), second.DepositAsync(account, "1", key));

            replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
            replies.Count(reply => !reply.Replayed).Should().Be(1);
            replies.Select(reply => reply.Text).Distinct().Should().ContainSingle();
            (await bank.BalanceAsync(account)).Should().Be($"{round}.00");
        }
    }
}
