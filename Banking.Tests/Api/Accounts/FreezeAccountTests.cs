using FluentAssertions;

namespace Banking.Tests;

public sealed class FreezeAccountTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("all", "frozen")]
    [InlineData(null, "frozen")]
    [InlineData("debits", "debits_blocked")]
    public async Task An_account_is_frozen_for_all_postings_or_for_debits(string? blocks, string status)
    {
        var account = await bank.OpenAsync("10", overdraftLimit: "5");
        var before = await bank.AccountAsync(account);

        var frozen = await bank.FreezeAsync(account, blocks!);

        frozen.ShouldBeOk();
        frozen.Text.Should().Be(before.Text.Replace("\"active\"", $"\"{status}\"", StringComparison.Ordinal));
        (await bank.AccountAsync(account)).Text.Should().Be(frozen.Text);
    }

    [Theory]
    [InlineData("debits", null, "account_frozen")]
    [InlineData("all", "account_frozen", "account_frozen")]
    public async Task Postings_of_a_frozen_account_are_refused_in_the_directions_that_are_blocked(string blocks, string? credit, string debit)
    {
        var (account, other) = (await bank.OpenAsync("10"), await bank.OpenAsync("10"));
        (await bank.FreezeAsync(account, blocks)).ShouldBeOk();

        (await bank.DepositAsync(account, "1")).Code.Should().Be(credit);
        (await bank.TransferAsync(other, account, "1")).Code.Should().Be(credit);
        (await bank.WithdrawAsync(account, "1")).ShouldBeProblem(409, debit);
        (await bank.TransferAsync(account, other, "1")).ShouldBeProblem(409, debit);

        (await bank.BalanceAsync(account)).Should().Be(credit is null ? "12.00" : "10.00");
        (await bank.BalanceAsync(other)).Should().Be(credit is null ? "9.00" : "10.00");
        (await bank.WithdrawAsync(other, "1")).ShouldBeCreated();
    }

    [Theory]
    [InlineData("all", "all", 409)]
    [InlineData("all", "debits", 409)]
    [InlineData("debits", "debits", 409)]
    [InlineData("debits", "all", 200)]
    public async Task A_freeze_can_only_be_widened(string first, string second, int status)
    {
        var account = await bank.OpenAsync();
        var frozen = await bank.FreezeAsync(account, first);

        var again = await bank.FreezeAsync(account, second);

        if (status == 409)
        {
            again.ShouldBeProblem(409, "account_frozen");
            (await bank.AccountAsync(account)).Text.Should().Be(frozen.Text);
        }
        else
        {
            again.ShouldBeOk();
            again["status"].Should().Be("frozen");
        }
    }

    [Fact]
    public async Task A_concurrent_freeze_and_withdrawal_happen_one_after_the_other()
    {
        for (var round = 0; round < 20; round++)
        {
            var account = await bank.OpenAsync("10");

            var replies = await Task.WhenAll(bank.FreezeAsync(account, "debits"), bank.WithdrawAsync(account, "10"), bank.DepositAsync(account, "1"));

            replies[0].ShouldBeOk();
            replies[2].ShouldBeCreated();
            new[] { null, "account_frozen" }.Should().Contain(replies[1].Code);
            (await bank.BalanceAsync(account)).Should().Be(replies[1].Code is null ? "1.00" : "11.00");
        }
    }
}
