using System.Globalization;
using FluentAssertions;

namespace Banking.Tests;

public sealed class HoldExpiryTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task A_hold_expires_by_itself_within_a_second_after_its_time()
    {
        var account = await bank.OpenAsync("100");
        var hold = (await bank.PlaceHoldAsync(account, "70", expiresAt: await InAsync(0.3))).Id("hold_id");

        await Wait.UntilAsync(async () => (await bank.OneHoldAsync(hold))["status"] == "expired");

        var late = await bank.Book.ScalarAsync<double>(
            "SELECT extract(epoch FROM log.created_at - hold.expires_at)::float8 FROM account_log AS log JOIN hold USING (hold_id) WHERE hold_id = @hold AND type = 'hold_expired';",
            new { hold });
        late.Should().BeInRange(0, 1);
        (await bank.AccountAsync(account))["available"].Should().Be("100.00");
        (await bank.CaptureAsync(hold)).ShouldBeProblem(409, "hold_not_pending");
        (await bank.ReleaseAsync(hold)).ShouldBeProblem(409, "hold_not_pending");
        var said = (await bank.GetAsync($"/api/account_events?account_id={account}&limit=1")).Body.GetProperty("events")[0];
        (said.GetProperty("type").GetString(), said.GetProperty("amount").GetString(), said.GetProperty("client_id").GetString())
            .Should().Be(("hold_expired", "70.00", "core-banking"));
    }

    [Fact]
    public async Task The_money_of_a_due_hold_is_free_at_once_for_a_request_that_needs_it()
    {
        var account = await bank.OpenAsync("100");
        // The row of the account is locked while the hold becomes due, so that no sweep ends the hold first.
        for (var round = 0; round < 5; round++)
        {
            var due = await InAsync(0.2);
            var hold = (await bank.PlaceHoldAsync(account, "70", expiresAt: due)).Id("hold_id");
            Task<Reply> withdrawal;
            await using (await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = @account FOR UPDATE;", new { account }))
            {
                withdrawal = bank.WithdrawAsync(account, "100");
                await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<bool>("SELECT clock_timestamp() > @due;", new { due }));
            }

            (await withdrawal).ShouldBeCreated();
            (await bank.OneHoldAsync(hold))["status"].Should().Be("expired");
            (await bank.DepositAsync(account, "100")).ShouldBeCreated();
        }
    }

    [Fact]
    public async Task Two_instances_end_a_hold_once()
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var account = await first.OpenAsync("100");
        (await second.AccountAsync(account)).ShouldBeOk();
        var due = await first.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '0.5 s';");
        var holds = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => first.HoldAsync(account, "2", expiresAt: due)));

        await Wait.UntilAsync(async () => (await first.AccountAsync(account))["held"] == "0.00");

        (await first.Book.ScalarAsync<long>("SELECT count(*) FROM account_log WHERE type = 'hold_expired';")).Should().Be(holds.Length);
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
    }

    [Fact]
    public async Task A_time_in_the_past_or_beyond_a_year_is_refused_and_a_retry_after_it_is_answered_as_before()
    {
        var account = await bank.OpenAsync("100");
        var key = $"hold-{Guid.NewGuid()}";

        (await bank.PlaceHoldAsync(account, "1", expiresAt: await InAsync(-1))).ShouldBeProblem(400, "validation_failed", "expires_at");
        (await bank.PlaceHoldAsync(account, "1", expiresAt: await InAsync((366 * 86_400) + 60))).ShouldBeProblem(400, "validation_failed", "expires_at");
        (await bank.PlaceHoldAsync(account, "1", expiresAt: await InAsync(364 * 86_400))).ShouldBeCreated();
        var due = await InAsync(0.2);
        var placed = await bank.PlaceHoldAsync(account, "1", expiresAt: due, key: key);
        await Wait.UntilAsync(async () => (await bank.OneHoldAsync(placed.Id("hold_id")))["status"] == "expired");
        var retry = await bank.PlaceHoldAsync(account, "1", expiresAt: due, key: key);

        retry.ShouldBeCreated(replayed: true);
        retry.Text.Should().Be(placed.Text);
    }

    [Theory]
    [InlineData("Z", ".000000Z")]
    [InlineData(".5+00:00", ".500000Z")]
    [InlineData(".1234567Z", ".123456Z")]
    [InlineData(".987654321+00:00", ".987654Z")]
    public async Task A_time_may_have_the_digits_of_fraction_that_clients_write(string sent, string kept)
    {
        var account = await bank.OpenAsync("100");
        var second = await InTwoDaysAsync("s");

        var placed = await bank.PostAsync("/api/place_hold", new { account_id = account, amount = "1", expires_at = second + sent });

        placed.ShouldBeCreated();
        placed["expires_at"].Should().Be(second + kept);
    }

    [Theory]
    [InlineData("DAYT03:04:05")]
    [InlineData("DAY 03:04:05Z")]
    [InlineData("DAY")]
    [InlineData("DAYT03:04:05.1234567890Z")]
    [InlineData("DAYT03:04:05.123456789")]
    [InlineData("DAYT03:04:05.1234567Z.1234567Z")]
    [InlineData("2026-13-02T03:04:05Z")]
    [InlineData("soon")]
    public async Task A_text_that_is_no_instant_is_refused(string text)
    {
        var account = await bank.OpenAsync("100");
        var instant = text.Replace("DAY", await InTwoDaysAsync("yyyy-MM-dd"), StringComparison.Ordinal);

        (await bank.PostAsync("/api/place_hold", new { account_id = account, amount = "1", expires_at = instant })).ShouldBeProblem(400, "validation_failed", "expires_at");
    }

    private async Task<string> InTwoDaysAsync(string form) => (await InAsync(2 * 86_400)).ToString(form, CultureInfo.InvariantCulture);

    private Task<DateTime> InAsync(double seconds) =>
        bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + make_interval(secs => @seconds);", new { seconds });
}
