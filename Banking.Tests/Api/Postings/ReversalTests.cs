using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class ReversalTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task A_reversal_moves_the_money_back_and_leaves_the_original_as_it_is()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync("5"));
        var original = await bank.TransferAsync(payer, payee, "30");

        var reversal = await bank.ReverseAsync(original.Id("transaction_id"));

        reversal.ShouldBeCreated();
        reversal["type"].Should().Be("reversal");
        (reversal.Id("from_account_id"), reversal.Id("to_account_id"), reversal["amount"]).Should().Be((payee, payer, "30.00"));
        (reversal["from_balance_after"], reversal["to_balance_after"]).Should().Be(("5.00", "100.00"));
        reversal.Id("reverses_transaction_id").Should().Be(original.Id("transaction_id"));
        (await bank.BalanceAsync(payer)).Should().Be("100.00");
        var shown = await bank.GetAsync($"/api/get_one_transaction?transaction_id={original.Id("transaction_id")}");
        shown.Text.Should().StartWith(original.Text[..^1], "the original never changes");
        shown["reversed_amount"].Should().Be("30.00");
        Ids(shown.Body.GetProperty("reversed_by_transaction_ids")).Should().Equal(reversal.Id("transaction_id"));
    }

    [Fact]
    public async Task Parts_are_reversed_as_long_as_something_is_left()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var original = (await bank.TransferAsync(payer, payee, "30")).Id("transaction_id");

        (await bank.ReverseAsync(original, "10.01")).ShouldBeCreated();
        (await bank.ReverseAsync(original, "20")).ShouldBeProblem(422, "reversal_amount_exceeded");
        var rest = await bank.ReverseAsync(original);

        rest["amount"].Should().Be("19.99");
        (await bank.ReverseAsync(original)).ShouldBeProblem(409, "already_reversed");
        (await bank.ReverseAsync(original, "0.01")).ShouldBeProblem(409, "already_reversed");
        (await bank.BalanceAsync(payee)).Should().Be("0.00");
    }

    [Fact]
    public async Task A_deposit_is_reversed_to_its_settlement_account_and_a_withdrawal_from_it()
    {
        var account = await bank.OpenAsync("100", "JPY");
        var deposit = (await bank.DepositAsync(account, "50")).Id("transaction_id");
        var withdrawal = (await bank.WithdrawAsync(account, "20")).Id("transaction_id");

        var back = await bank.ReverseAsync(deposit, "40");
        var forth = await bank.ReverseAsync(withdrawal);

        (back.Id("from_account_id"), back.Id("to_account_id"), back["amount"]).Should().Be((account, 392, "40"));
        (forth.Id("from_account_id"), forth.Id("to_account_id"), forth["amount"]).Should().Be((392, account, "20"));
        (await bank.BalanceAsync(account)).Should().Be("110");
    }

    [Fact]
    public async Task Both_directions_are_linked_in_the_history_of_both_accounts()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var original = (await bank.TransferAsync(payer, payee, "30")).Id("transaction_id");
        var parts = new[] { (await bank.ReverseAsync(original, "1")).Id("transaction_id"), (await bank.ReverseAsync(original, "2")).Id("transaction_id") };

        foreach (var account in new[] { payer, payee })
        {
            var entries = (await bank.HistoryAsync(account)).ToDictionary(entry => entry.GetProperty("transaction_id").GetInt64());
            Ids(entries[original].GetProperty("reversed_by_transaction_ids")).Should().Equal(parts);
            parts.Should().OnlyContain(part => entries[part].GetProperty("reverses_transaction_id").GetInt64() == original);
            parts.Should().OnlyContain(part => entries[part].GetProperty("type").GetString() == "reversal");
        }
    }

    [Fact]
    public async Task The_rules_of_posting_hold_for_a_reversal()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var original = (await bank.TransferAsync(payer, payee, "30")).Id("transaction_id");

        (await bank.ReverseAsync(original, "0.001")).ShouldBeProblem(422, "amount_precision", "amount");
        (await bank.WithdrawAsync(payee, "25")).ShouldBeCreated();
        (await bank.ReverseAsync(original)).ShouldBeProblem(422, "insufficient_funds");
        (await bank.ReverseAsync(original, "5")).ShouldBeCreated();
        (await bank.FreezeAsync(payer)).ShouldBeOk();
        (await bank.DepositAsync(payee, "25")).ShouldBeCreated();
        (await bank.ReverseAsync(original)).ShouldBeProblem(409, "account_frozen");
        (await bank.UnfreezeAsync(payer)).ShouldBeOk();
        (await bank.WithdrawAsync(payer, "75")).ShouldBeCreated();
        (await bank.CloseAsync(payer)).ShouldBeOk();
        (await bank.ReverseAsync(original)).ShouldBeProblem(409, "account_closed");
    }

    [Fact]
    public async Task A_reversal_is_not_reversible_and_an_unknown_transaction_is_not_found()
    {
        var account = await bank.OpenAsync("100");
        var reversal = (await bank.ReverseAsync((await bank.DepositAsync(account, "1")).Id("transaction_id"))).Id("transaction_id");

        (await bank.ReverseAsync(reversal)).ShouldBeProblem(409, "not_reversible");
        (await bank.ReverseAsync(9_000_000_000)).ShouldBeProblem(404, "transaction_not_found");
    }

    [Fact]
    public async Task A_retry_gets_the_first_answer_and_another_request_with_its_key_is_refused()
    {
        var account = await bank.OpenAsync("100");
        var original = (await bank.DepositAsync(account, "10")).Id("transaction_id");
        var key = $"reversal-{Guid.NewGuid()}";

        var first = await bank.ReverseAsync(original, key: key);
        var retry = await bank.ReverseAsync(original, key: key);

        first.ShouldBeCreated();
        retry.ShouldBeCreated(replayed: true);
        retry.Text.Should().Be(first.Text);
        (await bank.ReverseAsync(original, "10", key)).ShouldBeProblem(422, "idempotency_key_reused");
        (await bank.DepositAsync(account, "10", key)).ShouldBeProblem(422, "idempotency_key_reused");
        (await bank.BalanceAsync(account)).Should().Be("100.00");
    }

    private static IEnumerable<long> Ids(JsonElement list) => list.EnumerateArray().Select(id => id.GetInt64());
}
