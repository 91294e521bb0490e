using FluentAssertions;

namespace Banking.Tests;

public sealed class CloseAccountTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task An_empty_account_is_closed_for_ever_and_stays_readable()
    {
        var (account, other) = (await bank.OpenAsync("10", overdraftLimit: "5"), await bank.OpenAsync("10"));
        (await bank.WithdrawAsync(account, "10")).ShouldBeCreated();
        var before = await bank.AccountAsync(account);

        var closed = await bank.CloseAsync(account);

        closed.ShouldBeOk();
        closed.Text.Should().Be(before.Text.Replace("\"active\"", "\"closed\"", StringComparison.Ordinal));
        (await bank.AccountAsync(account)).Text.Should().Be(closed.Text);
        (await bank.HistoryAsync(account)).Should().HaveCount(2);
        (await bank.DepositAsync(account, "1")).ShouldBeProblem(409, "account_closed");
        (await bank.WithdrawAsync(account, "1")).ShouldBeProblem(409, "account_closed");
        (await bank.TransferAsync(account, other, "1")).ShouldBeProblem(409, "account_closed");
        (await bank.TransferAsync(other, account, "1")).ShouldBeProblem(409, "account_closed");
        (await bank.BalanceAsync(other)).Should().Be("10.00");
    }

    [Fact]
    public async Task An_account_with_money_or_debt_can_be_closed_only_when_it_is_empty()
    {
        var account = await bank.OpenAsync("10", overdraftLimit: "5");

        (await bank.CloseAsync(account)).ShouldBeProblem(409, "account_not_empty");
        (await bank.WithdrawAsync(account, "15")).ShouldBeCreated();
        (await bank.CloseAsync(account)).ShouldBeProblem(409, "account_not_empty");
        (await bank.DepositAsync(account, "5")).ShouldBeCreated();
        (await bank.CloseAsync(account)).ShouldBeOk();
        (await bank.CloseAsync(account)).ShouldBeProblem(409, "account_closed");
    }

    [Fact]
    public async Task A_frozen_account_can_be_closed_only_after_it_is_unfrozen()
    {
        var account = await bank.OpenAsync();
        (await bank.FreezeAsync(account, "debits")).ShouldBeOk();

        (await bank.CloseAsync(account)).ShouldBeProblem(409, "account_frozen");
        (await bank.UnfreezeAsync(account)).ShouldBeOk();
        (await bank.CloseAsync(account)).ShouldBeOk();
    }

    [Fact]
    public async Task A_concurrent_deposit_never_ends_up_in_a_closed_account()
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var payer = await first.OpenAsync("1000");
        for (var round = 0; round < 40; round++)
        {
            var account = await first.OpenAsync();
            var (closing, paying) = round % 2 == 0 ? (first, second) : (second, first);

            var replies = await Task.WhenAll(
                closing.CloseAsync(account), paying.DepositAsync(account, "1"), paying.TransferAsync(payer, account, "1"), closing.DepositAsync(account, "1"));

            var paid = replies[1..].Count(reply => reply.Code is null);
            replies[1..].Should().OnlyContain(reply => reply.Code == null || reply.Code == "account_closed");
            replies[0].Code.Should().Be(paid == 0 ? null : "account_not_empty", "this is round {0}", round);
            (await first.BalanceAsync(account)).Should().Be($"{paid}.00");
        }

        (await first.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE status = 'closed' AND balance <> 0;")).Should().Be(0);
        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
    }
}
