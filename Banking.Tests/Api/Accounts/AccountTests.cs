using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class AccountTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task With_only_an_owner_an_account_is_opened_empty_and_in_dollars()
    {
        var reply = await OpenAsync("Ada Lovelace");

        reply.ShouldBeCreated();
        reply.Body.Members().Should().Equal(
            "account_id", "owner_name", "currency", "status", "balance", "held", "available", "overdraft_limit", "reference", "metadata", "created_at",
            "transaction_id");
        reply.Id("account_id").Should().BeGreaterThanOrEqualTo(1000);
        reply["owner_name"].Should().Be("Ada Lovelace");
        reply["currency"].Should().Be("USD");
        reply["status"].Should().Be("active");
        reply["balance"].Should().Be("0.00");
        reply["held"].Should().Be("0.00");
        reply["available"].Should().Be("0.00");
        reply["overdraft_limit"].Should().Be("0.00");
        reply.Body.GetProperty("reference").ValueKind.Should().Be(JsonValueKind.Null);
        reply.Body.GetProperty("metadata").ValueKind.Should().Be(JsonValueKind.Null);
        reply.Body.GetProperty("created_at").GetDateTime().Should().BeCloseTo(DateTime.UtcNow, TimeSpan.FromMinutes(1));
        reply["created_at"].Should().EndWith("Z");
        (await bank.HistoryAsync(reply.Id("account_id"))).Should().BeEmpty();
    }

    [Fact]
    public async Task The_location_of_a_new_account_shows_it()
    {
        var reply = await bank.PostAsync(
            "/api/create_account", new { owner_name = "Ada", currency = "EUR", initial_deposit = "10.50", overdraft_limit = 7 });

        reply.ShouldBeCreated();
        reply.Headers.Location!.ToString().Should().Be($"/api/get_one_account?account_id={reply["account_id"]}");
        var read = await bank.GetAsync(reply.Headers.Location!.ToString());
        ((int)read.Status).Should().Be(200);
        read.ContentType.Should().Be("application/json");
        read.Text.Should().Be(reply.AccountText());
        read["currency"].Should().Be("EUR");
        read["balance"].Should().Be("10.50");
        read["available"].Should().Be("17.50");
        read["overdraft_limit"].Should().Be("7.00");
    }

    [Theory]
    [InlineData("Zoë Müller-Lüdenscheidt 🦊")]
    [InlineData("李小龍 👩‍👩‍👧‍👦")]
    [InlineData("O'Brien; DROP TABLE account; -- \"\\ <b>&amp;\u2028\t")]
    [InlineData("e\u0301")]
    [InlineData("x")]
    public async Task An_owner_name_is_stored_unchanged(string name)
    {
        var reply = await OpenAsync(name);

        reply.ShouldBeCreated();
        reply["owner_name"].Should().Be(name);
        (await bank.GetAsync(reply.Headers.Location!.ToString()))["owner_name"].Should().Be(name);
        (await bank.Book.ScalarAsync<string>("SELECT owner_name FROM account WHERE account_id = @id", new { id = reply.Id("account_id") })).Should().Be(name);
    }

    [Theory]
    [InlineData("a")]
    [InlineData("ü")]
    [InlineData("🦊")]
    public async Task A_name_has_at_most_200_characters_of_any_size(string character)
    {
        var longest = string.Concat(Enumerable.Repeat(character, 200));

        var accepted = await bank.PostAsync("/api/create_account", $$"""{"owner_name":"{{longest}}"}""");
        accepted.ShouldBeCreated();
        accepted["owner_name"].Should().Be(longest);
        (await OpenAsync(longest + character)).ShouldBeProblem(400, "validation_failed", "owner_name");
    }

    [Fact]
    public async Task An_initial_deposit_is_the_first_transaction_of_the_account()
    {
        var account = await bank.OpenAsync("250.75");

        var entry = (await bank.HistoryAsync(account)).Should().ContainSingle().Subject;
        entry.GetProperty("type").GetString().Should().Be("deposit");
        entry.GetProperty("direction").GetString().Should().Be("credit");
        entry.GetProperty("amount").GetString().Should().Be("250.75");
        entry.GetProperty("balance_after").GetString().Should().Be("250.75");
        entry.GetProperty("counterparty_account_id").GetInt64().Should().Be(840);
    }

    [Fact]
    public async Task An_overdraft_lets_the_balance_fall_to_its_limit_and_not_a_cent_below()
    {
        var account = await bank.OpenAsync("10", overdraftLimit: "100");

        (await bank.WithdrawAsync(account, "110.01")).ShouldBeProblem(422, "insufficient_funds");
        (await bank.WithdrawAsync(account, "110.00"))["from_balance_after"].Should().Be("-100.00");
        (await bank.WithdrawAsync(account, "0.01")).ShouldBeProblem(422, "insufficient_funds");
        (await bank.BalanceAsync(account)).Should().Be("-100.00");
    }

    [Theory]
    [InlineData("initial_deposit", "USD", "1.001")]
    [InlineData("initial_deposit", "JPY", "1.5")]
    [InlineData("overdraft_limit", "USD", "1.001")]
    public async Task An_account_whose_amounts_do_not_fit_its_currency_is_not_opened(string member, string currency, string amount)
    {
        var name = $"Nobody {Guid.NewGuid()}";

        var reply = await bank.PostAsync(
            "/api/create_account", new Dictionary<string, string> { ["owner_name"] = name, ["currency"] = currency, [member] = amount });

        reply.ShouldBeProblem(422, "amount_precision", member);
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE owner_name = @name", new { name })).Should().Be(0);
    }

    [Fact]
    public async Task Settlement_accounts_can_be_read_but_not_posted_to()
    {
        var account = await bank.OpenAsync("100");

        var settlement = await bank.GetAsync("/api/get_one_account?account_id=840");
        ((int)settlement.Status).Should().Be(200);
        settlement["currency"].Should().Be("USD");
        (await bank.DepositAsync(840, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.WithdrawAsync(840, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.TransferAsync(account, 840, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.TransferAsync(840, account, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.TransferAsync(840, 978, "1")).ShouldBeProblem(404, "account_not_found");
        (await bank.BalanceAsync(account)).Should().Be("100.00");
    }

    [Theory]
    [InlineData(999)]
    [InlineData(long.MaxValue)]
    public async Task An_account_that_was_never_opened_is_not_found(long accountId) =>
        (await bank.GetAsync($"/api/get_one_account?account_id={accountId}")).ShouldBeProblem(404, "account_not_found");

    [Fact]
    public async Task Accounts_opened_at_once_get_different_ids()
    {
        var accounts = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => bank.OpenAsync("1")));

        accounts.Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public async Task Concurrent_reads_each_get_their_own_account()
    {
        var account = await bank.OpenAsync("1");
        var other = await bank.OpenAsync("2");
        long[] asked = [account, long.MaxValue, other];

        var replies = await Task.WhenAll(Enumerable.Range(0, 300).Select(number =>
            bank.GetAsync($"/api/get_one_account?account_id={asked[number % asked.Length]}")));

        for (var number = 0; number < replies.Length; number++)
        {
            if (asked[number % asked.Length] == long.MaxValue)
            {
                replies[number].ShouldBeProblem(404, "account_not_found");
            }
            else
            {
                replies[number].Id("account_id").Should().Be(asked[number % asked.Length]);
                replies[number]["balance"].Should().Be(asked[number % asked.Length] == account ? "1.00" : "2.00");
            }
        }
    }

    [Fact]
    public async Task A_client_with_an_answer_can_read_its_balance_and_its_transaction_at_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            var account = await bank.OpenAsync();
            for (var times = 1; times <= 10; times++)
            {
                var posted = await bank.DepositAsync(account, "1");
                (await bank.BalanceAsync(account)).Should().Be($"{times}.00");
                (await bank.GetAsync(posted.Headers.Location!.ToString())).TransactionText().Should().Be(posted.Text);
            }
        }));
    }

    private Task<Reply> OpenAsync(string ownerName) => bank.PostAsync("/api/create_account", new { owner_name = ownerName });
}
