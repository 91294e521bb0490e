using FluentAssertions;

namespace Banking.Tests;

/// <summary>The texts of refusals: what is wrong, with which account or field, and what to do.</summary>
public sealed class ProblemTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task A_settlement_account_and_an_unknown_account_get_different_details()
    {
        var account = await bank.OpenAsync("10", "EUR");
        const string IsSettlement = "Account 978 is a settlement account. Only deposits and withdrawals change it. Use a customer's account.";

        Is(await bank.TransferAsync(account, 978, "1"), 404, "account_not_found", IsSettlement);
        Is(await bank.TransferAsync(978, account, "1"), 404, "account_not_found", IsSettlement);
        Is(await bank.DepositAsync(978, "1"), 404, "account_not_found", IsSettlement);
        Is(await bank.TransferAsync(account, 55_555, "1"), 404, "account_not_found", "Account 55555 does not exist. Check the id.");
        Is(await bank.DepositAsync(5, "1"), 404, "account_not_found", "Account 5 does not exist. Check the id.");
        Is(await bank.AccountAsync(55_555), 404, "account_not_found", "Account 55555 does not exist. Check the id.");
    }

    [Theory]
    [InlineData("JPY", "0.1", "Amounts in JPY have no decimals. Send a whole number.")]
    [InlineData("USD", "0.001", "Amounts in USD have at most 2 decimals. Send an amount with fewer decimals.")]
    [InlineData("KWD", "0.0001", "Amounts in KWD have at most 3 decimals. Send an amount with fewer decimals.")]
    public async Task An_amount_with_too_many_decimals_is_named_by_its_field(string currency, string amount, string detail)
    {
        var account = await bank.OpenAsync(currency: currency);
        object Opening(string field) => new Dictionary<string, string> { ["owner_name"] = "Someone", ["currency"] = currency, [field] = amount };

        Is(await bank.DepositAsync(account, amount), 422, "amount_precision", detail, "amount");
        Is(await bank.WithdrawAsync(account, amount), 422, "amount_precision", detail, "amount");
        Is(await bank.PostAsync("/api/create_account", Opening("initial_deposit")), 422, "amount_precision", detail, "initial_deposit");
        Is(await bank.PostAsync("/api/create_account", Opening("overdraft_limit")), 422, "amount_precision", detail, "overdraft_limit");
        Is(await bank.ChangeAsync(account, overdraftLimit: amount), 422, "amount_precision", detail, "overdraft_limit");
    }

    [Fact]
    public async Task A_refused_posting_names_the_rule_that_it_breaks()
    {
        var account = await bank.OpenAsync("10");

        var same = await bank.TransferAsync(account, account, "1");

        Is(same, 422, "same_account", $"Account {account} is named twice. Choose two different accounts.");
        same["title"].Should().Be("The two accounts are the same");
        Is(await bank.WithdrawAsync(account, "10.01"), 422, "insufficient_funds", $"The available balance of account {account} does not cover the amount. Send a smaller amount, or pay money in first.");
    }

    [Fact]
    public async Task A_full_account_and_a_full_settlement_account_get_different_details()
    {
        await using var own = new BankingApp(database);
        var (one, other, third) = (await own.OpenAsync("999999999999990"), await own.OpenAsync(overdraftLimit: "100"), await own.OpenAsync());
        (await own.TransferAsync(other, one, "9")).ShouldBeCreated();

        Is(await own.TransferAsync(other, one, "1"), 422, "balance_limit_exceeded", $"Account {one} can't hold more than 999999999999999.9999 USD. Send a smaller amount.");
        Is(
            await own.DepositAsync(third, "10"), 422, "balance_limit_exceeded",
            "Settlement account 840 is full: all deposits minus all withdrawals can't exceed 999999999999999.9999 USD. Send a smaller amount, and tell the operator.");
    }

    [Fact]
    public async Task A_key_of_another_request_is_refused_whether_its_path_or_its_body_differs()
    {
        var (account, key) = (await bank.OpenAsync("10"), Guid.NewGuid().ToString());
        (await bank.DepositAsync(account, "1", key)).ShouldBeCreated();
        const string Detail = "An earlier request with another path or body has this Idempotency-Key. Use a new key.";

        Is(await bank.DepositAsync(account, "2", key), 422, "idempotency_key_reused", Detail);
        Is(await bank.WithdrawAsync(account, "1", key), 422, "idempotency_key_reused", Detail);
    }

    [Theory]
    [InlineData("GET", "/api/deposit", "/api/deposit does not support GET. Use POST.")]
    [InlineData("POST", "/api/audit_head", "/api/audit_head does not support POST. Use GET.")]
    public async Task A_wrong_method_is_refused_with_the_right_one(string method, string path, string detail)
    {
        Is(await bank.SendAsync(new(new(method), path)), 405, "method_not_allowed", detail);
    }

    private static void Is(Reply reply, int status, string code, string detail, params string[] fields)
    {
        reply.ShouldBeProblem(status, code, fields);
        reply["detail"].Should().Be(detail);
    }
}
