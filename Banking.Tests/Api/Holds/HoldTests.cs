using FluentAssertions;

namespace Banking.Tests;

public sealed class HoldTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task A_hold_reserves_money_without_moving_it()
    {
        var (account, shop) = (await bank.OpenAsync("100", overdraftLimit: "20"), await bank.OpenAsync());

        var placed = await bank.PlaceHoldAsync(account, "70", shop);

        placed.ShouldBeCreated();
        (placed["status"], placed["amount"], placed["captured_amount"], placed["currency"]).Should().Be(("pending", "70.00", "0.00", "USD"));
        (placed.Id("account_id"), placed.Id("to_account_id")).Should().Be((account, shop));
        (placed.Body.GetProperty("expires_at").GetDateTime() - placed.Body.GetProperty("created_at").GetDateTime()).Should().Be(TimeSpan.FromDays(7));
        placed.Headers.Location!.ToString().Should().Be($"/api/get_one_hold?hold_id={placed.Id("hold_id")}");
        (await bank.OneHoldAsync(placed.Id("hold_id"))).Text.Should().Be(placed.Text);
        var now = await bank.AccountAsync(account);
        (now["balance"], now["held"], now["available"]).Should().Be(("100.00", "70.00", "50.00"));
        (await bank.WithdrawAsync(account, "50.01")).ShouldBeProblem(422, "insufficient_funds");
        (await bank.PlaceHoldAsync(account, "50.01")).ShouldBeProblem(422, "insufficient_funds");
        (await bank.WithdrawAsync(account, "50")).ShouldBeCreated();
        (await bank.ChangeAsync(account, overdraftLimit: "19")).ShouldBeProblem(422, "limit_below_use");
    }

    [Fact]
    public async Task A_capture_pays_the_account_of_the_hold_and_releases_the_rest()
    {
        var (account, shop) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var hold = await bank.HoldAsync(account, "70", shop);

        var captured = await bank.CaptureAsync(hold, "30");

        captured.ShouldBeCreated();
        (captured["type"], captured["amount"], captured.Id("hold_id")).Should().Be(("transfer", "30.00", hold));
        (captured.Id("from_account_id"), captured.Id("to_account_id")).Should().Be((account, shop));
        var now = await bank.AccountAsync(account);
        (now["balance"], now["held"], now["available"]).Should().Be(("70.00", "0.00", "70.00"));
        (await bank.BalanceAsync(shop)).Should().Be("30.00");
        var shown = await bank.OneHoldAsync(hold);
        (shown["status"], shown["captured_amount"]).Should().Be(("captured", "30.00"));
        (await bank.CaptureAsync(hold, "1")).ShouldBeProblem(409, "hold_not_pending");
        (await bank.ReleaseAsync(hold)).ShouldBeProblem(409, "hold_not_pending");
        var events = (await bank.GetAsync($"/api/account_events?account_id={account}")).Body.GetProperty("events");
        (events[0].GetProperty("type").GetString(), events[0].GetProperty("amount").GetString(), events[0].GetProperty("held_after").GetString())
            .Should().Be(("hold_released", "40.00", "0.00"));
        (events[1].GetProperty("type").GetString(), events[1].GetProperty("hold_id").GetInt64()).Should().Be(("hold_placed", hold));
    }

    [Fact]
    public async Task A_hold_is_captured_in_parts_while_they_are_not_final()
    {
        var account = await bank.OpenAsync("100");
        var hold = await bank.HoldAsync(account, "70");

        var first = await bank.CaptureAsync(hold, "30", final: false);
        (await bank.CaptureAsync(hold, "40.01", final: false)).ShouldBeProblem(422, "capture_amount_exceeded");
        (await bank.AccountAsync(account))["held"].Should().Be("40.00");
        var rest = await bank.CaptureAsync(hold, final: false);

        (first["type"], first.Id("to_account_id")).Should().Be(("withdrawal", 840), "a hold without a payee pays out");
        rest["amount"].Should().Be("40.00");
        (await bank.OneHoldAsync(hold))["status"].Should().Be("captured", "nothing is left");
        var now = await bank.AccountAsync(account);
        (now["balance"], now["held"]).Should().Be(("30.00", "0.00"));
    }

    [Fact]
    public async Task A_released_hold_makes_its_money_free()
    {
        var account = await bank.OpenAsync("100");
        var hold = await bank.HoldAsync(account, "70");
        (await bank.CaptureAsync(hold, "30", final: false)).ShouldBeCreated();

        var released = await bank.ReleaseAsync(hold);

        released.ShouldBeOk();
        (released["status"], released["captured_amount"]).Should().Be(("released", "30.00"));
        (await bank.AccountAsync(account))["available"].Should().Be("70.00");
        (await bank.CaptureAsync(hold)).ShouldBeProblem(409, "hold_not_pending");
    }

    [Fact]
    public async Task A_frozen_account_pays_no_capture_and_releases_its_holds()
    {
        var account = await bank.OpenAsync("100");
        var hold = await bank.HoldAsync(account, "70");
        (await bank.FreezeAsync(account, "debits")).ShouldBeOk();

        (await bank.CaptureAsync(hold)).ShouldBeProblem(409, "account_frozen");
        (await bank.PlaceHoldAsync(account, "1")).ShouldBeProblem(409, "account_frozen");
        (await bank.ReleaseAsync(hold)).ShouldBeOk();
    }

    [Fact]
    public async Task An_account_with_a_pending_hold_is_not_closed()
    {
        var account = await bank.OpenAsync(overdraftLimit: "10");
        var hold = await bank.HoldAsync(account, "5");

        (await bank.CloseAsync(account)).ShouldBeProblem(409, "account_has_holds");
        (await bank.ReleaseAsync(hold)).ShouldBeOk();
        (await bank.CloseAsync(account)).ShouldBeOk();
    }

    [Fact]
    public async Task A_hold_is_judged_as_the_payment_that_it_promises()
    {
        var (account, yen) = (await bank.OpenAsync("100"), await bank.OpenAsync(currency: "JPY"));

        (await bank.PlaceHoldAsync(account, "0.001")).ShouldBeProblem(422, "amount_precision", "amount");
        (await bank.PlaceHoldAsync(account, "1", account)).ShouldBeProblem(422, "same_account");
        (await bank.PlaceHoldAsync(account, "1", yen)).ShouldBeProblem(422, "currency_mismatch");
        (await bank.PlaceHoldAsync(account, "1", 9_000_000_000)).ShouldBeProblem(404, "account_not_found");
        (await bank.PlaceHoldAsync(9_000_000_000, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.PlaceHoldAsync(840, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.CaptureAsync(9_000_000_000)).ShouldBeProblem(404, "hold_not_found");
        (await bank.ReleaseAsync(9_000_000_000)).ShouldBeProblem(404, "hold_not_found");
        (await bank.OneHoldAsync(9_000_000_000)).ShouldBeProblem(404, "hold_not_found");
        (await bank.AccountAsync(account))["held"].Should().Be("0.00");
    }

    [Fact]
    public async Task Retries_get_the_first_answers_and_other_requests_with_their_keys_are_refused()
    {
        var account = await bank.OpenAsync("100");
        var key = $"hold-{Guid.NewGuid()}";

        var placed = await bank.PlaceHoldAsync(account, "70", key: key);
        var hold = placed.Id("hold_id");
        var part = await bank.CaptureAsync(hold, "20", final: false, key: $"{key}-part");
        var last = await bank.CaptureAsync(hold, "20", key: $"{key}-last");

        foreach (var (first, retry) in new[]
        {
            (placed, await bank.PlaceHoldAsync(account, "70", key: key)),
            (part, await bank.CaptureAsync(hold, "20", final: false, key: $"{key}-part")),
            (last, await bank.CaptureAsync(hold, "20", key: $"{key}-last")),
        })
        {
            first.ShouldBeCreated();
            retry.ShouldBeCreated(replayed: true);
            retry.Text.Should().Be(first.Text);
        }

        (await bank.PlaceHoldAsync(account, "71", key: key)).ShouldBeProblem(422, "idempotency_key_reused");
        (await bank.CaptureAsync(hold, "20", final: true, key: $"{key}-part")).ShouldBeProblem(422, "idempotency_key_reused");
        (await bank.WithdrawAsync(account, "20", $"{key}-part")).ShouldBeProblem(422, "idempotency_key_reused");
        var asked = (await bank.GetAsync($"/api/get_one_request?idempotency_key={key}")).Body;
        asked.GetProperty("holds")[0].GetRawText().Should().Be(placed.Text);
        asked.GetProperty("accounts").GetArrayLength().Should().Be(0);
        var ended = (await bank.GetAsync($"/api/get_one_request?idempotency_key={key}-last")).Body;
        ended.GetProperty("transactions")[0].GetRawText().Should().Be(last.Text);
        ended.GetProperty("holds")[0].GetProperty("status").GetString().Should().Be("captured");
    }

    [Fact]
    public async Task A_release_sent_again_gets_the_first_answer()
    {
        var hold = await bank.HoldAsync(await bank.OpenAsync("100"), "70");
        var key = $"release-{Guid.NewGuid()}";

        var first = await bank.ReleaseAsync(hold, key);
        var retry = await bank.ReleaseAsync(hold, key);

        retry.ShouldBeOk(replayed: true);
        retry.Text.Should().Be(first.Text);
    }

    [Fact]
    public async Task Holds_are_listed_newest_first_by_status_and_page()
    {
        var account = await bank.OpenAsync("100");
        var holds = new List<long>();
        for (var i = 0; i < 5; i++)
        {
            holds.Add(await bank.HoldAsync(account, "1"));
        }

        (await bank.ReleaseAsync(holds[1])).ShouldBeOk();
        (await bank.CaptureAsync(holds[3])).ShouldBeCreated();

        (await ListAsync(account, "")).Should().Equal(Enumerable.Reverse(holds));
        (await ListAsync(account, "&limit=2")).Should().Equal(Enumerable.Reverse(holds));
        (await ListAsync(account, "&status=pending")).Should().Equal(holds[4], holds[2], holds[0]);
        (await ListAsync(account, "&status=released&limit=1")).Should().Equal(holds[1]);
        (await ListAsync(account, "&status=expired")).Should().BeEmpty();
        (await bank.GetAsync("/api/list_holds?account_id=9000000000")).ShouldBeProblem(404, "account_not_found");
        (await bank.GetAsync($"/api/list_holds?account_id={account}&status=open")).ShouldBeProblem(400, "validation_failed", "status");
    }

    private async Task<List<long>> ListAsync(long account, string filter)
    {
        var holds = new List<long>();
        for (var cursor = ""; cursor is not null;)
        {
            var page = (await bank.GetAsync($"/api/list_holds?account_id={account}{filter}{cursor}")).Body;
            holds.AddRange(page.GetProperty("holds").EnumerateArray().Select(hold => hold.GetProperty("hold_id").GetInt64()));
            cursor = page.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
        }

        return holds;
    }
}
