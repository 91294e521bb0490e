using FluentAssertions;

namespace Banking.Tests;

/// <summary>Holds while somebody else has locked a row, while the service is down, and while it has lost its database.</summary>
public sealed class HoldFaultTests(TestDatabase database)
{
    [Fact]
    public async Task A_locked_hold_is_busy_and_all_other_requests_go_on()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "2"));
        var (account, shop) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var (locked, other) = (await bank.HoldAsync(account, "10", shop), await bank.HoldAsync(account, "10", shop));
        await using var forgotten = await bank.Book.HoldAsync("SELECT FROM hold WHERE hold_id = @locked FOR UPDATE;", new { locked });

        var (capture, release) = (bank.CaptureAsync(locked), bank.ReleaseAsync(locked));
        (await bank.CaptureAsync(other)).ShouldBeCreated();
        (await bank.WithdrawAsync(account, "1")).ShouldBeCreated();
        (await bank.PlaceHoldAsync(account, "1")).ShouldBeCreated();
        (await bank.OneHoldAsync(locked)).ShouldBeOk();
        (await bank.GetAsync($"/api/list_holds?account_id={account}")).ShouldBeOk();

        (capture.IsCompleted, release.IsCompleted).Should().Be((false, false), "they wait");
        foreach (var reply in await Task.WhenAll(capture, release))
        {
            reply.ShouldBeProblem(503, "account_busy");
            reply.Headers.RetryAfter.Should().NotBeNull();
        }

        await forgotten.DisposeAsync();
        (await bank.CaptureAsync(locked)).ShouldBeCreated();
        (await bank.BalanceAsync(shop)).Should().Be("20.00");
        await ShouldBeRightAsync(bank);
    }

    [Theory]
    [InlineData("SELECT FROM hold WHERE hold_id = @hold FOR UPDATE;")]
    [InlineData("SELECT FROM account WHERE account_id = @account FOR UPDATE;")]
    [InlineData("SELECT FROM account WHERE account_id = @shop FOR UPDATE;")]
    public async Task A_capture_that_meets_a_locked_row_is_made_when_the_row_is_free(string locking)
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "60"));
        var (account, shop) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var hold = await bank.HoldAsync(account, "10", shop);
        Task<Reply> capture;
        await using (await bank.Book.HoldAsync(locking, new { hold, account, shop }))
        {
            capture = bank.CaptureAsync(hold, "6");
            await bank.QueuedAsync(1);
            (await bank.DepositAsync(await bank.OpenAsync(), "1")).ShouldBeCreated(); // a write transaction that has met the lock, or a later one
            capture.IsCompleted.Should().BeFalse();
        }

        (await capture).ShouldBeCreated();
        (await bank.AccountAsync(account))["held"].Should().Be("0.00");
        (await bank.BalanceAsync(shop)).Should().Be("6.00");
        await ShouldBeRightAsync(bank);
    }

    [Fact]
    public async Task A_due_hold_that_is_locked_keeps_no_other_from_expiring_in_time()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "60"));
        var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        var now = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();");
        var locked = await bank.HoldAsync(one, "10", expiresAt: now.AddSeconds(0.5));
        var later = await bank.HoldAsync(other, "10", expiresAt: now.AddSeconds(2));
        await using (await bank.Book.HoldAsync("SELECT FROM hold WHERE hold_id = @locked FOR UPDATE;", new { locked }))
        {
            await Wait.UntilAsync(async () => (await bank.OneHoldAsync(later))["status"] == "expired");
            (await LateAsync(bank, later)).Should().BeLessThan(5);
            (await bank.OneHoldAsync(locked))["status"].Should().Be("pending");
        }

        await Wait.UntilAsync(async () => (await bank.OneHoldAsync(locked))["status"] == "expired");
        await ShouldBeRightAsync(bank);
    }

    [Fact]
    public async Task Very_many_due_holds_of_a_locked_account_keep_no_other_from_expiring()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "1"));
        var (one, other) = (await bank.OpenAsync("2000"), await bank.OpenAsync("100"));
        var due = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '8 s';");
        await Task.WhenAll(Enumerable.Range(0, 1_100).Select(_ => bank.HoldAsync(one, "1", expiresAt: due)));
        var later = await bank.HoldAsync(other, "10", expiresAt: due.AddMilliseconds(1));
        await using (await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = @one FOR UPDATE;", new { one }))
        {
            await Wait.UntilAsync(async () => (await bank.OneHoldAsync(later))["status"] == "expired");
            (await bank.AccountAsync(one))["held"].Should().Be("1100.00");
        }

        await Wait.UntilAsync(async () => (await bank.AccountAsync(one))["held"] == "0.00");
        await ShouldBeRightAsync(bank);
    }

    [Fact]
    public async Task The_money_of_a_due_hold_that_is_locked_is_waited_for()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "60"));
        var account = await bank.OpenAsync("100");
        var due = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '0.5 s';");
        var hold = await bank.HoldAsync(account, "70", expiresAt: due);
        Task<Reply> withdrawal;
        await using (await bank.Book.HoldAsync("SELECT FROM hold WHERE hold_id = @hold FOR UPDATE;", new { hold }))
        {
            await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<bool>("SELECT clock_timestamp() > @due;", new { due }));
            withdrawal = bank.WithdrawAsync(account, "100");
            await bank.DepositAsync(await bank.OpenAsync(), "1"); // a write transaction has met the lock
        }

        (await withdrawal).ShouldBeCreated();
        (await bank.OneHoldAsync(hold))["status"].Should().Be("expired");
        await ShouldBeRightAsync(bank);
    }

    [Fact]
    public async Task Holds_that_became_due_while_the_service_was_stopped_expire_after_its_start_and_keep_no_money_from_the_first_request()
    {
        const int Holds = 1_200; // more than one write transaction ends
        var schema = $"book_{Guid.NewGuid():N}";
        long account;
        DateTime due;
        await using (var bank = new BankingApp(database, schema))
        {
            account = await bank.OpenAsync($"{Holds}");
            due = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '8 s';");
            await Task.WhenAll(Enumerable.Range(0, Holds).Select(_ => bank.HoldAsync(account, "1", expiresAt: due)));
            (await bank.AccountAsync(account))["available"].Should().Be("0.00");
        }

        await using var book = new BookInspector(database.ConnectionString, schema);
        await Wait.UntilAsync(async () => await book.ScalarAsync<bool>("SELECT clock_timestamp() > @due;", new { due }));
        await using var started = new BankingApp(database, schema);

        (await started.WithdrawAsync(account, $"{Holds}")).ShouldBeCreated();

        await Wait.UntilAsync(async () => (await started.AccountAsync(account))["held"] == "0.00");
        (await book.ScalarAsync<long>("SELECT count(*) FROM account_log WHERE type = 'hold_expired';")).Should().Be(Holds);
        await ShouldBeRightAsync(started);
    }

    [Fact]
    public async Task A_service_that_loses_its_database_warns_once_and_ends_the_due_holds_when_it_is_back()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", proxy.ConnectionString), ("Banking:ReadSeconds", "1"));
        var account = await bank.OpenAsync("100");
        var due = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '3 s';");
        var hold = await bank.HoldAsync(account, "70", expiresAt: due);
        proxy.Hang();
        await Wait.UntilAsync(() => Warnings() == 1);
        await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<bool>("SELECT clock_timestamp() > @due + interval '4 s';", new { due }));
        (await bank.Book.ScalarAsync<string>("SELECT status FROM hold WHERE hold_id = @hold;", new { hold })).Should().Be("pending");

        proxy.GoOn();

        await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<string>("SELECT status FROM hold WHERE hold_id = @hold;", new { hold }) == "expired");
        Warnings().Should().Be(1);
        (await bank.AccountAsync(account))["available"].Should().Be("100.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();

        int Warnings() => bank.Complaints.Count(line => line.StartsWith("Warning: Due holds could not be read or ended: ", StringComparison.Ordinal));
    }

    private static Task<double> LateAsync(BankingApp bank, long hold) => bank.Book.ScalarAsync<double>(
        "SELECT extract(epoch FROM log.created_at - hold.expires_at)::float8 FROM account_log AS log JOIN hold USING (hold_id) WHERE hold_id = @hold AND type = 'hold_expired';",
        new { hold });

    private static async Task ShouldBeRightAsync(BankingApp bank)
    {
        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }
}
