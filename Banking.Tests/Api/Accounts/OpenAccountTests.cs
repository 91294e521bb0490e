using FluentAssertions;

namespace Banking.Tests;

/// <summary>Reference and metadata of new accounts, and their available money.</summary>
public sealed class OpenAccountTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task Reference_and_metadata_are_shown_unchanged()
    {
        var opened = await bank.PostAsync(
            "/api/create_account", """{"owner_name":"Someone","reference":"Ünit 🦊","metadata":{"zz":"1","b":"","a":"\"quoted\" ü"}}""");

        opened.ShouldBeCreated();
        opened["reference"].Should().Be("Ünit 🦊");
        opened.Body.GetProperty("metadata").EnumerateObject().Select(member => $"{member.Name}={member.Value}").Should()
            .Equal("a=\"quoted\" ü", "b=", "zz=1");
        (await bank.AccountAsync(opened.Id("account_id"))).Text.Should().Be(opened.AccountText());
        (await bank.FreezeAsync(opened.Id("account_id"))).Text.Should().Be(opened.AccountText().Replace("\"active\"", "\"frozen\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Missing_reference_and_metadata_are_null()
    {
        var opened = await bank.PostAsync("/api/create_account", """{"owner_name":"Someone"}""");

        opened.Text.Should().Contain("\"reference\":null,\"metadata\":null,");
        (await bank.AccountAsync(opened.Id("account_id"))).Text.Should().Be(opened.AccountText());
    }

    [Fact]
    public async Task The_answer_names_the_transaction_of_the_initial_deposit()
    {
        var (key, body) = (Guid.NewGuid().ToString(), new { owner_name = "Someone", initial_deposit = "5" });

        var opened = await bank.PostAsync("/api/create_account", body, key);
        await bank.DepositAsync(opened.Id("account_id"), "1");
        var again = await bank.PostAsync("/api/create_account", body, key);

        var deposit = await bank.GetAsync($"/api/get_one_transaction?transaction_id={opened.Id("transaction_id")}");
        deposit.Id("to_account_id").Should().Be(opened.Id("account_id"));
        deposit["amount"].Should().Be("5.00");
        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(opened.Text);
    }

    [Theory]
    [InlineData("""{"owner_name":"Someone"}""")]
    [InlineData("""{"owner_name":"Someone","initial_deposit":"0"}""")]
    public async Task Without_an_initial_deposit_there_is_no_transaction(string body)
    {
        var key = Guid.NewGuid().ToString();
        var opened = await bank.PostAsync("/api/create_account", body, key);
        await bank.DepositAsync(opened.Id("account_id"), "1");

        opened.Text.Should().EndWith(",\"transaction_id\":null}");
        (await bank.PostAsync("/api/create_account", body, key)).Text.Should().Be(opened.Text);
    }

    [Fact]
    public async Task A_key_with_another_reference_or_metadata_is_refused()
    {
        var key = Guid.NewGuid().ToString();
        var first = await bank.PostAsync("/api/create_account", """{"owner_name":"A","reference":"r","metadata":{"a":"1","b":"2"}}""", key);

        // The order of members has no meaning.
        var again = await bank.PostAsync("/api/create_account", """{"metadata":{"b":"2","a":"1"},"owner_name":"A","reference":"r"}""", key);

        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
        foreach (var other in new[]
        {
            """{"owner_name":"A","reference":"R","metadata":{"a":"1","b":"2"}}""",
            """{"owner_name":"A","metadata":{"a":"1","b":"2"}}""",
            """{"owner_name":"A","reference":"r","metadata":{"a":"1"}}""",
            """{"owner_name":"A","reference":"r","metadata":{"a":"2","b":"1"}}""",
            """{"owner_name":"A","reference":"r"}""",
        })
        {
            (await bank.PostAsync("/api/create_account", other, key)).ShouldBeProblem(422, "idempotency_key_reused");
        }
    }

    [Theory]
    [InlineData("0", "0", "0.00")]
    [InlineData("10.5", "0", "10.50")]
    [InlineData("0", "20", "20.00")]
    [InlineData("10", "20", "30.00")]
    public async Task Without_holds_balance_and_overdraft_are_available(string deposit, string limit, string available)
    {
        var account = await bank.OpenAsync(deposit, overdraftLimit: limit);

        var shown = await bank.AccountAsync(account);

        shown["held"].Should().Be("0.00");
        shown["available"].Should().Be(available);
        if (available != "0.00")
        {
            (await bank.WithdrawAsync(account, available)).ShouldBeCreated();
        }

        (await bank.AccountAsync(account))["available"].Should().Be("0.00");
        (await bank.WithdrawAsync(account, "0.01")).ShouldBeProblem(422, "insufficient_funds");
    }

    [Fact]
    public async Task Held_money_is_available_neither_to_postings_nor_to_a_lower_limit()
    {
        await using var app = new BankingApp(database);
        var (account, other) = (await app.OpenAsync("100", overdraftLimit: "20"), await app.OpenAsync());
        await app.Book.ExecuteAsync("UPDATE account SET held = 70 WHERE account_id = @account;", new { account });

        var shown = await app.AccountAsync(account);
        shown["balance"].Should().Be("100.00");
        shown["held"].Should().Be("70.00");
        shown["available"].Should().Be("50.00");
        (await app.WithdrawAsync(account, "50.01")).ShouldBeProblem(422, "insufficient_funds");
        (await app.TransferAsync(account, other, "50.01")).ShouldBeProblem(422, "insufficient_funds");
        (await app.TransferAsync(account, other, "45")).ShouldBeCreated();
        (await app.ChangeAsync(account, overdraftLimit: "14.99")).ShouldBeProblem(422, "limit_below_use");
        var changed = await app.ChangeAsync(account, overdraftLimit: "15");
        changed.ShouldBeOk();
        changed["available"].Should().Be("0.00");
        changed["held"].Should().Be("70.00");
        (await app.DepositAsync(account, "1")).ShouldBeCreated();
        (await app.AccountAsync(account))["available"].Should().Be("1.00");
        app.Complaints.Should().BeEmpty();
    }

    [Theory]
    [InlineData("0")]
    [InlineData("5.00")]
    public async Task A_retry_without_a_currency_is_replayed_after_the_default_has_changed(string deposit)
    {
        await using var before = new BankingApp(database);
        await using var after = new BankingApp(database, before.Book.Schema, ("Banking:DefaultCurrency", "JPY"));
        var (body, key) = (new { owner_name = "Someone", initial_deposit = deposit, overdraft_limit = "1.50" }, Guid.NewGuid().ToString());
        var first = await before.PostAsync("/api/create_account", body, key);

        var again = await after.PostAsync("/api/create_account", body, key);

        first["currency"].Should().Be("USD");
        again.ShouldBeCreated(replayed: true);
        again.Text.Should().Be(first.Text);
        (await after.PostAsync("/api/create_account", new { owner_name = "Someone" }))["currency"].Should().Be("JPY");
        (await before.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE kind = 'customer';")).Should().Be(2);
    }
}
