using System.Net;
using FluentAssertions;

namespace Banking.Tests;

public sealed class PostingTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly Bank bank = shared.Bank;

    [Fact]
    public async Task A_transfer_moves_the_amount_and_shows_both_balances()
    {
        var (from, to) = (await bank.OpenAsync("100"), await bank.OpenAsync("5"));

        var reply = await bank.TransferAsync(from, to, "30.25");

        reply.Status.Should().Be(HttpStatusCode.Created);
        reply["type"].Should().Be("transfer");
        reply["amount"].Should().Be("30.25");
        reply["from_balance_after"].Should().Be("69.75");
        reply["to_balance_after"].Should().Be("35.25");
        (await bank.BalanceAsync(from)).Should().Be("69.75");
        (await bank.BalanceAsync(to)).Should().Be("35.25");
        (await bank.GetAsync(reply.Headers.Location!.ToString())).Text.Should().Be(reply.Text);
    }

    [Fact]
    public async Task A_transfer_beyond_the_balance_is_refused_and_moves_nothing()
    {
        var (from, to) = (await bank.OpenAsync("100"), await bank.OpenAsync());

        var reply = await bank.TransferAsync(from, to, "100.01");

        reply.Status.Should().Be(HttpStatusCode.UnprocessableEntity);
        reply.Code.Should().Be("insufficient_funds");
        (await bank.BalanceAsync(from)).Should().Be("100.00");
        (await bank.HistoryAsync(to)).Should().BeEmpty();
    }
}
