using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

public sealed class AccountListTests(OwnBank own, TestDatabase database) : IClassFixture<OwnBank>
{
    private const int LookedAt = 5_000;

    private readonly BankingApp bank = own.App;

    [Fact]
    public async Task Customers_accounts_are_listed_by_id_and_look_as_in_get_one_account()
    {
        var (account, closed) = (await bank.OpenAsync("10", "EUR", "5"), await bank.OpenAsync());
        (await bank.CloseAsync(closed)).ShouldBeOk();

        var page = await bank.GetAsync("/api/list_accounts?limit=500");

        page.ShouldBeOk();
        page.Body.Members().Should().Equal("accounts", "next_cursor");
        page.Body.GetProperty("next_cursor").ValueKind.Should().Be(JsonValueKind.Null);
        var accounts = page.Body.GetProperty("accounts").EnumerateArray().ToList();
        accounts.Select(IdOf).Should().BeInAscendingOrder().And.Contain([account, closed]).And.OnlyContain(id => id >= 1000, "settlement accounts are not listed");
        foreach (var shown in accounts)
        {
            shown.GetRawText().Should().Be((await bank.AccountAsync(IdOf(shown))).Text);
        }
    }

    [Theory]
    [InlineData("currency=ISK", 1, 4)]
    [InlineData("status=frozen&currency=ISK", 4)]
    [InlineData("status=active&currency=ISK", 1)]
    [InlineData("status=debits_blocked&currency=NOK", 2)]
    [InlineData("status=closed&currency=NOK", 3)]
    [InlineData("reference=REFERENCE", 0, 2, 4)]
    [InlineData("reference=REFERENCE&currency=NOK", 0, 2)]
    [InlineData("reference=REFERENCE&status=frozen", 4)]
    [InlineData("reference=REFERENCE&status=closed")]
    [InlineData("reference=reference-nobody-has")]
    [InlineData("currency=ISK&status=closed")]
    public async Task Filters_are_combined(string filter, params int[] expected)
    {
        var reference = $"Réf 🦊 & {Guid.NewGuid()}";
        long[] accounts =
        [
            await OpenAsync("NOK", reference), await OpenAsync("ISK"), await OpenAsync("NOK", reference), await OpenAsync("NOK", reference + "x"),
            await OpenAsync("ISK", reference),
        ];
        (await bank.FreezeAsync(accounts[2], "debits")).ShouldBeOk();
        (await bank.CloseAsync(accounts[3])).ShouldBeOk();
        (await bank.FreezeAsync(accounts[4])).ShouldBeOk();
        var query = filter.Replace("REFERENCE", Uri.EscapeDataString(reference), StringComparison.Ordinal);

        foreach (var limit in new[] { 1, 2, 500 })
        {
            var (found, _) = await ListAsync(bank, $"{query}&limit={limit}");

            // Other runs of this test opened accounts with smaller ids.
            found.Where(id => id >= accounts[0]).Should().Equal(expected.Select(place => accounts[place]));
        }
    }

    [Fact]
    public async Task A_currency_without_accounts_lists_none() =>
        (await bank.GetAsync("/api/list_accounts?currency=ZZZ")).Text.Should().Be("""{"accounts":[],"next_cursor":null}""");

    [Theory]
    [InlineData(1, 7)]
    [InlineData(6, 2)]
    [InlineData(7, 1)]
    [InlineData(500, 1)]
    public async Task Pages_of_any_size_give_every_account_of_a_reference_once(int limit, int pages)
    {
        var reference = Guid.NewGuid().ToString();
        var accounts = new List<long>();
        for (var number = 0; number < 7; number++)
        {
            accounts.Add(await OpenAsync("USD", reference));
            await bank.OpenAsync();
        }

        var (found, turned) = await ListAsync(bank, $"reference={reference}&limit={limit}");

        found.Should().Equal(accounts);
        turned.Should().Be(pages);
    }

    [Fact]
    public async Task A_page_has_50_accounts_by_default()
    {
        var reference = Guid.NewGuid().ToString();
        await Task.WhenAll(Enumerable.Range(0, 51).Select(_ => OpenAsync("USD", reference)));

        var page = await bank.GetAsync($"/api/list_accounts?reference={reference}");

        page.Body.GetProperty("accounts").GetArrayLength().Should().Be(50);
        (await bank.GetAsync($"/api/list_accounts?reference={reference}&cursor={page["next_cursor"]}")).Body.GetProperty("accounts").GetArrayLength().Should().Be(1);
    }

    [Fact]
    public async Task A_rare_filter_gets_short_pages_whose_cursors_lead_to_all_accounts()
    {
        await using var app = new BankingApp(database);
        await InsertAsync(app, (3 * LookedAt) + 10);
        long[] frozen = [10_000, 10_001, 10_000 + LookedAt - 1, 10_000 + (3 * LookedAt), 10_000 + (3 * LookedAt) + 9];
        await app.Book.ExecuteAsync("UPDATE account SET status = 'frozen' WHERE account_id = ANY (@frozen);", new { frozen });

        var first = await app.GetAsync("/api/list_accounts?status=frozen&limit=10");
        IdsOf(first).Should().Equal(frozen[..3]);
        var second = await app.GetAsync($"/api/list_accounts?status=frozen&limit=10&cursor={first["next_cursor"]}");
        IdsOf(second).Should().BeEmpty();
        second["next_cursor"].Should().StartWith($"{10_000 + (2 * LookedAt) - 1}-", "a page reads at most so many accounts, and the next one goes on from there");

        foreach (var filter in new[] { "status=frozen", "status=frozen&currency=USD", "status=frozen&reference=bulk" })
        {
            (await ListAsync(app, $"{filter}&limit=10")).Should().BeEquivalentTo((frozen, 4), filter);
            (await ListAsync(app, $"{filter}&limit=2")).Ids.Should().Equal(frozen);
            (await ListAsync(app, $"{filter}&limit=1")).Ids.Should().Equal(frozen);
        }

        (await ListAsync(app, "currency=EUR")).Should().BeEquivalentTo((Array.Empty<long>(), 4));
        (await ListAsync(app, "limit=500")).Ids.Should().HaveCount((3 * LookedAt) + 10).And.OnlyHaveUniqueItems();
        (await ListAsync(app, "limit=500&reference=bulk")).Ids.Should().HaveCount((3 * LookedAt) + 10).And.OnlyHaveUniqueItems();
    }

    // Statements prepared on empty tables must also suit large ones. LedgerTests checks this for postings.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Statements_prepared_on_empty_tables_use_the_indexes_of_large_ones(bool analysed)
    {
        const int Rows = 30_000;
        const string ScannedSql = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_all_tables WHERE schemaname = @book AND relname IN ('account', 'account_log');";
        const string WalkedSql = """
            SELECT sum(idx_tup_read)::bigint
              FROM pg_stat_all_indexes
             WHERE schemaname = @book
               AND indexrelname IN ('account_pk', 'account_reference_idx', 'account_log_pk', 'account_log_account_idx');
            """;
        await using var app = new BankingApp(database);
        await app.Book.ExecuteAsync("""
            ALTER TABLE account SET (autovacuum_enabled = false);
            ALTER TABLE account_log SET (autovacuum_enabled = false);
            """);
        var account = await OpenAsync("USD", "mine", app);
        await ReadAsync(20);
        await app.ReportStatisticsAsync();
        await InsertAsync(app, Rows);
        if (analysed)
        {
            await app.Book.ExecuteAsync("ANALYZE account, account_log;");
        }

        await app.Book.ExecuteAsync("SELECT pg_stat_force_next_flush();");
        var (scanned, walked) = await CountAsync();

        await ReadAsync(50);

        await app.ReportStatisticsAsync();
        var (scannedAfter, walkedAfter) = await CountAsync();
        (scannedAfter - scanned).Should().BeLessThan(Rows, "not one call scans a table");
        (walkedAfter - walked).Should().BeLessThan(50 * 2_000, "indexes find a reference and an account's events");

        // These filters match few rows. Every other filter may read 5,000 accounts.
        async Task ReadAsync(int times)
        {
            for (var time = 0; time < times; time++)
            {
                IdsOf(await app.GetAsync("/api/list_accounts?reference=mine&limit=5")).Should().Equal(account);
                IdsOf(await app.GetAsync("/api/list_accounts?reference=mine&status=active&currency=USD")).Should().Equal(account);
                IdsOf(await app.GetAsync("/api/list_accounts?reference=nobody")).Should().BeEmpty();
                (await app.GetAsync($"/api/account_events?account_id={account}&limit=5")).ShouldBeOk();
                (await app.ChangeAsync(account, overdraftLimit: $"{time + 1}")).ShouldBeOk();
            }
        }

        async Task<(long Scanned, long Walked)> CountAsync() => (
            await app.Book.ScalarAsync<long>(ScannedSql, new { book = app.Book.Schema }),
            await app.Book.ScalarAsync<long>(WalkedSql, new { book = app.Book.Schema }));
    }

    /// <summary>Inserts accounts from id 10,000 on, with their events, faster than the service could open them.</summary>
    private static Task InsertAsync(BankingApp app, int accounts) => app.Book.ExecuteAsync(
        """
        SET session_replication_role = replica; -- skips the foreign keys' look-ups, which these rows satisfy

        INSERT INTO account (account_id, owner_name, currency, reference, created_at)
        SELECT 9999 + i, 'Someone', 'USD', 'bulk', clock_timestamp()
          FROM generate_series(1, @accounts) AS i;

        INSERT INTO account_log (account_event_id, type, account_id, status_after, overdraft_limit_after, held_after, balance_after,
                                 after_transaction_id, client_id, idempotency_key, request_hash, created_at)
        SELECT last_account_event_id + i, 'opened', 9999 + i, 'active', 0, 0, 0, last_transaction_id, 'bulk', i::text, sha256(''), last_created_at
          FROM generate_series(1, @accounts) AS i, ledger_head;

        UPDATE ledger_head
           SET last_account_id = 9999 + @accounts
             , last_account_event_id = last_account_event_id + @accounts;
        RESET session_replication_role;
        SELECT pg_stat_force_next_flush();
        """,
        new { accounts });

    /// <summary>Reads all pages of the list.</summary>
    private static async Task<(IReadOnlyList<long> Ids, int Pages)> ListAsync(BankingApp app, string query)
    {
        var (ids, pages) = (new List<long>(), 0);
        for (var cursor = ""; cursor is not null; pages++)
        {
            var page = await app.GetAsync($"/api/list_accounts?{query}{cursor}");
            page.ShouldBeOk();
            ids.AddRange(IdsOf(page));
            cursor = page.Body.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
        }

        return (ids, pages);
    }

    private Task<long> OpenAsync(string currency, string? reference = null) => OpenAsync(currency, reference, bank);

    private static async Task<long> OpenAsync(string currency, string? reference, BankingApp app)
    {
        var reply = await app.PostAsync("/api/create_account", new { owner_name = "Someone", currency, reference });
        reply.ShouldBeCreated();
        return reply.Id("account_id");
    }

    private static IEnumerable<long> IdsOf(Reply page) => page.Body.GetProperty("accounts").EnumerateArray().Select(IdOf);

    private static long IdOf(JsonElement account) => account.GetProperty("account_id").GetInt64();
}
