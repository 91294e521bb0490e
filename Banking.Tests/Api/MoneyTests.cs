using FluentAssertions;

namespace Banking.Tests;

public sealed class MoneyTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("JPY", "150", "150", "0")]
    [InlineData("JPY", "150.0000", "150", "0")]
    [InlineData("USD", "10.5", "10.50", "0.00")]
    [InlineData("USD", "10.50", "10.50", "0.00")]
    [InlineData("USD", "\"10.5\"", "10.50", "0.00")]
    [InlineData("USD", "\"10.5000\"", "10.50", "0.00")]
    [InlineData("USD", "7", "7.00", "0.00")]
    [InlineData("USD", "\"0.01\"", "0.01", "0.00")]
    [InlineData("KWD", "1.25", "1.250", "0.000")]
    [InlineData("KWD", "\"0.001\"", "0.001", "0.000")]
    [InlineData("CLF", "1", "1.0000", "0.0000")]
    [InlineData("CLF", "0.0001", "0.0001", "0.0000")]
    public async Task An_amount_may_be_a_string_or_a_number_and_answers_have_the_decimals_of_the_currency(
        string currency, string amount, string answer, string zero)
    {
        var account = await bank.OpenAsync(currency: currency);

        var deposit = await bank.PostAsync("/api/deposit", $$"""{"account_id":{{account}},"amount":{{amount}}}""");

        deposit.ShouldBeCreated();
        deposit.Body.GetProperty("amount").GetString().Should().Be(answer);
        deposit.Body.GetProperty("to_balance_after").GetString().Should().Be(answer);
        (await bank.BalanceAsync(account)).Should().Be(answer);
        (await bank.HistoryAsync(account))[0].GetProperty("balance_after").GetString().Should().Be(answer);
        (await bank.WithdrawAsync(account, answer))["from_balance_after"].Should().Be(zero);
    }

    [Theory]
    [InlineData("JPY", "999999999999999", "1")]
    [InlineData("USD", "999999999999999.99", "0.01")]
    [InlineData("KWD", "999999999999999.999", "0.001")]
    [InlineData("CLF", "999999999999999.9999", "0.0001")]
    public async Task The_largest_balance_is_exact_and_one_unit_more_is_refused(string currency, string largest, string unit)
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync(currency: currency);

        var deposit = await own.PostAsync("/api/deposit", $$"""{"account_id":{{account}},"amount":{{largest}}}""");

        deposit.ShouldBeCreated();
        deposit["amount"].Should().Be(largest);
        deposit["from_balance_after"].Should().Be($"-{largest}");
        (await own.DepositAsync(account, unit)).ShouldBeProblem(422, "balance_limit_exceeded");
        (await own.BalanceAsync(account)).Should().Be(largest);
        (await own.WithdrawAsync(account, unit)).ShouldBeCreated();
        (await own.DepositAsync(account, unit))["to_balance_after"].Should().Be(largest);
        (await own.WithdrawAsync(account, largest)).ShouldBeCreated();
        (await own.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task The_largest_overdraft_can_be_drawn_to_its_last_unit()
    {
        await using var own = new BankingApp(database);
        const string Largest = "999999999999999.9999";
        var account = await own.OpenAsync(currency: "CLF", overdraftLimit: Largest);

        (await own.WithdrawAsync(account, Largest))["from_balance_after"].Should().Be($"-{Largest}");
        (await own.WithdrawAsync(account, "0.0001")).ShouldBeProblem(422, "insufficient_funds");
    }

    [Fact]
    public async Task Ten_cents_and_twenty_cents_are_thirty_cents()
    {
        var account = await bank.OpenAsync("0.1");

        var reply = await bank.PostAsync("/api/deposit", $$"""{"account_id":{{account}},"amount":0.2}""");

        reply["to_balance_after"].Should().Be("0.30");
        (await bank.WithdrawAsync(account, "0.30"))["from_balance_after"].Should().Be("0.00");
    }

    [Fact]
    public async Task Many_small_amounts_add_up_exactly_on_a_large_balance()
    {
        var account = await bank.OpenAsync("100000000000", "CLF");

        await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => bank.DepositAsync(account, "0.0007")));

        (await bank.BalanceAsync(account)).Should().Be("100000000000.2100");
    }

    [Fact]
    public async Task Every_currency_has_up_to_four_decimals_and_its_smallest_unit_can_be_posted()
    {
        await using var own = new BankingApp(database);
        var currencies = await own.Book.ScalarAsync<string[]>("SELECT array_agg(code || ' ' || minor_unit ORDER BY code) FROM currency");
        currencies.Should().HaveCountGreaterThan(150);

        await Task.WhenAll(currencies!.Select(async currency =>
        {
            var (code, digits) = (currency[..3], int.Parse(currency[4..], null));
            digits.Should().BeInRange(0, 4, "{0}", code);
            var unit = digits == 0 ? "1" : $"0.{"1".PadLeft(digits, '0')}";
            var reply = await own.PostAsync("/api/create_account", new { owner_name = code, currency = code, initial_deposit = unit });
            reply.ShouldBeCreated();
            reply["currency"].Should().Be(code);
            reply["balance"].Should().Be(unit);
            if (digits < 4)
            {
                (await own.DepositAsync(reply.Id("account_id"), $"0.{"1".PadLeft(digits + 1, '0')}")).ShouldBeProblem(422, "amount_precision", "amount");
            }
        }));

        (await own.Book.FailedChecksAsync()).Should().BeEmpty();
    }
}
