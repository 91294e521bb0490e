using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Reads that are repeated are prepared. Npgsql prepares a statement for one list of types, so no parameter may have another type when it is null.</summary>
public sealed class PreparedReadsTests(TestDatabase database)
{
    private const int Requests = 40;

    [Theory]
    [InlineData("transaction_history?account_id={0}&to={2}", "transaction_history?account_id={0}", "transaction_history?account_id={0}&from={1}&type=deposit&direction=credit")]
    [InlineData("list_accounts?status=active&currency=USD", "list_accounts")]
    [InlineData("list_accounts?reference=nobody&status=active", "list_accounts?reference=nobody")]
    [InlineData("list_holds?account_id={0}&status=pending", "list_holds?account_id={0}")]
    [InlineData("account_events?account_id={0}")]
    [InlineData("balance_at?account_id={0}&at={1}")]
    [InlineData("statement?account_id={0}&from={1}&to={2}", "statement?account_id={0}&from={1}&to={2}&format=camt.053")]
    [InlineData("events", "events?after=0-1")]
    public async Task A_read_is_planned_once_for_many_with_and_without_its_filters(params string[] calls)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("10");
        var (first, second) = (await bank.DepositAsync(account, "1"), await bank.DepositAsync(account, "1"));
        await bank.HoldAsync(account, "1");

        for (var request = 0; request < Requests; request++)
        {
            foreach (var call in calls)
            {
                var path = string.Format(CultureInfo.InvariantCulture, call, account, first["created_at"], second["created_at"]);
                ((int)(await bank.GetAsync($"/api/{path}")).Status).Should().Be(200);
            }
        }

        var ratio = Regex.Match((await bank.GetAsync("/metrics")).Text, $"""npgsql_prepared_ratio\u007B.*pool_name="{bank.Book.Schema}_reads"[^\u007D]*\u007D (?<percent>\S+)""");
        ratio.Success.Should().BeTrue();
        double.Parse(ratio.Groups["percent"].Value, CultureInfo.InvariantCulture).Should().BeGreaterThan(85, "only the first uses of a statement on a connection are not prepared");
    }
}
