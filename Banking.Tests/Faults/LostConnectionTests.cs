using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The connection breaks in the middle of an answer, where no driver says plainly that it is gone.</summary>
public sealed class LostConnectionTests(TestDatabase database) : IAsyncDisposable
{
    private readonly CommitProxy proxy = new(database.ConnectionString);

    // The results of the lock statement: the head, the accounts, what the key stands for in either log.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task A_posting_whose_connection_breaks_between_two_results_is_tried_again_and_made_once(int results)
    {
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", proxy.ConnectionString));
        var account = await bank.OpenAsync("1");
        await bank.DepositAsync(account, "1", "warm");

        proxy.CutAfterResults(results);
        (await bank.DepositAsync(account, "1", "the-key")).ShouldBeCreated();

        await ShouldHavePassedAsync(bank, account, "3.00");
    }

    // With the rest of the account, which no posting asks for, between them.
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_change_whose_connection_breaks_between_two_results_is_tried_again_and_made_once(int results)
    {
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", proxy.ConnectionString));
        var account = await bank.OpenAsync("1");

        proxy.CutAfterResults(results);
        var changed = await bank.PostAsync("/api/change_account", new { account_id = account, overdraft_limit = "5" }, "the-key");

        changed.Status.Should().Be(HttpStatusCode.OK);
        changed.Replayed.Should().BeFalse();
        await ShouldHavePassedAsync(bank, account, "1.00");
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account_log WHERE type = 'changed';")).Should().Be(1);
    }

    public ValueTask DisposeAsync() => proxy.DisposeAsync();

    private async Task ShouldHavePassedAsync(BankingApp bank, long account, string balance)
    {
        proxy.Faults.Should().Be(1);
        bank.Complaints.Should().ContainSingle().Which.Should().StartWith("Warning: The database failed a batch of 1 requests (attempt 1)");
        (await bank.BalanceAsync(account)).Should().Be(balance);
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }
}
