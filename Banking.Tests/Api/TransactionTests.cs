using FluentAssertions;

namespace Banking.Tests;

public sealed class TransactionTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task A_transaction_is_shown_unchanged_after_later_postings()
    {
        var (from, to) = (await bank.OpenAsync("10"), await bank.OpenAsync());
        var posted = await bank.TransferAsync(from, to, "1");
        await bank.TransferAsync(from, to, "2");
        await bank.WithdrawAsync(from, "7");
        ((int)(await bank.PostAsync("/api/close_account", new { account_id = from, reason = "Moved away" })).Status).Should().Be(200);

        var reply = await bank.GetAsync($"/api/get_one_transaction?transaction_id={posted["transaction_id"]}");

        ((int)reply.Status).Should().Be(200);
        reply.ContentType.Should().Be("application/json");
        reply.TransactionText().Should().Be(posted.Text);
    }

    [Fact]
    public async Task The_transaction_of_an_initial_deposit_can_be_read()
    {
        var account = await bank.OpenAsync("12.34", "EUR");
        var entry = (await bank.HistoryAsync(account)).Single();

        var reply = await bank.GetAsync($"/api/get_one_transaction?transaction_id={entry.GetProperty("transaction_id")}");

        reply["type"].Should().Be("deposit");
        reply["amount"].Should().Be("12.34");
        reply["currency"].Should().Be("EUR");
        reply.Id("from_account_id").Should().Be(978);
        reply.Id("to_account_id").Should().Be(account);
    }

    [Fact]
    public async Task A_transaction_that_was_never_made_is_not_found() =>
        (await bank.GetAsync($"/api/get_one_transaction?transaction_id={long.MaxValue}")).ShouldBeProblem(404, "transaction_not_found");
}
