using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A book of its own, for tests that compare the whole book.</summary>
public sealed class OwnBank(TestDatabase database) : IAsyncDisposable
{
    public BankingApp App { get; } = new(database);

    public ValueTask DisposeAsync() => App.DisposeAsync();
}

/// <summary>What changing, freezing, unfreezing and closing have in common: refusals, keys and batches.</summary>
public sealed class AccountManagementTests(OwnBank own, TestDatabase database) : IClassFixture<OwnBank>
{
    private readonly BankingApp bank = own.App;

    [Theory]
    [InlineData("change_account", "unknown", 404, "account_not_found")]
    [InlineData("change_account", "settlement", 404, "account_not_found")]
    [InlineData("change_account", "closed", 409, "account_closed")]
    [InlineData("freeze_account", "unknown", 404, "account_not_found")]
    [InlineData("freeze_account", "settlement", 404, "account_not_found")]
    [InlineData("freeze_account", "frozen", 409, "account_frozen")]
    [InlineData("freeze_account", "closed", 409, "account_closed")]
    [InlineData("unfreeze_account", "unknown", 404, "account_not_found")]
    [InlineData("unfreeze_account", "settlement", 404, "account_not_found")]
    [InlineData("unfreeze_account", "active", 409, "account_not_frozen")]
    [InlineData("unfreeze_account", "closed", 409, "account_closed")]
    [InlineData("close_account", "unknown", 404, "account_not_found")]
    [InlineData("close_account", "settlement", 404, "account_not_found")]
    [InlineData("close_account", "with money", 409, "account_not_empty")]
    [InlineData("close_account", "in debt", 409, "account_not_empty")]
    [InlineData("close_account", "with a hold", 409, "account_has_holds")]
    [InlineData("close_account", "debits_blocked", 409, "account_frozen")]
    [InlineData("close_account", "frozen", 409, "account_frozen")]
    [InlineData("close_account", "closed", 409, "account_closed")]
    public async Task A_refusal_writes_nothing_and_does_not_consume_its_key(string call, string state, int status, string code)
    {
        var (account, other, key) = (await OpenAsync(state), await bank.OpenAsync(), NewKey());
        var before = await ContentAsync();

        (await bank.PostAsync($"/api/{call}", BodyOf(call, account), key)).ShouldBeProblem(status, code);

        (await ContentAsync()).Should().Be(before);
        (await bank.DepositAsync(other, "1", key)).ShouldBeCreated();
    }

    [Theory]
    [InlineData("change_account")]
    [InlineData("freeze_account")]
    [InlineData("unfreeze_account")]
    [InlineData("close_account")]
    public async Task A_retry_gets_the_first_answer_even_after_later_changes(string call)
    {
        var (account, key) = (await OpenAsync(call == "unfreeze_account" ? "frozen" : "active"), NewKey());
        var first = await bank.PostAsync($"/api/{call}", BodyOf(call, account), key);
        if (call is "freeze_account")
        {
            (await bank.UnfreezeAsync(account)).ShouldBeOk();
        }

        if (call is not "close_account")
        {
            (await bank.DepositAsync(account, "7")).ShouldBeCreated();
            (await bank.ChangeAsync(account, overdraftLimit: "99")).ShouldBeOk();
            (await bank.FreezeAsync(account)).ShouldBeOk();
        }

        (await bank.ChangeAsync(account, ownerName: "Someone Else")).ShouldBeOk();
        var before = await ContentAsync();
        var again = await bank.PostAsync($"/api/{call}", BodyOf(call, account), key);

        first.ShouldBeOk();
        again.ShouldBeOk(replayed: true);
        again.Text.Should().Be(first.Text.Replace($"\"owner_name\":\"{first["owner_name"]}\"", "\"owner_name\":\"Someone Else\"", StringComparison.Ordinal));
        (await ContentAsync()).Should().Be(before);
    }

    [Theory]
    [InlineData("change_account", "account_id", "OTHER")]
    [InlineData("change_account", "owner_name", "\"Ada\"")]
    [InlineData("change_account", "overdraft_limit", "\"50.01\"")]
    [InlineData("change_account", "overdraft_limit", "\"0\"")]
    [InlineData("change_account", "reason", "\"another\"")]
    [InlineData("freeze_account", "account_id", "OTHER")]
    [InlineData("freeze_account", "blocks", "\"debits\"")]
    [InlineData("freeze_account", "reason", "\"another\"")]
    [InlineData("unfreeze_account", "account_id", "OTHER")]
    [InlineData("unfreeze_account", "reason", "\"another\"")]
    [InlineData("close_account", "account_id", "OTHER")]
    [InlineData("close_account", "reason", "\"another\"")]
    public async Task A_key_with_another_request_is_refused(string call, string member, string value)
    {
        var state = call == "unfreeze_account" ? "frozen" : "active";
        var (account, other, key) = (await OpenAsync(state), await OpenAsync(state), NewKey());
        (await bank.PostAsync($"/api/{call}", BodyOf(call, account), key)).ShouldBeOk();
        var before = await ContentAsync();

        var body = BodyOf(call, account);
        body[member] = JsonSerializer.Deserialize<object?>(value == "OTHER" ? $"{other}" : value);

        (await bank.PostAsync($"/api/{call}", body, key)).ShouldBeProblem(422, "idempotency_key_reused");
        (await ContentAsync()).Should().Be(before);
    }

    [Fact]
    public async Task A_key_of_one_call_is_refused_by_every_other()
    {
        var (account, other) = (await bank.OpenAsync("10"), await bank.OpenAsync("10"));
        var (posting, freeze, opening, unfreeze) = (NewKey(), NewKey(), NewKey(), NewKey());
        (await bank.DepositAsync(account, "1", posting)).ShouldBeCreated();
        (await bank.FreezeAsync(account, key: freeze)).ShouldBeOk();
        (await bank.UnfreezeAsync(account, unfreeze)).ShouldBeOk();
        (await bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "1" }, opening)).ShouldBeCreated();
        var before = await ContentAsync();

        Reply[] reused =
        [
            await bank.FreezeAsync(account, key: posting),
            await bank.ChangeAsync(account, "Someone", key: posting),
            await bank.DepositAsync(account, "1", freeze),
            await bank.WithdrawAsync(account, "1", freeze),
            await bank.TransferAsync(account, other, "1", freeze),
            await bank.UnfreezeAsync(account, freeze),
            await bank.CloseAsync(account, unfreeze), // the same members, another call
            await bank.FreezeAsync(account, key: opening),
            await bank.DepositAsync(account, "1", opening),
            await bank.PostAsync("/api/create_account", new { owner_name = "Someone" }, freeze),
            await bank.PostAsync("/api/create_account", new { owner_name = "Someone" }, posting),
        ];

        reused.Should().AllSatisfy(reply => reply.ShouldBeProblem(422, "idempotency_key_reused"));
        (await ContentAsync()).Should().Be(before);
    }

    [Fact]
    public async Task An_amount_in_another_form_and_a_null_member_are_the_same_request()
    {
        var (account, key) = (await bank.OpenAsync(), NewKey());
        var first = await bank.PostAsync("/api/change_account", $$"""{"account_id":{{account}},"overdraft_limit":"50"}""", key);

        first.ShouldBeOk();
        foreach (var body in new[]
        {
            $$"""{"account_id":{{account}},"overdraft_limit":"50.00"}""",
            $$"""{"account_id":{{account}},"overdraft_limit":50.0000}""",
            $$"""{ "overdraft_limit": 50, "account_id": {{account}} }""",
            $$"""{"account_id":{{account}},"overdraft_limit":"50","owner_name":null,"reason":null}""",
        })
        {
            var again = await bank.PostAsync("/api/change_account", body, key);
            again.ShouldBeOk(replayed: true);
            again.Text.Should().Be(first.Text);
        }

        var (freeze, plain) = (NewKey(), new { account_id = account, reason = "because" });
        (await bank.PostAsync("/api/freeze_account", plain, freeze)).ShouldBeOk();
        (await bank.FreezeAsync(account, blocks: null!, freeze)).ShouldBeOk(replayed: true);
    }

    [Fact]
    public async Task Operations_in_one_batch_see_the_results_of_earlier_ones()
    {
        await using var app = new BankingApp(database);
        var account = await app.OpenAsync();
        await using var head = await app.Book.HoldHeadAsync();
        var sent = new List<Task<Reply>> { app.DepositAsync(account, "1") };
        await head.BlocksAsync();

        // Each request is in the queue before the next one is sent.
        Func<Task<Reply>>[] batch =
        [
            () => app.WithdrawAsync(account, "51"),                          // the limit is not raised yet
            () => app.ChangeAsync(account, overdraftLimit: "50"),
            () => app.WithdrawAsync(account, "51"),
            () => app.ChangeAsync(account, "Ada", "49.99"),                  // all of it is in use
            () => app.FreezeAsync(account, "debits"),
            () => app.WithdrawAsync(account, "0.01"),
            () => app.DepositAsync(account, "20"),
            () => app.FreezeAsync(account),
            () => app.DepositAsync(account, "20"),
            () => app.CloseAsync(account),
            () => app.UnfreezeAsync(account),
            () => app.CloseAsync(account),
            () => app.DepositAsync(account, "30"),
            () => app.ChangeAsync(account, overdraftLimit: "0"),
            () => app.CloseAsync(account),
            () => app.DepositAsync(account, "1"),
            () => app.ChangeAsync(account, "Grace"),
        ];
        foreach (var send in batch)
        {
            sent.Add(send());
            await app.QueuedAsync(sent.Count);
        }

        await head.DisposeAsync();

        var replies = await Task.WhenAll(sent);
        replies.Select(reply => reply.Code ?? $"{(int)reply.Status}").Should().Equal(
            "201", "insufficient_funds", "200", "201", "limit_below_use", "200", "account_frozen", "201", "200", "account_frozen", "account_frozen",
            "200", "account_not_empty", "201", "200", "200", "account_closed", "200");
        (await app.Book.ScalarAsync<string>(
            """
            SELECT string_agg(concat_ws(' ', type, status_after, overdraft_limit_after::numeric(9,2), balance_after::numeric(9,2), after_transaction_id), ', '
                              ORDER BY account_event_id)
              FROM account_log;
            """)).Should().Be(
            "opened active 0.00 0.00 0, changed active 50.00 1.00 1, frozen debits_blocked 50.00 -50.00 2, frozen frozen 50.00 -30.00 3, "
            + "unfrozen active 50.00 -30.00 3, changed active 0.00 0.00 4, closed closed 0.00 0.00 4, changed closed 0.00 0.00 4");
        (await app.Book.ScalarAsync<long>("SELECT count(DISTINCT xmin::text) FROM account_log WHERE type <> 'opened';")).Should().Be(1);
        (await app.AccountAsync(account)).Text.Should().Be(replies[^1].Text);
        replies[^1]["owner_name"].Should().Be("Grace");
        app.Complaints.Should().BeEmpty();
        (await app.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task One_batch_can_raise_a_limit_and_use_it_or_pay_money_in_and_lower_the_limit()
    {
        await using var app = new BankingApp(database);
        var (raised, lowered) = (await app.OpenAsync(), await app.OpenAsync(overdraftLimit: "50"));
        (await app.WithdrawAsync(lowered, "50")).ShouldBeCreated();
        await using var head = await app.Book.HoldHeadAsync();
        var sent = new List<Task<Reply>> { app.PostAsync("/api/create_account", new { owner_name = "Someone" }) };
        await head.BlocksAsync();

        foreach (var send in new Func<Task<Reply>>[]
        {
            () => app.ChangeAsync(raised, overdraftLimit: "50"),
            () => app.WithdrawAsync(raised, "50"),
            () => app.DepositAsync(lowered, "50"),
            () => app.ChangeAsync(lowered, overdraftLimit: "0"),
        })
        {
            sent.Add(send());
            await app.QueuedAsync(sent.Count);
        }

        await head.DisposeAsync();

        (await Task.WhenAll(sent)).Select(reply => (int)reply.Status).Should().Equal(201, 200, 201, 201, 200);
        (await app.AccountAsync(raised))["available"].Should().Be("0.00");
        (await app.AccountAsync(lowered))["available"].Should().Be("0.00");
        app.Complaints.Should().BeEmpty("the database accepts the batch as it was decided");
        (await app.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task The_same_key_twice_in_one_batch_is_applied_once()
    {
        await using var app = new BankingApp(database);
        var account = await app.OpenAsync();
        await using var head = await app.Book.HoldHeadAsync();
        var first = app.DepositAsync(account, "1");
        await head.BlocksAsync();
        Task<Reply>[] same = [app.FreezeAsync(account, key: "same"), app.FreezeAsync(account, key: "same")];
        await app.QueuedAsync(3);
        await head.DisposeAsync();

        (await first).ShouldBeCreated();
        var replies = await Task.WhenAll(same);
        replies.Select(reply => reply.Text).Distinct().Should().ContainSingle();
        replies.Select(reply => reply.Replayed).Should().BeEquivalentTo([false, true]);
        (await app.Book.ScalarAsync<long>("SELECT count(*) FROM account_log WHERE type = 'frozen';")).Should().Be(1);
    }

    /// <summary>Opens an account and brings it into the given state.</summary>
    private async Task<long> OpenAsync(string state)
    {
        if (state is "unknown" or "settlement")
        {
            return state == "unknown" ? long.MaxValue : 840;
        }

        var account = await bank.OpenAsync(state is "with money" or "with a hold" ? "10" : "0", overdraftLimit: state == "in debt" ? "10" : "0");
        switch (state)
        {
            case "in debt":
                (await bank.WithdrawAsync(account, "10")).ShouldBeCreated();
                break;
            case "with a hold":
                await bank.Book.ExecuteAsync("UPDATE account SET held = 10 WHERE account_id = @account;", new { account });
                break;
            case "debits_blocked":
                (await bank.FreezeAsync(account, "debits")).ShouldBeOk();
                break;
            case "frozen":
                (await bank.FreezeAsync(account)).ShouldBeOk();
                break;
            case "closed":
                (await bank.CloseAsync(account)).ShouldBeOk();
                break;
        }

        return account;
    }

    private static Dictionary<string, object?> BodyOf(string call, long account)
    {
        var body = new Dictionary<string, object?> { ["account_id"] = account, ["reason"] = "because" };
        if (call == "change_account")
        {
            body["overdraft_limit"] = "50";
        }

        return body;
    }

    private Task<string?> ContentAsync() => bank.Book.ScalarAsync<string>(
        """
        SELECT concat_ws('; ', (SELECT string_agg(account::text, ', ' ORDER BY account_id) FROM account WHERE kind = 'customer' OR balance <> 0)
                             , (SELECT count(*) FROM account_log)
                             , (SELECT count(*) FROM transaction_log)
                             , (SELECT ledger_head::text FROM ledger_head));
        """);

    private static string NewKey() => Guid.NewGuid().ToString();
}
