using System.Text.Json.Nodes;
using FluentAssertions;

namespace Banking.Tests;

public sealed class IdempotencyTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("create_account")]
    [InlineData("deposit")]
    [InlineData("withdraw")]
    [InlineData("transaction")]
    public async Task A_retry_gets_the_first_answer_and_is_not_applied_again(string call)
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        var (body, key) = (BodyOf(call, account, other), NewKey());

        var first = await bank.PostAsync($"/api/{call}", body.ToJsonString(), key);
        var balances = (await bank.BalanceAsync(account), await bank.BalanceAsync(other));
        var again = await bank.PostAsync($"/api/{call}", body.ToJsonString(), key);

        first.ShouldBeCreated();
        first.Headers.Contains("Idempotency-Replayed").Should().BeFalse();
        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
        again.Headers.Location.Should().NotBeNull().And.Be(first.Headers.Location);
        (await bank.BalanceAsync(account), await bank.BalanceAsync(other)).Should().Be(balances);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("100")]
    public async Task A_retry_of_an_opening_shows_the_account_as_it_was_opened(string initialDeposit)
    {
        var body = new { owner_name = "Zoë 🦊", currency = "EUR", initial_deposit = initialDeposit, overdraft_limit = "20" };
        var key = NewKey();
        var first = await bank.PostAsync("/api/create_account", body, key);
        var account = first.Id("account_id");
        await bank.DepositAsync(account, "5");
        ((int)(await bank.PostAsync("/api/freeze_account", new { account_id = account, reason = "Court order" })).Status).Should().Be(200);

        var again = await bank.PostAsync("/api/create_account", body, key);

        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
        (await bank.GetAsync(again.Headers.Location!.ToString()))["status"].Should().Be("frozen");
    }

    // No log holds names, so that they can be corrected or erased. A retry shows the current name, and everything else as it was.
    [Theory]
    [InlineData("owner_name", "Someone Else", "0")]
    [InlineData("owner_name", "Someone Else", "100")]
    [InlineData("overdraft_limit", "50", "0")]
    [InlineData("overdraft_limit", "50", "100")]
    public async Task An_opening_is_replayed_after_the_account_was_changed(string member, string value, string initialDeposit)
    {
        var body = new { owner_name = "Someone", initial_deposit = initialDeposit, overdraft_limit = "20", reference = "customer 17", metadata = new { k = "v" } };
        var key = NewKey();
        var first = await bank.PostAsync("/api/create_account", body, key);
        var change = new Dictionary<string, object> { ["account_id"] = first.Id("account_id"), [member] = value };
        ((int)(await bank.PostAsync("/api/change_account", change)).Status).Should().Be(200);

        var again = await bank.PostAsync("/api/create_account", body, key);

        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(member == "owner_name" ? first.Text.Replace("\"Someone\"", $"\"{value}\"", StringComparison.Ordinal) : first.Text);
        again.Headers.Location.Should().NotBeNull().And.Be(first.Headers.Location);
    }

    [Theory]
    [InlineData("create_account", "owner_name", "\"someone\"")]
    [InlineData("create_account", "currency", "\"EUR\"")]
    [InlineData("create_account", "initial_deposit", "\"1.01\"")]
    [InlineData("create_account", "initial_deposit", "0")]
    [InlineData("create_account", "overdraft_limit", "\"2.01\"")]
    [InlineData("deposit", "account_id", "OTHER")]
    [InlineData("deposit", "amount", "\"1.01\"")]
    [InlineData("deposit", "reference", "\"Ref\"")]
    [InlineData("deposit", "reference", "null")]
    [InlineData("deposit", "metadata", "{\"k\":\"w\"}")]
    [InlineData("deposit", "metadata", "{\"l\":\"v\"}")]
    [InlineData("deposit", "metadata", "{\"k\":\"v\",\"l\":\"v\"}")]
    [InlineData("deposit", "metadata", "{}")]
    [InlineData("deposit", "metadata", "null")]
    [InlineData("withdraw", "account_id", "OTHER")]
    [InlineData("withdraw", "amount", "2")]
    [InlineData("withdraw", "reference", "\"\"")]
    [InlineData("withdraw", "metadata", "null")]
    [InlineData("transaction", "from_account_id", "THIRD")]
    [InlineData("transaction", "to_account_id", "THIRD")]
    [InlineData("transaction", "amount", "1.1")]
    [InlineData("transaction", "reference", "\"ref \"")]
    [InlineData("transaction", "metadata", "{\"K\":\"v\"}")]
    public async Task A_key_with_another_body_is_refused(string call, string member, string value)
    {
        var (account, other, third) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        var (body, key) = (BodyOf(call, account, other), NewKey());
        (await bank.PostAsync($"/api/{call}", body.ToJsonString(), key)).ShouldBeCreated();
        var balances = await BalancesAsync(account, other, third);

        body[member] = JsonNode.Parse(value.Replace("OTHER", $"{other}", StringComparison.Ordinal).Replace("THIRD", $"{third}", StringComparison.Ordinal));
        var reply = await bank.PostAsync($"/api/{call}", body.ToJsonString(), key);

        reply.ShouldBeProblem(422, "idempotency_key_reused");
        reply.Replayed.Should().BeFalse();
        (await BalancesAsync(account, other, third)).Should().Equal(balances);
    }

    [Theory]
    [InlineData("create_account", "deposit")]
    [InlineData("create_account", "withdraw")]
    [InlineData("deposit", "create_account")]
    [InlineData("deposit", "withdraw")]
    [InlineData("withdraw", "deposit")]
    [InlineData("withdraw", "transaction")]
    [InlineData("transaction", "create_account")]
    [InlineData("transaction", "deposit")]
    public async Task A_key_of_one_call_is_refused_by_another(string first, string second)
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        var key = NewKey();
        (await bank.PostAsync($"/api/{first}", BodyOf(first, account, other).ToJsonString(), key)).ShouldBeCreated();

        var reply = await bank.PostAsync($"/api/{second}", BodyOf(second, account, other).ToJsonString(), key);

        reply.ShouldBeProblem(422, "idempotency_key_reused");
    }

    [Fact]
    public async Task The_key_of_an_opening_is_refused_for_a_deposit_equal_to_its_own()
    {
        var key = NewKey();
        var opened = await bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "5" }, key);

        (await bank.DepositAsync(opened.Id("account_id"), "5", key)).ShouldBeProblem(422, "idempotency_key_reused");
        (await bank.BalanceAsync(opened.Id("account_id"))).Should().Be("5.00");
    }

    [Fact]
    public async Task A_refused_posting_does_not_consume_its_key()
    {
        var (account, key) = (await bank.OpenAsync("10"), NewKey());

        (await bank.WithdrawAsync(account, "15", key)).ShouldBeProblem(422, "insufficient_funds");
        await bank.DepositAsync(account, "5");
        (await bank.WithdrawAsync(account, "15", key)).ShouldBeCreated();
        (await bank.WithdrawAsync(account, "15", key)).ShouldBeCreated(replayed: true);

        (await bank.BalanceAsync(account)).Should().Be("0.00");
    }

    [Fact]
    public async Task A_refused_opening_does_not_consume_its_key()
    {
        var key = NewKey();

        (await bank.PostAsync("/api/create_account", new { owner_name = "Someone", currency = "JPY", initial_deposit = "1.5" }, key))
            .ShouldBeProblem(422, "amount_precision", "initial_deposit");
        (await bank.PostAsync("/api/create_account", new { owner_name = "Someone", currency = "usd" }, key))
            .ShouldBeProblem(400, "validation_failed", "currency");
        (await bank.PostAsync("/api/create_account", new { owner_name = "Someone", currency = "JPY", initial_deposit = "1" }, key)).ShouldBeCreated();
    }

    [Fact]
    public async Task A_posting_is_replayed_even_if_it_would_be_refused_now()
    {
        var (account, key) = (await bank.OpenAsync("10"), NewKey());
        var first = await bank.WithdrawAsync(account, "10", key);
        await bank.Book.ExecuteAsync("UPDATE account SET status = 'closed' WHERE account_id = @account", new { account });

        var again = await bank.WithdrawAsync(account, "10", key);

        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
    }

    [Theory]
    [InlineData("{\"account_id\":ID,\"amount\":\"1.0\"}", "{\"account_id\":ID,\"amount\":\"1.00\"}")]
    [InlineData("{\"account_id\":ID,\"amount\":\"1\"}", "{ \"amount\": 1.0000, \"account_id\": ID }")]
    [InlineData("{\"account_id\":ID,\"amount\":1}", "{\"account_id\":ID,\"amount\":1,\"reference\":null,\"metadata\":null}")]
    [InlineData(
        "{\"account_id\":ID,\"amount\":1,\"metadata\":{\"b\":\"é\",\"a\":\"2\"}}",
        "{\"account_id\":ID,\"amount\":1,\"metadata\":{\"a\":\"2\",\"b\":\"\\u00e9\"}}")]
    public async Task Bodies_with_the_same_meaning_are_the_same_request(string one, string other)
    {
        var (account, key) = ($"{await bank.OpenAsync()}", NewKey());

        var first = await bank.PostAsync("/api/deposit", one.Replace("ID", account, StringComparison.Ordinal), key);
        var again = await bank.PostAsync("/api/deposit", other.Replace("ID", account, StringComparison.Ordinal), key);

        first.ShouldBeCreated();
        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
    }

    [Fact]
    public async Task A_key_has_up_to_255_visible_characters()
    {
        var account = await bank.OpenAsync();
        var longest = $"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{{|}}~{NewKey()}".PadRight(255, 'x');

        (await bank.DepositAsync(account, "1", longest)).ShouldBeCreated();
        (await bank.DepositAsync(account, "1", longest)).ShouldBeCreated(replayed: true);
        (await bank.DepositAsync(account, "1", longest + "x")).ShouldBeProblem(400, "validation_failed", "Idempotency-Key");
        (await bank.DepositAsync(account, "1", longest.ToUpperInvariant())).ShouldBeCreated();

        (await bank.BalanceAsync(account)).Should().Be("2.00");
    }

    [Fact]
    public async Task The_same_request_from_twenty_clients_at_once_is_posted_once()
    {
        var (account, key) = (await bank.OpenAsync("100"), NewKey());

        var replies = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => bank.WithdrawAsync(account, "7", key)));

        replies.Should().OnlyContain(reply => (int)reply.Status == 201);
        replies.Select(reply => reply.Text).Distinct().Should().ContainSingle();
        replies.Count(reply => reply.Replayed).Should().Be(19);
        (await bank.BalanceAsync(account)).Should().Be("93.00");
        (await bank.HistoryAsync(account)).Should().HaveCount(2);
    }

    [Fact]
    public async Task One_of_twenty_concurrent_bodies_with_one_key_wins()
    {
        var (account, key) = (await bank.OpenAsync("1000"), NewKey());

        var replies = await Task.WhenAll(Enumerable.Range(1, 20).Select(i => bank.WithdrawAsync(account, $"{i}", key)));

        var winner = replies.Should().ContainSingle(reply => (int)reply.Status == 201).Subject;
        winner.ShouldBeCreated();
        foreach (var loser in replies.Where(reply => reply != winner))
        {
            loser.ShouldBeProblem(422, "idempotency_key_reused");
        }

        (await bank.BalanceAsync(account)).Should().Be(winner["from_balance_after"]);
        (await bank.HistoryAsync(account)).Should().HaveCount(2);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("5")]
    public async Task The_same_opening_from_twenty_clients_at_once_opens_one_account(string initialDeposit)
    {
        var (name, key) = ($"Someone {Guid.NewGuid()}", NewKey());
        var body = new { owner_name = name, initial_deposit = initialDeposit };

        var replies = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => bank.PostAsync("/api/create_account", body, key)));

        replies.Should().OnlyContain(reply => (int)reply.Status == 201);
        replies.Select(reply => reply.Text).Distinct().Should().ContainSingle();
        replies.Count(reply => reply.Replayed).Should().Be(19);
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE owner_name = @name", new { name })).Should().Be(1);
    }

    [Fact]
    public async Task Without_a_key_every_request_is_applied()
    {
        var account = await bank.OpenAsync();

        var one = await bank.DepositAsync(account, "5");
        var other = await bank.DepositAsync(account, "5");

        one.ShouldBeCreated();
        other.ShouldBeCreated();
        other["transaction_id"].Should().NotBe(one["transaction_id"]);
        (await bank.BalanceAsync(account)).Should().Be("10.00");
    }

    private static string NewKey() => Guid.NewGuid().ToString();

    private Task<string?[]> BalancesAsync(params long[] accounts) => Task.WhenAll(accounts.Select(bank.BalanceAsync));

    private static JsonObject BodyOf(string call, long account, long other) => call switch
    {
        "create_account" => new() { ["owner_name"] = "Someone", ["currency"] = "USD", ["initial_deposit"] = "1", ["overdraft_limit"] = "2" },
        "transaction" => new()
        {
            ["from_account_id"] = account,
            ["to_account_id"] = other,
            ["amount"] = "1",
            ["reference"] = "ref",
            ["metadata"] = new JsonObject { ["k"] = "v" },
        },
        _ => new() { ["account_id"] = account, ["amount"] = "1", ["reference"] = "ref", ["metadata"] = new JsonObject { ["k"] = "v" } },
    };
}
