using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class HistoryFilterTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private const int LookedAt = 5_000;

    private readonly BankingApp bank = shared.App;

    [Fact]
    public async Task Each_filter_lists_what_it_names_and_all_filters_together_what_passes_each()
    {
        var (account, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        var paid = await bank.TransferAsync(account, other, "30");
        var received = await bank.TransferAsync(other, account, "5");
        var withdrawn = await bank.WithdrawAsync(account, "10");
        var reversed = await bank.ReverseAsync(paid.Id("transaction_id"), "7");
        var all = await IdsAsync(account, "");
        var opening = all[^1];
        all.Should().Equal([.. IdsOf(reversed, withdrawn, received, paid), opening]);

        (await IdsAsync(account, "&type=transfer")).Should().Equal(IdsOf(received, paid));
        (await IdsAsync(account, "&type=deposit")).Should().Equal(opening);
        (await IdsAsync(account, "&type=withdrawal")).Should().Equal(IdsOf(withdrawn));
        (await IdsAsync(account, "&type=reversal")).Should().Equal(IdsOf(reversed));
        (await IdsAsync(account, "&direction=debit")).Should().Equal(IdsOf(withdrawn, paid));
        (await IdsAsync(account, "&direction=credit")).Should().Equal([.. IdsOf(reversed, received), opening]);
        (await IdsAsync(account, "&type=transfer&direction=credit")).Should().Equal(IdsOf(received));
        (await IdsAsync(account, $"&from={received["created_at"]}&to={reversed["created_at"]}")).Should().Equal(IdsOf(withdrawn, received));
        (await IdsAsync(account, $"&from={paid["created_at"]}&to={reversed["created_at"]}&type=transfer&direction=debit")).Should().Equal(IdsOf(paid));
        (await IdsAsync(account, "&to=2000-01-01T00:00:00Z")).Should().BeEmpty();
        (await IdsAsync(account, "&from=9999-12-31T23:59:59.999999Z")).Should().BeEmpty();
        (await IdsAsync(account, "&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999999Z")).Should().Equal(all);
    }

    [Fact]
    public async Task From_is_included_and_to_is_not_to_the_microsecond_and_in_any_offset()
    {
        var account = await bank.OpenAsync("100");
        var posted = await bank.DepositAsync(account, "1");
        var at = posted.Body.GetProperty("created_at").GetDateTime();

        (await IdsAsync(account, $"&from={Text(at)}")).Should().Equal(IdsOf(posted));
        (await IdsAsync(account, $"&from={Text(at.AddTicks(10))}")).Should().BeEmpty();
        (await IdsAsync(account, $"&to={Text(at)}")).Should().HaveCount(1).And.NotContain(IdsOf(posted));
        (await IdsAsync(account, $"&to={Text(at.AddTicks(10))}")).Should().HaveCount(2);
        (await IdsAsync(account, $"&from={new DateTimeOffset(at).ToOffset(TimeSpan.FromHours(5)):yyyy-MM-dd'T'HH:mm:ss.ffffff}%2B05:00")).Should().Equal(IdsOf(posted));
    }

    [Fact]
    public async Task Filtered_pages_of_any_size_give_every_match_once()
    {
        var (account, other) = (await bank.OpenAsync("1000"), await bank.OpenAsync("1000"));
        await Task.WhenAll(Enumerable.Range(1, 40).Select(i => (i % 4) switch
        {
            0 => bank.DepositAsync(account, "1"),
            1 => bank.WithdrawAsync(account, "1"),
            2 => bank.TransferAsync(account, other, "1"),
            _ => bank.TransferAsync(other, account, "1"),
        }));
        var all = await bank.HistoryAsync(account);
        var from = all[30].GetProperty("created_at").GetString();

        foreach (var (query, passes) in new (string, Func<JsonElement, bool>)[]
        {
            ("&type=transfer", entry => entry.GetProperty("type").GetString() == "transfer"),
            ("&direction=debit", entry => entry.GetProperty("direction").GetString() == "debit"),
            ("&type=transfer&direction=credit", entry => entry.GetProperty("type").GetString() == "transfer" && entry.GetProperty("direction").GetString() == "credit"),
            ($"&from={from}&type=transfer", entry => entry.GetProperty("type").GetString() == "transfer" && string.CompareOrdinal(entry.GetProperty("created_at").GetString(), from) >= 0),
        })
        {
            foreach (var limit in new[] { 1, 3, 7, 500 })
            {
                (await IdsAsync(account, $"{query}&limit={limit}")).Should().Equal(all.Where(passes).Select(IdOf), "{0}, {1}", query, limit);
            }
        }
    }

    [Fact]
    public async Task A_page_of_a_rare_type_is_short_and_its_cursor_leads_on()
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("100");
        var first = await own.WithdrawAsync(account, "1");
        await InsertTransfersAsync(own, account, (2 * LookedAt) + 10);

        var page = await own.GetAsync($"/api/transaction_history?account_id={account}&type=withdrawal");
        page.Body.GetProperty("transactions").GetArrayLength().Should().Be(0);
        page["next_cursor"].Should().NotBeEmpty("a page looks at no more than so many entries");

        var (found, pages) = (new List<long>(), 1);
        for (var cursor = page["next_cursor"]; !string.IsNullOrEmpty(cursor); pages++)
        {
            page = await own.GetAsync($"/api/transaction_history?account_id={account}&type=withdrawal&cursor={cursor}");
            found.AddRange(page.Body.GetProperty("transactions").EnumerateArray().Select(IdOf));
            cursor = page["next_cursor"];
        }

        (string.Join(' ', found), pages).Should().Be(($"{first.Id("transaction_id")}", 3));
        // Also where a page spans several reads.
        var many = await own.GetAsync($"/api/transaction_history?account_id={account}&type=transfer&limit=500");
        many.Body.GetProperty("transactions").EnumerateArray().Select(IdOf).Should().HaveCount(500).And.OnlyHaveUniqueItems().And.BeInDescendingOrder();
    }

    [Fact]
    public async Task A_cursor_is_refused_with_another_account_with_other_filters_and_in_another_list()
    {
        await using var own = new BankingApp(database);
        var (account, other) = (await own.OpenAsync("10"), await own.OpenAsync("10"));
        foreach (var id in new[] { account, other })
        {
            await own.DepositAsync(id, "1");
            await own.HoldAsync(id, "1");
            await own.HoldAsync(id, "1");
        }

        string[] lists =
        [
            $"transaction_history?account_id={account}", $"transaction_history?account_id={other}", $"transaction_history?account_id={account}&type=deposit",
            $"transaction_history?account_id={account}&direction=credit", $"transaction_history?account_id={account}&from=2001-01-01T00:00:00Z",
            $"transaction_history?account_id={account}&to=2999-01-01T00:00:00Z", $"transaction_history?account_id={account}&to=2999-01-01T00:00:00.000001Z",
            $"account_events?account_id={account}", $"account_events?account_id={other}", $"list_holds?account_id={account}", $"list_holds?account_id={account}&status=pending",
            "list_accounts?limit=1", "list_accounts?currency=USD", "list_accounts?status=active",
        ];
        foreach (var list in lists)
        {
            var page = await own.GetAsync($"/api/{list}{(list.Contains("limit", StringComparison.Ordinal) ? "" : "&limit=1")}");
            page["next_cursor"].Should().NotBeEmpty(list);
            foreach (var asked in lists)
            {
                var reply = await own.GetAsync($"/api/{asked}&cursor={page["next_cursor"]}");
                if (asked == list)
                {
                    reply.ShouldBeOk();
                }
                else
                {
                    reply.ShouldBeProblem(400, "validation_failed", "cursor");
                }
            }
        }
    }

    [Theory]
    [InlineData("transaction_history?account_id={0}&limit=1", "transactions")]
    [InlineData("account_events?account_id={0}&limit=1", "events")]
    [InlineData("list_holds?account_id={0}&limit=1", "holds")]
    [InlineData("list_accounts?limit=1", "accounts")]
    public async Task A_cursor_of_the_future_is_refused(string call, string rows)
    {
        await using var own = new BankingApp(database);
        var account = await own.OpenAsync("10");
        await own.OpenAsync();
        await own.DepositAsync(account, "1");
        await own.HoldAsync(account, "1");
        await own.HoldAsync(account, "1");
        var path = $"/api/{call.Replace("{0}", $"{account}", StringComparison.Ordinal)}";
        var cursor = (await own.GetAsync(path))["next_cursor"]!;
        cursor.Should().NotBeEmpty(rows);

        (await own.GetAsync($"{path}&cursor={cursor}")).ShouldBeOk();
        (await own.GetAsync($"{path}&cursor={long.MaxValue}{cursor[cursor.IndexOf('-', StringComparison.Ordinal)..]}")).ShouldBeProblem(400, "validation_failed", "cursor");
    }

    [Fact]
    public async Task An_unknown_account_has_no_filtered_history() =>
        (await bank.GetAsync($"/api/transaction_history?account_id={long.MaxValue}&type=deposit&from=2026-01-01T00:00:00Z")).ShouldBeProblem(404, "account_not_found");

    /// <summary>Inserts transfers from an account to the settlement account's neighbour, faster than the service could post them. The book's chain is broken by them.</summary>
    private static async Task InsertTransfersAsync(BankingApp app, long account, int transfers)
    {
        var other = await app.OpenAsync();
        await app.Book.ExecuteAsync(
            """
            INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                                         client_id, idempotency_key, created_at)
            SELECT last_transaction_id + i, 'transfer', @account, @other, 0.01, 'USD', 0, 0, 'bulk', i::text, last_created_at
              FROM generate_series(1, @transfers) AS i, ledger_head;
            UPDATE ledger_head
               SET last_transaction_id = last_transaction_id + @transfers;
            """,
            new { account, other, transfers });
    }

    /// <summary>The ids of all pages.</summary>
    private async Task<List<long>> IdsAsync(long account, string filter)
    {
        var ids = new List<long>();
        for (var cursor = ""; cursor is not null;)
        {
            var page = await bank.GetAsync($"/api/transaction_history?account_id={account}{filter}{cursor}");
            page.ShouldBeOk();
            ids.AddRange(page.Body.GetProperty("transactions").EnumerateArray().Select(IdOf));
            cursor = page.Body.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
        }

        return ids;
    }

    private static IEnumerable<long> IdsOf(params Reply[] posted) => posted.Select(reply => reply.Id("transaction_id"));

    private static long IdOf(JsonElement entry) => entry.GetProperty("transaction_id").GetInt64();

    private static string Text(DateTime instant) => instant.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
}
