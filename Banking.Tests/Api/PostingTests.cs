using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class PostingTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private const string Most = "999999999999999.99";

    private static readonly string[] Members =
    [
        "transaction_id", "type", "from_account_id", "to_account_id", "amount", "currency",
        "from_balance_after", "to_balance_after", "reverses_transaction_id", "hold_id", "reference", "metadata", "created_at",
    ];

    private readonly BankingApp bank = shared.App;

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
        (await bank.GetAsync(reply.Headers.Location!.ToString())).TransactionText().Should().Be(reply.Text);
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

    [Fact]
    public async Task The_answer_to_a_transfer_has_every_member()
    {
        var (from, to) = (await bank.OpenAsync("100"), await bank.OpenAsync("5"));

        var reply = await bank.TransferAsync(from, to, "30");

        reply.ShouldBeCreated();
        reply.Id("from_account_id").Should().Be(from);
        reply.Id("to_account_id").Should().Be(to);
        reply["currency"].Should().Be("USD");
        IsPlainAndRecent(reply);
    }

    [Fact]
    public async Task A_deposit_comes_from_the_settlement_account()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("5");

        var reply = await own.DepositAsync(account, "30.25");

        reply.ShouldBeCreated();
        reply["type"].Should().Be("deposit");
        reply.Id("from_account_id").Should().Be(840);
        reply.Id("to_account_id").Should().Be(account);
        reply["amount"].Should().Be("30.25");
        reply["currency"].Should().Be("USD");
        reply["from_balance_after"].Should().Be("-35.25");
        reply["to_balance_after"].Should().Be("35.25");
        IsPlainAndRecent(reply);
        (await own.BalanceAsync(account)).Should().Be("35.25");
        (await own.BalanceAsync(840)).Should().Be("-35.25");
    }

    [Fact]
    public async Task A_withdrawal_goes_to_the_settlement_account()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100", "EUR");

        var reply = await own.WithdrawAsync(account, "100");

        reply.ShouldBeCreated();
        reply["type"].Should().Be("withdrawal");
        reply.Id("from_account_id").Should().Be(account);
        reply.Id("to_account_id").Should().Be(978);
        reply["amount"].Should().Be("100.00");
        reply["currency"].Should().Be("EUR");
        reply["from_balance_after"].Should().Be("0.00");
        reply["to_balance_after"].Should().Be("0.00");
        IsPlainAndRecent(reply);
        (await own.BalanceAsync(account)).Should().Be("0.00");
        (await own.BalanceAsync(978)).Should().Be("0.00");
    }

    [Fact]
    public async Task Every_posting_leaves_books_that_pass_the_checks()
    {
        await using var own = new BankingApp(database);
        var (one, other) = (await own.OpenAsync("100", overdraftLimit: "50"), await own.OpenAsync("0.01"));

        (await own.DepositAsync(one, "1")).ShouldBeCreated();
        (await own.TransferAsync(one, other, "151")).ShouldBeCreated();
        (await own.TransferAsync(one, other, "0.01")).ShouldBeProblem(422, "insufficient_funds");
        (await own.WithdrawAsync(other, "151.01")).ShouldBeCreated();

        (await own.Book.FailedChecksAsync()).Should().BeEmpty();
        own.Complaints.Should().BeEmpty();
    }

    [Fact]
    public async Task An_unknown_account_is_not_found()
    {
        var account = await bank.OpenAsync("100");

        await IsRefusedAsync(404, "account_not_found", () => bank.DepositAsync(long.MaxValue, "1"), account);
        await IsRefusedAsync(404, "account_not_found", () => bank.WithdrawAsync(long.MaxValue, "1"), account);
        await IsRefusedAsync(404, "account_not_found", () => bank.TransferAsync(account, long.MaxValue, "1"), account);
        await IsRefusedAsync(404, "account_not_found", () => bank.TransferAsync(long.MaxValue, account, "1"), account);
    }

    [Fact]
    public async Task A_transfer_to_the_same_account_is_refused()
    {
        var account = await bank.OpenAsync("100");

        await IsRefusedAsync(422, "same_account", () => bank.TransferAsync(account, account, "1"), account);
    }

    [Fact]
    public async Task A_transfer_between_currencies_is_refused()
    {
        var (dollars, euros) = (await bank.OpenAsync("100"), await bank.OpenAsync("100", "EUR"));

        await IsRefusedAsync(422, "currency_mismatch", () => bank.TransferAsync(dollars, euros, "1"), dollars, euros);
        await IsRefusedAsync(422, "currency_mismatch", () => bank.TransferAsync(euros, dollars, "1"), dollars, euros);
    }

    [Fact]
    public async Task An_amount_with_more_decimals_than_the_currency_is_refused()
    {
        var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync());

        await IsRefusedAsync(422, "amount_precision", () => bank.DepositAsync(one, "1.001"), one);
        await IsRefusedAsync(422, "amount_precision", () => bank.WithdrawAsync(one, "1.001"), one);
        await IsRefusedAsync(422, "amount_precision", () => bank.TransferAsync(one, other, "0.0001"), one, other);
        (await bank.DepositAsync(one, "1.0000"))["amount"].Should().Be("1.00");
    }

    [Fact]
    public async Task More_than_the_balance_is_refused()
    {
        var (from, to) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));

        await IsRefusedAsync(422, "insufficient_funds", () => bank.WithdrawAsync(from, "100.01"), from);
        await IsRefusedAsync(422, "insufficient_funds", () => bank.TransferAsync(from, to, "100.01"), from, to);
        (await bank.TransferAsync(from, to, "100.00"))["from_balance_after"].Should().Be("0.00");
    }

    [Fact]
    public async Task More_than_a_balance_can_hold_is_refused()
    {
        await using var own = new BankingApp(database);
        var (full, lender) = (await own.OpenAsync(Most), await own.OpenAsync(overdraftLimit: "1000"));

        (await own.DepositAsync(full, "0.01")).ShouldBeProblem(422, "balance_limit_exceeded");
        (await own.TransferAsync(lender, full, "0.01")).ShouldBeProblem(422, "balance_limit_exceeded");

        (await own.BalanceAsync(full)).Should().Be(Most);
        (await own.HistoryAsync(full)).Should().ContainSingle();
        (await own.HistoryAsync(lender)).Should().BeEmpty();
        (await own.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task More_than_the_settlement_account_can_owe_is_refused()
    {
        await using var own = new BankingApp(database);
        var (_, empty) = (await own.OpenAsync(Most), await own.OpenAsync());

        (await own.DepositAsync(empty, "0.01")).ShouldBeProblem(422, "balance_limit_exceeded");
        (await own.PostAsync("/api/create_account", new { owner_name = "Nobody", initial_deposit = "0.01" }))
            .ShouldBeProblem(422, "balance_limit_exceeded");

        (await own.BalanceAsync(840)).Should().Be($"-{Most}");
        (await own.HistoryAsync(empty)).Should().BeEmpty();
        (await own.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE owner_name = 'Nobody'")).Should().Be(0);
        (await own.DepositAsync(await own.OpenAsync(currency: "EUR"), "0.01")).ShouldBeCreated();
    }

    [Theory]
    [InlineData("frozen")]
    [InlineData("closed")]
    public async Task An_account_that_is_not_active_takes_no_postings(string status)
    {
        var (barred, other) = (await bank.OpenAsync(status == "closed" ? "0" : "100"), await bank.OpenAsync("100")); // only an empty account can be closed
        ((int)(await bank.PostAsync(status == "closed" ? "/api/close_account" : "/api/freeze_account", new { account_id = barred, reason = "Court order" })).Status)
            .Should().Be(200);

        await IsRefusedAsync(409, $"account_{status}", () => bank.DepositAsync(barred, "1"), barred);
        await IsRefusedAsync(409, $"account_{status}", () => bank.WithdrawAsync(barred, "1"), barred);
        await IsRefusedAsync(409, $"account_{status}", () => bank.TransferAsync(barred, other, "1"), barred, other);
        await IsRefusedAsync(409, $"account_{status}", () => bank.TransferAsync(other, barred, "1"), barred, other);
        (await bank.GetAsync($"/api/get_one_account?account_id={barred}"))["status"].Should().Be(status);
    }

    [Theory]
    [InlineData("deposit")]
    [InlineData("withdraw")]
    [InlineData("transaction")]
    public async Task Reference_and_metadata_are_shown_unchanged_in_every_answer_with_the_posting(string call)
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var reference = string.Concat(Enumerable.Repeat("🧾", 138)) + "ü\"";
        var metadata = new Dictionary<string, string> { ["order"] = "4711 \\ \"<é>\" 🦊 \u0001\n", ["b"] = "", ["é"] = new('x', 500), ["a"] = "1" };
        object body = call == "transaction"
            ? new { from_account_id = account, to_account_id = other, amount = "1", reference, metadata }
            : new { account_id = account, amount = "1", reference, metadata };
        var key = Guid.NewGuid().ToString();

        var posted = await bank.PostAsync($"/api/{call}", body, key);

        posted.ShouldBeCreated();
        posted["reference"].Should().Be(reference);
        // The order of PostgreSQL's jsonb: shorter names first, then by bytes.
        posted.Body.GetProperty("metadata").Members().Should().Equal("a", "b", "é", "order");
        posted.Body.GetProperty("metadata").Deserialize<Dictionary<string, string>>().Should().BeEquivalentTo(metadata);
        (await bank.GetAsync(posted.Headers.Location!.ToString())).TransactionText().Should().Be(posted.Text);
        var replay = await bank.PostAsync($"/api/{call}", body, key);
        replay.ShouldBeCreated(replayed: true);
        replay.Text.Should().Be(posted.Text);
        var entry = (await bank.HistoryAsync(account))[0];
        entry.GetProperty("reference").GetRawText().Should().Be(posted.Body.GetProperty("reference").GetRawText());
        entry.GetProperty("metadata").GetRawText().Should().Be(posted.Body.GetProperty("metadata").GetRawText());
        entry.GetProperty("created_at").GetRawText().Should().Be(posted.Body.GetProperty("created_at").GetRawText());
    }

    [Theory]
    [InlineData(19, 62, "k", 345, "v")]
    [InlineData(19, 62, "🔑", 160, "v")]
    [InlineData(4, 0, "k", 500, "🦊")]
    [InlineData(19, 0, "k", 409, "\u0001")]
    public async Task Metadata_takes_8192_bytes_of_names_and_values_and_not_one_more(
        int members, int nameLength, string nameCharacter, int valueLength, string valueCharacter)
    {
        var account = await bank.OpenAsync();
        var metadata = Enumerable.Range(10, members).ToDictionary(
            i => $"{i}{string.Concat(Enumerable.Repeat(nameCharacter, nameLength))}",
            _ => string.Concat(Enumerable.Repeat(valueCharacter, valueLength)));
        metadata["rest"] = new('r', 8_192 - "rest".Length - metadata.Sum(member => Encoding.UTF8.GetByteCount(member.Key + member.Value)));

        var reply = await bank.PostAsync("/api/deposit", new { account_id = account, amount = 1, metadata });
        metadata["rest"] += "r";
        var refused = await bank.PostAsync("/api/deposit", new { account_id = account, amount = 1, metadata });

        reply.ShouldBeCreated();
        metadata["rest"] = metadata["rest"][1..];
        reply.Body.GetProperty("metadata").Deserialize<Dictionary<string, string>>().Should().BeEquivalentTo(metadata);
        (await bank.GetAsync(reply.Headers.Location!.ToString())).TransactionText().Should().Be(reply.Text);
        refused.ShouldBeProblem(400, "validation_failed", "metadata");
        refused["detail"].Should().Contain("8192 bytes");
    }

    [Theory]
    [InlineData("{}", "\"\"")]
    [InlineData("null", "null")]
    public async Task Empty_reference_and_metadata_stay_empty_and_missing_ones_stay_null(string metadata, string reference)
    {
        var account = await bank.OpenAsync();

        var reply = await bank.PostAsync("/api/deposit", $$"""{"account_id":{{account}},"amount":1,"reference":{{reference}},"metadata":{{metadata}}}""");

        reply.ShouldBeCreated();
        reply.Body.GetProperty("metadata").GetRawText().Should().Be(metadata);
        reply.Body.GetProperty("reference").GetRawText().Should().Be(reference);
        (await bank.GetAsync(reply.Headers.Location!.ToString())).TransactionText().Should().Be(reply.Text);
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/json; charset=utf-8")]
    [InlineData("application/json;charset=UTF-8")]
    [InlineData("application/json; charset=\"utf-8\"")]
    [InlineData("Application/JSON")]
    public async Task Every_spelling_of_the_json_content_type_is_accepted(string type)
    {
        var account = await bank.OpenAsync();
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(new { account_id = account, amount = 1 }));
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);

        (await bank.SendAsync(new(HttpMethod.Post, "/api/deposit") { Content = content })).ShouldBeCreated();
    }

    private static void IsPlainAndRecent(Reply reply)
    {
        reply.Body.Members().Should().Equal(Members);
        reply.Body.GetProperty("reference").ValueKind.Should().Be(JsonValueKind.Null);
        reply.Body.GetProperty("metadata").ValueKind.Should().Be(JsonValueKind.Null);
        reply.Body.GetProperty("created_at").GetDateTime().Should().BeCloseTo(DateTime.UtcNow, TimeSpan.FromMinutes(1));
        reply["created_at"].Should().EndWith("Z");
        reply.Headers.Location!.ToString().Should().Be($"/api/get_one_transaction?transaction_id={reply["transaction_id"]}");
    }

    private async Task IsRefusedAsync(int status, string code, Func<Task<Reply>> request, params long[] accounts)
    {
        var before = await BooksAsync(accounts);

        (await request()).ShouldBeProblem(status, code, code == "amount_precision" ? ["amount"] : []);

        (await BooksAsync(accounts)).Should().Be(before);
    }

    private Task<string?> BooksAsync(long[] accounts) => bank.Book.ScalarAsync<string>(
        """
        SELECT string_agg(concat_ws(' ', account_id, balance, (SELECT count(*)
                                                                 FROM transaction_log
                                                                WHERE account_id IN (from_account_id, to_account_id))), ', ' ORDER BY account_id)
          FROM account
         WHERE account_id = ANY (@accounts);
        """,
        new { accounts });
}
