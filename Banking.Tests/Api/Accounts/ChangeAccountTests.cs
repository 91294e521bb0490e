using FluentAssertions;

namespace Banking.Tests;

public sealed class ChangeAccountTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("Zoë Müller 🦊", null)]
    [InlineData(null, "20.5")]
    [InlineData("Ada", "0")]
    public async Task Given_members_change_and_the_others_stay(string? ownerName, string? overdraftLimit)
    {
        var opened = await bank.PostAsync("/api/create_account", new
        {
            owner_name = "Someone",
            currency = "EUR",
            initial_deposit = "10",
            overdraft_limit = "7",
            reference = "R",
            metadata = new { k = "v" },
        });

        var changed = await bank.ChangeAsync(opened.Id("account_id"), ownerName, overdraftLimit, "asked for");

        changed.ShouldBeOk();
        changed["owner_name"].Should().Be(ownerName ?? "Someone");
        changed["overdraft_limit"].Should().Be(overdraftLimit switch { null => "7.00", "0" => "0.00", _ => "20.50" });
        changed["available"].Should().Be(overdraftLimit switch { null => "17.00", "0" => "10.00", _ => "30.50" });
        changed["balance"].Should().Be("10.00");
        foreach (var member in new[] { "account_id", "currency", "status", "balance", "held", "reference", "metadata", "created_at" })
        {
            changed[member].Should().Be(opened[member]);
        }

        changed.Body.Members().Should().Equal(opened.Body.Members().SkipLast(1), "only an opening shows a transaction");
        (await bank.AccountAsync(opened.Id("account_id"))).Text.Should().Be(changed.Text);
    }

    [Fact]
    public async Task One_of_the_two_members_is_needed()
    {
        var account = await bank.OpenAsync();

        (await bank.ChangeAsync(account)).ShouldBeProblem(400, "validation_failed", "owner_name", "overdraft_limit");
        (await bank.ChangeAsync(account, reason: "because")).ShouldBeProblem(400, "validation_failed", "owner_name", "overdraft_limit");
    }

    [Fact]
    public async Task A_limit_can_fall_to_the_overdraft_in_use_and_not_a_cent_below()
    {
        var account = await bank.OpenAsync(overdraftLimit: "100");
        (await bank.WithdrawAsync(account, "30")).ShouldBeCreated();

        (await bank.ChangeAsync(account, "Ada", "29.99")).ShouldBeProblem(422, "limit_below_use");
        (await bank.ChangeAsync(account, overdraftLimit: "30")).ShouldBeOk();
        (await bank.WithdrawAsync(account, "0.01")).ShouldBeProblem(422, "insufficient_funds");
        (await bank.ChangeAsync(account, overdraftLimit: "30.01")).ShouldBeOk();
        (await bank.WithdrawAsync(account, "0.01")).ShouldBeCreated();
        (await bank.AccountAsync(account))["owner_name"].Should().Be("Someone", "a refusal changes nothing, not even the name");
    }

    [Theory]
    [InlineData("USD", "1.001")]
    [InlineData("JPY", "0.5")]
    [InlineData("KWD", "1.0001")]
    public async Task A_limit_has_the_decimals_of_its_currency(string currency, string limit)
    {
        var account = await bank.OpenAsync(currency: currency);

        (await bank.ChangeAsync(account, overdraftLimit: limit)).ShouldBeProblem(422, "amount_precision", "overdraft_limit");
        (await bank.ChangeAsync(account, overdraftLimit: "999999999999999")).ShouldBeOk();
    }

    [Theory]
    [InlineData("debits")]
    [InlineData("all")]
    public async Task A_frozen_account_is_changed_and_stays_frozen(string blocks)
    {
        var account = await bank.OpenAsync();
        var frozen = await bank.FreezeAsync(account, blocks);

        var changed = await bank.ChangeAsync(account, "Ada", "5");

        changed.ShouldBeOk();
        changed["status"].Should().Be(frozen["status"]);
        (await bank.WithdrawAsync(account, "1")).ShouldBeProblem(409, "account_frozen");
    }

    [Fact]
    public async Task Of_a_closed_account_only_the_name_can_be_corrected()
    {
        var account = await bank.OpenAsync(overdraftLimit: "5");
        (await bank.CloseAsync(account)).ShouldBeOk();

        (await bank.ChangeAsync(account, overdraftLimit: "5")).ShouldBeProblem(409, "account_closed");
        (await bank.ChangeAsync(account, "Ada", "0")).ShouldBeProblem(409, "account_closed");
        var changed = await bank.ChangeAsync(account, "Ada");

        changed.ShouldBeOk();
        changed["owner_name"].Should().Be("Ada");
        changed["status"].Should().Be("closed");
        changed["overdraft_limit"].Should().Be("5.00");
    }

    [Fact]
    public async Task No_log_holds_a_name()
    {
        var name = $"Ada {Guid.NewGuid()}";
        var account = await bank.OpenAsync();

        (await bank.ChangeAsync(account, name)).ShouldBeOk();

        (await bank.Book.ScalarAsync<long>(
            "SELECT count(*) FROM account_log WHERE account_id = @account AND account_log::text LIKE '%' || @name || '%';", new { account, name })).Should().Be(0);
    }
}
