using FluentAssertions;

namespace Banking.Tests;

public sealed class UnfreezeAccountTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("debits")]
    [InlineData("all")]
    public async Task An_unfrozen_account_is_active_and_takes_postings(string blocks)
    {
        var (account, other) = (await bank.OpenAsync("10"), await bank.OpenAsync("10"));
        var before = await bank.AccountAsync(account);
        (await bank.FreezeAsync(account, blocks)).ShouldBeOk();

        var unfrozen = await bank.UnfreezeAsync(account);

        unfrozen.ShouldBeOk();
        unfrozen.Text.Should().Be(before.Text);
        (await bank.AccountAsync(account)).Text.Should().Be(before.Text);
        (await bank.DepositAsync(account, "1")).ShouldBeCreated();
        (await bank.TransferAsync(other, account, "1")).ShouldBeCreated();
        (await bank.WithdrawAsync(account, "1")).ShouldBeCreated();
        (await bank.TransferAsync(account, other, "1")).ShouldBeCreated();
        (await bank.UnfreezeAsync(account)).ShouldBeProblem(409, "account_not_frozen");
    }

    [Fact]
    public async Task An_account_can_be_frozen_and_unfrozen_repeatedly()
    {
        var account = await bank.OpenAsync();

        foreach (var blocks in new[] { "all", "debits", "all" })
        {
            (await bank.FreezeAsync(account, blocks)).ShouldBeOk();
            (await bank.UnfreezeAsync(account))["status"].Should().Be("active");
        }
    }
}
