using FluentAssertions;

namespace Banking.Tests;

/// <summary>
/// The connection breaks in the middle of a result. The layer above the driver then reports the missing rows, not the lost connection.
/// </summary>
public sealed class LostConnectionTests(TestDatabase database) : IAsyncDisposable
{
    private readonly CommitProxy proxy = new(database.ConnectionString);

    // The results of the lock statement: the head, the accounts, what the key stands for.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_posting_whose_connection_breaks_within_a_result_is_tried_again(int result)
    {
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", proxy.ConnectionString));
        var account = await bank.OpenAsync("1");
        var first = await bank.DepositAsync(account, "1", "the-key");

        proxy.CutInResult(result);
        var again = await bank.DepositAsync(account, "1", "the-key");

        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
        await ShouldHavePassedAsync(bank);
        (await bank.BalanceAsync(account)).Should().Be("2.00");
    }

    // The head, the account, the rest of it, (no posting,) the event.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task A_change_whose_connection_breaks_within_a_result_is_tried_again(int result)
    {
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", proxy.ConnectionString));
        var account = await bank.OpenAsync("1");
        var change = new { account_id = account, overdraft_limit = "5" };
        var first = await bank.PostAsync("/api/change_account", change, "the-key");

        proxy.CutInResult(result);
        var again = await bank.PostAsync("/api/change_account", change, "the-key");

        again.Replayed.Should().BeTrue();
        again.Text.Should().Be(first.Text);
        await ShouldHavePassedAsync(bank);
    }

    public ValueTask DisposeAsync() => proxy.DisposeAsync();

    private async Task ShouldHavePassedAsync(BankingApp bank)
    {
        proxy.Faults.Should().Be(1);
        bank.Complaints.Should().ContainSingle().Which.Should().StartWith("Warning: The database failed a batch of 1 requests (attempt 1)");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }
}
