using FluentAssertions;

namespace Banking.Tests;

/// <summary>A client that lost an answer finds the result of its request by the key.</summary>
public sealed class RequestTests(SharedBank shared, TestDatabase database) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("deposit")]
    [InlineData("withdraw")]
    [InlineData("transaction")]
    public async Task The_key_of_a_posting_shows_its_transaction(string call)
    {
        var (one, other, key) = (await bank.OpenAsync("100", "EUR"), await bank.OpenAsync("100", "EUR"), NewKey());
        object body = call == "transaction"
            ? new { from_account_id = one, to_account_id = other, amount = "7.5", reference = "Ünit 🦊", metadata = new { b = "1", a = "" } }
            : new { account_id = one, amount = "7.5", reference = "Ünit 🦊", metadata = new { b = "1", a = "" } };
        var posted = await bank.PostAsync($"/api/{call}", body, key);

        var made = await RequestAsync(key);

        made.ShouldBeOk();
        made.Text.Should().Be($$"""{"idempotency_key":"{{key}}","transactions":[{{posted.Text}}],"accounts":[],"holds":[]}""");
    }

    [Theory]
    [InlineData("0")]
    [InlineData("12.34")]
    public async Task The_key_of_an_opening_shows_the_new_account_and_its_deposit(string deposit)
    {
        var key = NewKey();
        var opened = await bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = deposit, overdraft_limit = "5" }, key);
        await bank.DepositAsync(opened.Id("account_id"), "1");
        await bank.ChangeAsync(opened.Id("account_id"), overdraftLimit: "50");

        var made = await RequestAsync(key);

        made.ShouldBeOk();
        made.Body.GetProperty("accounts")[0].GetRawText().Should().Be(opened.AccountText());
        var transactions = made.Body.GetProperty("transactions");
        transactions.GetArrayLength().Should().Be(deposit == "0" ? 0 : 1);
        if (deposit != "0")
        {
            var transaction = await bank.GetAsync($"/api/get_one_transaction?transaction_id={opened.Id("transaction_id")}");
            transactions[0].GetRawText().Should().Be(transaction.TransactionText());
        }
    }

    [Fact]
    public async Task The_key_of_a_change_shows_the_account_right_after_the_change()
    {
        var (account, keys) = (await bank.OpenAsync("10"), Enumerable.Range(0, 4).Select(_ => NewKey()).ToList());
        List<Reply> answers =
        [
            await bank.ChangeAsync(account, overdraftLimit: "20", key: keys[0]),
            await bank.FreezeAsync(account, "debits", keys[1]),
            await bank.UnfreezeAsync(account, keys[2]),
        ];
        await bank.WithdrawAsync(account, "10");
        answers.Add(await bank.CloseAsync(account, keys[3]));

        foreach (var (answer, key) in answers.Zip(keys))
        {
            answer.ShouldBeOk();
            (await RequestAsync(key)).Text.Should().Be($$"""{"idempotency_key":"{{key}}","transactions":[],"accounts":[{{answer.Text}}],"holds":[]}""");
        }
    }

    [Fact]
    public async Task The_key_of_a_reversal_or_a_batch_shows_its_transactions()
    {
        var (account, reversal, batch) = (await bank.OpenAsync("100"), NewKey(), NewKey());
        var reversed = await bank.ReverseAsync((await bank.WithdrawAsync(account, "10")).Id("transaction_id"), "4", reversal);
        var posting = new { type = "deposit", account_id = account, amount = "1" };
        var posted = await bank.BatchAsync("atomic", [posting, posting], batch);

        (await RequestAsync(reversal)).Text.Should().Be($$"""{"idempotency_key":"{{reversal}}","transactions":[{{reversed.Text}}],"accounts":[],"holds":[]}""");
        (await RequestAsync(batch)).Text.Should().Be(
            $$"""{"idempotency_key":"{{batch}}","transactions":{{posted.Body.GetProperty("transactions").GetRawText()}},"accounts":[],"holds":[]}""");
    }

    [Fact]
    public async Task The_key_of_a_hold_shows_the_hold_right_after_the_request()
    {
        var (account, keys) = (await bank.OpenAsync("100"), Enumerable.Range(0, 5).Select(_ => NewKey()).ToList());
        var placed = await bank.PlaceHoldAsync(account, "30", key: keys[0]);
        var part = await bank.CaptureAsync(placed.Id("hold_id"), "10", final: false, keys[1]);
        var last = await bank.CaptureAsync(placed.Id("hold_id"), "5", key: keys[2]);
        var captured = await bank.OneHoldAsync(placed.Id("hold_id"));
        var other = await bank.PlaceHoldAsync(account, "20", key: keys[3]);
        var released = await bank.ReleaseAsync(other.Id("hold_id"), keys[4]);

        await ShowsAsync(keys[0], [], [placed]);
        await ShowsAsync(keys[1], [part], []);
        await ShowsAsync(keys[2], [last], [captured]);
        await ShowsAsync(keys[3], [], [other]);
        await ShowsAsync(keys[4], [], [released]);

        async Task ShowsAsync(string key, Reply[] transactions, Reply[] holds)
        {
            var made = (await RequestAsync(key)).Body;
            made.GetProperty("transactions").EnumerateArray().Select(one => one.GetRawText()).Should().Equal(transactions.Select(one => one.Text));
            made.GetProperty("accounts").GetArrayLength().Should().Be(0);
            made.GetProperty("holds").EnumerateArray().Select(one => one.GetRawText()).Should().Equal(holds.Select(one => one.Text));
        }
    }

    [Fact]
    public async Task A_request_that_was_refused_or_never_sent_is_not_found()
    {
        var (account, key) = (await bank.OpenAsync("1"), NewKey());

        (await bank.WithdrawAsync(account, "2", key)).ShouldBeProblem(422, "insufficient_funds");

        (await RequestAsync(key)).ShouldBeProblem(404, "request_not_found");
        (await RequestAsync(NewKey())).ShouldBeProblem(404, "request_not_found");
    }

    [Fact]
    public async Task A_retry_and_a_reuse_of_the_key_leave_its_result_unchanged()
    {
        var (account, key) = (await bank.OpenAsync(), NewKey());
        await bank.DepositAsync(account, "1", key);
        var made = await RequestAsync(key);

        (await bank.DepositAsync(account, "1", key)).ShouldBeCreated(replayed: true);
        (await bank.DepositAsync(account, "2", key)).ShouldBeProblem(422, "idempotency_key_reused");

        (await RequestAsync(key)).Text.Should().Be(made.Text);
    }

    [Fact]
    public async Task A_key_with_every_allowed_character_is_found()
    {
        var key = $"{string.Concat(Enumerable.Range('!', '~' - '!' + 1).Select(character => (char)character))}{NewKey()}".PadRight(255, 'x');
        (await bank.DepositAsync(await bank.OpenAsync(), "1", key)).ShouldBeCreated();

        var made = await RequestAsync(key);

        made.ShouldBeOk();
        made["idempotency_key"].Should().Be(key);
        (await RequestAsync(key[..^1])).ShouldBeProblem(404, "request_not_found");
        (await RequestAsync(key.ToUpperInvariant())).ShouldBeProblem(404, "request_not_found");
    }

    // The two logs are read one after the other. Without a common snapshot, an opening that commits in between would show only one half.
    [Fact]
    public async Task An_opening_is_seen_with_its_deposit_or_not_at_all()
    {
        await using var app = new BankingApp(database);
        var keys = Enumerable.Range(0, 200).Select(number => $"opening-{number}").ToList();
        var opening = Task.Run(async () =>
        {
            foreach (var key in keys)
            {
                (await app.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "1" }, key)).ShouldBeCreated();
            }
        });

        foreach (var key in keys)
        {
            Reply made;
            do
            {
                made = await app.GetAsync($"/api/get_one_request?idempotency_key={key}");
            }
            while (made.Code == "request_not_found");

            made.Body.GetProperty("transactions").GetArrayLength().Should().Be(1, made.Text);
            made.Body.GetProperty("accounts")[0].GetProperty("balance").GetString().Should().Be("1.00");
        }

        await opening;
    }

    // The session prepares its statements while the tables are empty.
    [Fact]
    public async Task A_key_is_found_by_its_index_in_a_log_of_many_rows()
    {
        const int Rows = 100_000;
        const string ReadSql = """
            SELECT (SELECT sum(seq_tup_read) FROM pg_stat_all_tables WHERE schemaname = @book AND relname IN ('account', 'transaction_log', 'account_log'))::bigint
                 + (SELECT sum(idx_tup_read) FROM pg_stat_all_indexes WHERE schemaname = @book AND relname IN ('transaction_log', 'account_log'))::bigint;
            """;
        await using var app = new BankingApp(database);
        await app.Book.ExecuteAsync("ALTER TABLE transaction_log SET (autovacuum_enabled = false); ALTER TABLE account_log SET (autovacuum_enabled = false);");
        var opened = await app.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "1" }, "mine");
        await AskAsync(20);
        await app.Book.ExecuteAsync(
            """
            SET session_replication_role = replica; -- skips the foreign keys' look-ups, which these rows satisfy

            INSERT INTO account_log (account_event_id, type, account_id, status_after, overdraft_limit_after, held_after, balance_after,
                                     after_transaction_id, client_id, idempotency_key, request_hash, created_at)
            SELECT 1 + i, 'changed', @account, 'active', 0, 0, 1, 1, 'anonymous', 'bulk-' || i, sha256(''), now()
              FROM generate_series(1, @rows) AS i;

            INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                         to_balance_after, client_id, idempotency_key, created_at)
            SELECT 1 + i, 'deposit', 840, @account, 1, 'USD', -i, i, 'anonymous', 'bulk-' || i, now()
              FROM generate_series(1, @rows) AS i;

            RESET session_replication_role;
            SELECT pg_stat_force_next_flush();
            """,
            new { account = opened.Id("account_id"), rows = Rows });
        await app.ReportStatisticsAsync();
        var before = await app.Book.ScalarAsync<long>(ReadSql, new { book = app.Book.Schema });

        await AskAsync(50);

        await app.ReportStatisticsAsync();
        (await app.Book.ScalarAsync<long>(ReadSql, new { book = app.Book.Schema }) - before).Should().BeLessThan(1_000, "each key has one row in a log");

        async Task AskAsync(int times)
        {
            for (var time = 0; time < times; time++)
            {
                (await app.GetAsync("/api/get_one_request?idempotency_key=mine")).ShouldBeOk();
                (await app.GetAsync("/api/get_one_request?idempotency_key=nobody-s")).ShouldBeProblem(404, "request_not_found");
            }
        }
    }

    [Fact]
    public async Task Requests_are_read_within_the_limit_of_all_reads()
    {
        await using var app = new BankingApp(database, null, ("Banking:ReadLimit", "2"));
        await app.DepositAsync(await app.OpenAsync(), "1", "the-key");
        List<Task<Reply>> sent;
        await using (await app.Book.HoldAsync("LOCK TABLE transaction_log;"))
        {
            sent = [.. Enumerable.Range(0, 3).Select(_ => app.GetAsync("/api/get_one_request?idempotency_key=the-key"))];

            (await await Task.WhenAny(sent).WaitAsync(TimeSpan.FromSeconds(3))).ShouldBeProblem(503, "overloaded");
        }

        (await Task.WhenAll(sent)).Count(reply => (int)reply.Status == 200).Should().Be(2);
    }

    private static string NewKey() => Guid.NewGuid().ToString();

    private Task<Reply> RequestAsync(string key) => bank.GetAsync($"/api/get_one_request?idempotency_key={Uri.EscapeDataString(key)}");
}
