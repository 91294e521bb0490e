using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class BatchTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task An_atomic_batch_makes_all_its_postings_in_their_order()
    {
        var (payer, payee, house) = (await bank.OpenAsync("100"), await bank.OpenAsync(), await bank.OpenAsync());

        var reply = await bank.BatchAsync("atomic",
        [
            Transfer(payer, payee, "50"), Transfer(payer, house, "0.35"), Withdrawal(payee, "20", "Cash"), Deposit(house, "1"),
        ]);

        reply.ShouldBeCreated();
        var made = reply.Body.GetProperty("transactions").EnumerateArray().ToList();
        made.Select(one => one.GetProperty("type").GetString()).Should().Equal("transfer", "transfer", "withdrawal", "deposit");
        made.Select(one => one.GetProperty("from_balance_after").GetString()).Take(3).Should().Equal("50.00", "49.65", "30.00");
        var first = made[0].GetProperty("transaction_id").GetInt64();
        made.Select(one => one.GetProperty("transaction_id").GetInt64()).Should().Equal(first, first + 1, first + 2, first + 3);
        made[2].GetProperty("reference").GetString().Should().Be("Cash");
        (await bank.GetAsync(reply.Headers.Location!.ToString())).Body.GetProperty("transactions").GetArrayLength().Should().Be(4);
    }

    [Fact]
    public async Task An_atomic_batch_with_a_refused_posting_leaves_nothing_and_names_it()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var key = $"batch-{Guid.NewGuid()}";

        var funds = await bank.BatchAsync("atomic", [Transfer(payer, payee, "60"), Transfer(payer, payee, "40.01"), Transfer(payer, payer, "1")], key);
        var digits = await bank.BatchAsync("atomic", [Transfer(payer, payee, "60"), Transfer(payer, payee, "0.001")], key);

        funds.ShouldBeProblem(422, "insufficient_funds");
        funds.Id("failed_index").Should().Be(1);
        digits.ShouldBeProblem(422, "amount_precision", "postings[1].amount");
        (await bank.BalanceAsync(payer)).Should().Be("100.00");
        (await bank.HistoryAsync(payee)).Should().BeEmpty();
        (await bank.GetAsync($"/api/get_one_request?idempotency_key={key}")).ShouldBeProblem(404, "request_not_found");
        (await bank.BatchAsync("atomic", [Transfer(payer, payee, "60")], key)).ShouldBeCreated();
    }

    [Fact]
    public async Task An_exchange_of_currencies_goes_through_two_accounts_of_the_house_at_once()
    {
        var (dollars, euros) = (await bank.OpenAsync("100"), await bank.OpenAsync(currency: "EUR"));
        var (houseDollars, houseEuros) = (await bank.OpenAsync(), await bank.OpenAsync("1000", "EUR"));

        (await bank.BatchAsync("atomic", [Transfer(dollars, houseDollars, "100"), Transfer(houseEuros, euros, "92.50")])).ShouldBeCreated();

        (await bank.BalanceAsync(euros)).Should().Be("92.50");
        (await bank.BatchAsync("atomic", [Transfer(dollars, houseEuros, "1")])).ShouldBeProblem(422, "currency_mismatch");
    }

    [Fact]
    public async Task In_an_independent_batch_each_posting_has_its_own_outcome()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());

        var reply = await bank.BatchAsync("independent",
        [
            Transfer(payer, payee, "60"), Transfer(payer, payee, "60"), Withdrawal(9_000_000_000, "1"), Transfer(payer, payee, "40"), Deposit(payee, "0.001"),
        ]);

        reply.ShouldBeOk();
        (reply.Id("posted"), reply.Id("refused")).Should().Be((2, 3));
        var results = reply.Body.GetProperty("results").EnumerateArray().ToList();
        results.Select(one => one.GetProperty("status").GetString()).Should().Equal("posted", "refused", "refused", "posted", "refused");
        results.Select(CodeOf).Should().Equal(null, "insufficient_funds", "account_not_found", null, "amount_precision");
        results[3].GetProperty("transaction").GetProperty("from_balance_after").GetString().Should().Be("0.00");
        results[2].GetProperty("problem").GetProperty("status").GetInt32().Should().Be(404);
    }

    [Fact]
    public async Task An_independent_batch_that_is_sent_again_decides_only_its_refused_postings_anew()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var key = $"batch-{Guid.NewGuid()}";
        object[] postings = [Transfer(payer, payee, "60"), Transfer(payer, payee, "50"), Transfer(payer, payee, "40")];

        var first = await bank.BatchAsync("independent", postings, key);
        var same = await bank.BatchAsync("independent", postings, key);
        (await bank.DepositAsync(payer, "50")).ShouldBeCreated();
        var second = await bank.BatchAsync("independent", postings, key);
        var third = await bank.BatchAsync("independent", postings, key);

        (first.Id("posted"), same.Id("posted"), second.Id("posted")).Should().Be((2, 2, 3));
        second.Body.GetProperty("results")[0].GetRawText().Should().Be(first.Body.GetProperty("results")[0].GetRawText());
        third.ShouldBeOk(replayed: true);
        third.Text.Should().Be(second.Text);
        (await bank.BalanceAsync(payee)).Should().Be("150.00");
    }

    [Fact]
    public async Task Another_batch_with_a_used_key_is_refused()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        foreach (var mode in new[] { "atomic", "independent" })
        {
            var key = $"batch-{Guid.NewGuid()}";
            object[] postings = [Transfer(payer, payee, "1"), Transfer(payer, payee, "2")];
            var first = await bank.BatchAsync(mode, postings, key);

            (await bank.BatchAsync(mode, [.. postings.Reverse()], key)).ShouldBeProblem(422, "idempotency_key_reused");
            (await bank.BatchAsync(mode, postings[..1], key)).ShouldBeProblem(422, "idempotency_key_reused");
            (await bank.BatchAsync(mode, [.. postings, postings[0]], key)).ShouldBeProblem(422, "idempotency_key_reused");
            (await bank.BatchAsync(mode == "atomic" ? "independent" : "atomic", postings, key)).ShouldBeProblem(422, "idempotency_key_reused");
            (await bank.TransferAsync(payer, payee, "1", key)).ShouldBeProblem(422, "idempotency_key_reused");
            var retry = await bank.BatchAsync(mode, postings, key);
            retry.Replayed.Should().BeTrue();
            retry.Text.Should().Be(first.Text);
        }

        (await bank.BalanceAsync(payee)).Should().Be("6.00");
    }

    [Fact]
    public async Task A_dry_run_decides_the_same_and_writes_nothing()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var key = $"batch-{Guid.NewGuid()}";
        object[] good = [Transfer(payer, payee, "60"), Transfer(payer, payee, "40")];
        object[] mixed = [Transfer(payer, payee, "60"), Transfer(payer, payee, "41")];

        var whole = await bank.BatchAsync("atomic", good, key, dryRun: true);
        var failing = await bank.BatchAsync("atomic", mixed, key, dryRun: true);
        var each = await bank.BatchAsync("independent", mixed, key, dryRun: true);

        whole.ShouldBeOk();
        whole.Body.GetProperty("dry_run").GetBoolean().Should().BeTrue();
        var planned = whole.Body.GetProperty("results").EnumerateArray().Select(one => one.GetProperty("transaction")).ToList();
        planned.Select(one => one.GetProperty("transaction_id").GetInt64()).Should().Equal(0, 0);
        planned.Select(one => one.GetProperty("from_balance_after").GetString()).Should().Equal("40.00", "0.00");
        failing.ShouldBeProblem(422, "insufficient_funds");
        failing.Id("failed_index").Should().Be(1);
        each.Body.GetProperty("results").EnumerateArray().Select(CodeOf).Should().Equal(null, "insufficient_funds");
        (await bank.BalanceAsync(payer)).Should().Be("100.00");
        (await bank.HistoryAsync(payee)).Should().BeEmpty();
        (await bank.BatchAsync("atomic", good, key)).ShouldBeCreated();
    }

    [Fact]
    public async Task A_batch_of_a_thousand_postings_with_long_references_fits()
    {
        var (payer, payee) = (await bank.OpenAsync("1000"), await bank.OpenAsync());

        var reply = await bank.BatchAsync("atomic", [.. Enumerable.Range(0, 1_000).Select(_ => Transfer(payer, payee, "1", new string('é', 140)))]);

        reply.ShouldBeCreated();
        (await bank.BalanceAsync(payee)).Should().Be("1000.00");
    }

    public static TheoryData<string, string[]> Wrong => new()
    {
        { """{"postings":[{"type":"deposit","account_id":1000,"amount":"1"}]}""", ["mode"] },
        { """{"mode":"all","postings":[{"type":"deposit","account_id":1000,"amount":"1"}]}""", ["mode"] },
        { """{"mode":"atomic"}""", ["postings"] },
        { """{"mode":"atomic","postings":[]}""", ["postings"] },
        { """{"mode":"atomic","postings":{}}""", ["postings"] },
        { """{"mode":"atomic","postings":[null]}""", ["postings[0]"] },
        { """{"mode":"atomic","postings":[7]}""", ["postings[0]"] },
        { """{"mode":"atomic","dry_run":"yes","postings":[{"type":"deposit","account_id":1000,"amount":"1"}]}""", ["dry_run"] },
        { """{"mode":"atomic","postings":[{"type":"gift","account_id":1000,"amount":"1"}]}""", ["postings[0].type"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","account_id":1000,"amount":"1"},{"type":"deposit","account_id":1000,"amount":"-1"}]}""", ["postings[1].amount"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","account_id":1000,"amount":"0"},{"type":"deposit","account_id":0}]}""", ["postings[0].amount", "postings[1].amount", "postings[1].account_id"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","from_account_id":1000,"amount":"1"}]}""", ["postings[0].account_id", "postings[0].from_account_id"] },
        { """{"mode":"atomic","postings":[{"type":"transfer","account_id":1000,"amount":"1"}]}""", ["postings[0].account_id", "postings[0].from_account_id", "postings[0].to_account_id"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","account_id":1000,"amount":"1","amont":"2"}]}""", ["postings[0].amont"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","type":"deposit","account_id":1000,"amount":"1"}]}""", ["postings[0].type"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","account_id":1000,"amount":"1","metadata":{"a":1}}]}""", ["postings[0].metadata.a"] },
        { """{"mode":"atomic","postings":[{"type":"deposit","account_id":"x","amount":true}],"more":1}""", ["postings[0].account_id", "postings[0].amount", "more"] },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task A_batch_with_mistakes_is_refused_and_names_them_all(string body, string[] fields) =>
        (await bank.PostAsync("/api/batch", body)).ShouldBeProblem(400, "validation_failed", fields);

    [Theory]
    [InlineData(1_001)]
    [InlineData(40_000)]
    public async Task More_than_a_thousand_postings_are_refused(int postings)
    {
        var one = """{"type":"deposit"}""";
        var body = $$"""{"mode":"atomic","postings":[{{string.Join(',', Enumerable.Repeat(one, postings))}}]}""";

        var reply = await bank.PostAsync("/api/batch", body);

        ((int)reply.Status).Should().Be(400);
        reply.Body.GetProperty("errors").EnumerateObject().Should().Contain(error => error.Name.StartsWith("postings"));
    }

    private static object Deposit(long account, string amount) => new { type = "deposit", account_id = account, amount };

    private static object Withdrawal(long account, string amount, string? reference = null) => new { type = "withdrawal", account_id = account, amount, reference };

    private static object Transfer(long from, long to, string amount, string? reference = null) =>
        new { type = "transfer", from_account_id = from, to_account_id = to, amount, reference };

    private static string? CodeOf(JsonElement result) =>
        result.TryGetProperty("problem", out var problem) ? problem.GetProperty("code").GetString() : null;
}
