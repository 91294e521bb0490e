using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the ledger's queue and its batches do when the database stalls, breaks or is held by somebody else.</summary>
public sealed class LedgerTests(TestDatabase database)
{
    [Fact]
    public async Task Beyond_its_queue_the_service_refuses_at_once_and_keeps_what_it_took()
    {
        await using var bank = new BankingApp(database, null, ("Banking:QueueLimit", "20"));
        var account = await bank.OpenAsync();
        await using var head = await bank.Book.HoldHeadAsync();

        var sent = Enumerable.Range(0, 60).Select(_ => bank.DepositAsync(account, "1")).ToList();
        var refused = new List<Reply>();
        await foreach (var reply in Task.WhenEach(sent).Take(40))
        {
            refused.Add(await reply);
        }

        refused.Should().OnlyContain(reply =>
            reply.Status == HttpStatusCode.ServiceUnavailable && reply.Code == "overloaded" && reply.Headers.RetryAfter != null);
        await head.DisposeAsync();
        var replies = await Task.WhenAll(sent);
        var posted = replies.Where(reply => reply.Status == HttpStatusCode.Created).Select(reply => reply.Id("transaction_id"));
        posted.Order().Should().Equal(Enumerable.Range(1, 20).Select(id => (long)id));
        (await bank.HistoryAsync(account)).Should().HaveCount(20);
        (await bank.BalanceAsync(account)).Should().Be("20.00");
        (await bank.DepositAsync(account, "1")).Status.Should().Be(HttpStatusCode.Created);
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task An_account_that_somebody_holds_is_busy_and_no_other_waits_for_it()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "1"));
        var (held, one, other) = (await bank.OpenAsync("10"), await bank.OpenAsync("10"), await bank.OpenAsync("10"));
        await using var forgotten = await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = @held FOR UPDATE;", new { held });

        Task<Reply>[] waiting = [bank.DepositAsync(held, "1"), bank.WithdrawAsync(held, "1"), bank.TransferAsync(one, held, "1"), bank.TransferAsync(held, one, "1")];
        var meanwhile = 0;
        while (!waiting.All(reply => reply.IsCompleted))
        {
            var reply = await bank.TransferAsync(one, other, "0.01");
            reply.Status.Should().Be(HttpStatusCode.Created);
            meanwhile++;
        }

        meanwhile.Should().BeGreaterThan(10);
        (await Task.WhenAll(waiting)).Should().OnlyContain(reply =>
            reply.Status == HttpStatusCode.ServiceUnavailable && reply.Code == "account_busy" && reply.Headers.RetryAfter != null);
        await forgotten.DisposeAsync();
        (await bank.DepositAsync(held, "1")).Status.Should().Be(HttpStatusCode.Created);
        (await bank.BalanceAsync(held)).Should().Be("11.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task A_request_for_a_held_account_is_posted_when_the_account_is_let_go()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "60"));
        var (held, other) = (await bank.OpenAsync("10"), await bank.OpenAsync());
        await using var forgotten = await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = @held FOR UPDATE;", new { held });

        var waiting = bank.TransferAsync(held, other, "4", "the-key");
        await bank.QueuedAsync(1);
        (await bank.DepositAsync(other, "1")).Status.Should().Be(HttpStatusCode.Created);
        waiting.IsCompleted.Should().BeFalse();
        await forgotten.DisposeAsync();

        var reply = await waiting;
        reply.Status.Should().Be(HttpStatusCode.Created);
        reply.Replayed.Should().BeFalse();
        (await bank.BalanceAsync(held)).Should().Be("6.00");
        (await bank.TransferAsync(held, other, "4", "the-key")).Replayed.Should().BeTrue();
    }

    [Fact]
    public async Task A_held_settlement_account_stops_its_currencys_deposits_and_withdrawals_only()
    {
        await using var bank = new BankingApp(database, null, ("Banking:AccountBusySeconds", "1"));
        var (one, other, euros) = (await bank.OpenAsync("10"), await bank.OpenAsync("10"), await bank.OpenAsync("10", "EUR"));
        await using var dollars = await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = 840 FOR UPDATE;");

        Task<Reply>[] waiting =
        [
            bank.DepositAsync(one, "1"),
            bank.WithdrawAsync(one, "1"),
            bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "1" }),
        ];
        await bank.QueuedAsync(3);

        (await bank.TransferAsync(one, other, "1")).Status.Should().Be(HttpStatusCode.Created);
        (await bank.DepositAsync(euros, "1")).Status.Should().Be(HttpStatusCode.Created);
        (await bank.OpenAsync()).Should().BePositive();
        waiting.Should().OnlyContain(reply => !reply.IsCompleted);
        (await Task.WhenAll(waiting)).Select(reply => reply.Code).Should().Equal("account_busy", "account_busy", "account_busy");
    }

    [Theory]
    [InlineData("40001")] // serialization failure
    [InlineData("40P01")] // deadlock
    [InlineData("57P01")] // the server stops
    [InlineData("53300")] // too many connections
    public async Task A_fault_that_passes_is_tried_again_and_the_posting_is_made_once(string fault)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        // A sequence keeps its count when its transaction is rolled back: the first two blocks fail, the third is written.
        await bank.Book.ExecuteAsync($"""
            CREATE SEQUENCE attempts;
            CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                IF nextval('attempts') <= 2 THEN
                    RAISE EXCEPTION 'injected' USING ERRCODE = '{fault}';
                END IF;
                RETURN NEW;
            END;
            $body$;
            CREATE TRIGGER fail_twice BEFORE INSERT ON ledger_block FOR EACH ROW EXECUTE FUNCTION fail_twice();
            """);

        (await bank.DepositAsync(account, "1")).ShouldBeCreated();

        (await bank.Book.ScalarAsync<long>("SELECT last_value FROM attempts;")).Should().Be(3);
        (await bank.HistoryAsync(account)).Should().ContainSingle();
        bank.Complaints.Should().ContainSingle("repeats are summed up").Which.Should().StartWith("Warning").And.Contain($"{fault}: injected");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task One_used_key_many_times_in_one_batch_is_replayed_each_time()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        var first = await bank.DepositAsync(account, "1", "the-key");
        await using var head = await bank.Book.HoldHeadAsync();
        var neighbour = bank.DepositAsync(account, "1");
        await head.BlocksAsync();

        var again = Enumerable.Range(0, 5).Select(_ => bank.DepositAsync(account, "1", "the-key")).ToList();
        await bank.QueuedAsync(6);
        await head.DisposeAsync();

        (await Task.WhenAll(again)).Should().OnlyContain(reply => reply.Replayed && reply.Text == first.Text);
        (await neighbour).ShouldBeCreated();
        bank.Complaints.Should().BeEmpty();
    }

    [Fact]
    public async Task A_request_that_breaks_its_batch_fails_alone()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        await bank.Book.ExecuteAsync("ALTER TABLE transaction_log ADD CONSTRAINT no_poison CHECK (reference <> 'poison');");
        await using var head = await bank.Book.HoldHeadAsync();
        var first = bank.DepositAsync(account, "1");
        await head.BlocksAsync();

        var neighbours = Enumerable.Range(0, 19).Select(_ => bank.DepositAsync(account, "1")).ToList();
        var poison = bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", reference = "poison" });
        await bank.QueuedAsync(21);
        await head.DisposeAsync();

        (await Task.WhenAll(neighbours.Append(first))).Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await poison).Status.Should().Be(HttpStatusCode.InternalServerError);
        (await poison).Code.Should().Be("internal_error");
        (await bank.BalanceAsync(account)).Should().Be("20.00");
        bank.Complaints.Should().Contain(line => line.StartsWith("Error: One of 20 requests", StringComparison.Ordinal));
        bank.Complaints.Should().ContainSingle(line => line.StartsWith("Error: POST /api/deposit", StringComparison.Ordinal) && line.Contains("no_poison"));
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task A_batch_whose_connection_is_killed_is_posted_once()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        await using var head = await bank.Book.HoldHeadAsync();
        var first = bank.DepositAsync(account, "1");
        var backend = await head.BlocksAsync();
        var sent = Enumerable.Range(0, 50).Select(i => bank.DepositAsync(account, "1", i % 2 == 0 ? null : $"key-{i}")).Append(first).ToList();
        await bank.QueuedAsync(51);

        await bank.Book.ScalarAsync<bool>("SELECT pg_terminate_backend(@backend);", new { backend });
        (await head.BlocksAsync(except: backend)).Should().NotBe(backend);
        await head.DisposeAsync();

        var replies = await Task.WhenAll(sent);
        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created && !reply.Replayed);
        replies.Select(reply => reply.Id("transaction_id")).Order().Should().Equal(Enumerable.Range(1, 51).Select(id => (long)id));
        (await bank.BalanceAsync(account)).Should().Be("51.00");
        bank.Complaints.Should().OnlyContain(line => line.StartsWith("Warning: The database failed a batch of 1 requests", StringComparison.Ordinal));
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task Requests_that_wait_together_are_written_in_one_transaction()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        await using var head = await bank.Book.HoldHeadAsync();
        var first = bank.DepositAsync(account, "1");
        await head.BlocksAsync();
        var sent = Enumerable.Range(0, 300).Select(_ => bank.DepositAsync(account, "1")).Append(first).ToList();
        await bank.QueuedAsync(301);
        await head.DisposeAsync();

        (await Task.WhenAll(sent)).Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM transaction_log;")).Should().Be(301);
        (await bank.Book.ScalarAsync<long>("SELECT count(DISTINCT xmin::text) FROM transaction_log;")).Should().Be(2, "the first was alone, the others waited for it");
    }

    [Fact]
    public async Task One_key_twice_in_one_batch_is_posted_once()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        await using var head = await bank.Book.HoldHeadAsync();
        var first = bank.DepositAsync(account, "1");
        await head.BlocksAsync();
        Task<Reply>[] same = [bank.DepositAsync(account, "2", "same"), bank.DepositAsync(account, "2", "same")];
        Task<Reply>[] different = [bank.DepositAsync(account, "3", "different"), bank.DepositAsync(account, "4", "different")];
        Task<Reply>[] opened = [OpenAsync(bank), OpenAsync(bank)];
        await bank.QueuedAsync(7);
        await head.DisposeAsync();

        (await first).Status.Should().Be(HttpStatusCode.Created);
        var (one, other) = (await same[0], await same[1]);
        one.Status.Should().Be(HttpStatusCode.Created);
        other.Status.Should().Be(HttpStatusCode.Created);
        other.Text.Should().Be(one.Text);
        other.Replayed.Should().Be(!one.Replayed);

        var codes = (await Task.WhenAll(different)).Select(reply => reply.Code);
        codes.Should().BeEquivalentTo([null, "idempotency_key_reused"]);

        (await opened[0])["account_id"].Should().Be((await opened[1])["account_id"]);
        (await opened[0]).Replayed.Should().Be(!(await opened[1]).Replayed);
        (await bank.HistoryAsync(account)).Should().HaveCount(3);
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE kind = 'customer';")).Should().Be(2);
        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();

        static Task<Reply> OpenAsync(BankingApp bank) =>
            bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "5" }, "opening");
    }

    // In a pool that others use too, each write transaction would run on the session that has rested longest.
    [Fact]
    public async Task Write_transactions_and_look_ups_stay_on_their_sessions_until_these_are_lost()
    {
        const string LastSql = """
            SELECT array_agg(pid)
              FROM pg_stat_activity
             WHERE application_name LIKE @application || '%'
               AND (query LIKE 'COMMIT%' OR query LIKE '%owner_name%FROM account%');
            """;
        var application = $"app-{Guid.NewGuid():N}";
        await using var bank = new BankingApp(database, null, ("ConnectionStrings:Banking", $"{database.ConnectionString};Application Name={application}"));
        var account = await bank.OpenAsync();

        var first = await UseAsync();
        await bank.Book.ExecuteAsync("SELECT pg_terminate_backend(pid) FROM unnest(@first) AS pid;", new { first });
        await Wait.UntilAsync(async () => (await bank.GetAsync($"/api/get_one_account?account_id={account}")).Status == HttpStatusCode.OK);
        (await bank.DepositAsync(account, "1")).ShouldBeCreated(); // over another session than before: look-ups get another one too
        var second = await UseAsync();

        first.Should().HaveCount(2, "one of the ledger, one of the look-up of accounts");
        second.Should().HaveCount(2).And.NotIntersectWith(first);
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();

        async Task<int[]> UseAsync()
        {
            var used = new HashSet<int>();
            for (var i = 0; i < 20; i++)
            {
                var others = Enumerable.Range(0, 3).Select(_ => bank.GetAsync("/health/ready"));
                var reads = Enumerable.Range(0, 3).Select(_ => bank.GetAsync($"/api/transaction_history?account_id={account}"));
                await Task.WhenAll([.. others, .. reads, bank.DepositAsync(account, "1"), bank.GetAsync($"/api/get_one_account?account_id={account}")]);
                used.UnionWith((await bank.Book.ScalarAsync<int[]>(LastSql, new { application }))!);
            }

            return [.. used];
        }
    }

    // What a session of the service prepared while the tables were empty has to suit them when they are large, though nobody
    // analysed them, or at a moment when all debits were the settlement account's. Told by the rows that sequential scans have
    // read, and walks along the log's primary key.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_book_that_grew_under_prepared_statements_is_still_read_by_its_indexes(bool analysed)
    {
        const string ScannedSql = """
            SELECT (SELECT sum(seq_tup_read) FROM pg_stat_all_tables WHERE schemaname = @book AND relname IN ('account', 'transaction_log', 'account_log'))::bigint
                 + (SELECT idx_tup_read FROM pg_stat_all_indexes WHERE schemaname = @book AND indexrelname = 'transaction_log_pk');
            """;
        await using var bank = new BankingApp(database);
        await bank.Book.ExecuteAsync("""
            ALTER TABLE account SET (autovacuum_enabled = false);
            ALTER TABLE transaction_log SET (autovacuum_enabled = false);
            ALTER TABLE account_log SET (autovacuum_enabled = false);
            """);
        var account = await bank.OpenAsync();
        await ServeAsync(bank, account, 20);
        await bank.ReportStatisticsAsync();

        await bank.Book.ExecuteAsync("""
            SET session_replication_role = replica; -- skips the foreign keys' look-ups, which these rows satisfy

            INSERT INTO account (account_id, owner_name, currency, balance, created_at)
            SELECT 1000000 + i, 'Someone', 'USD', 20, last_created_at
              FROM generate_series(0, 9999) AS i, ledger_head;

            INSERT INTO account_log (account_event_id, type, account_id, status_after, overdraft_limit_after, held_after, balance_after,
                                     after_transaction_id, client_id, idempotency_key, request_hash, created_at)
            SELECT last_account_event_id + 1 + i, 'opened', 1000000 + i, 'active', 0, 0, 0, last_transaction_id, 'bulk', i::text, sha256(''), last_created_at
              FROM generate_series(0, 9999) AS i, ledger_head;

            INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                         to_balance_after, client_id, idempotency_key, created_at)
            SELECT last_transaction_id + i, 'deposit', 840, 1000000 + i % 10000, 1, 'USD', balance - i, (i + 9999) / 10000
                 , 'bulk', i::text, last_created_at
              FROM generate_series(1, 200000) AS i, ledger_head, account
             WHERE account_id = 840;

            UPDATE account SET balance = balance - 200000 WHERE account_id = 840;
            INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
            SELECT last_block_id + 1, last_transaction_id + 200000, last_account_event_id + 10000, 1, last_hash
                 , ledger_block_hash(last_hash, last_block_id + 1, last_created_at, last_transaction_id, last_transaction_id + 200000
                                   , last_account_event_id, last_account_event_id + 10000)
                 , last_created_at
              FROM ledger_head;
            UPDATE ledger_head
               SET last_block_id = block.block_id, last_transaction_id = block.last_transaction_id
                 , last_account_event_id = block.last_account_event_id, last_account_id = 1009999, last_hash = block.hash
              FROM (SELECT * FROM ledger_block ORDER BY block_id DESC LIMIT 1) AS block;
            RESET session_replication_role;
            SELECT pg_stat_force_next_flush();
            """);
        if (analysed)
        {
            await bank.Book.ExecuteAsync("ANALYZE account, transaction_log;");
        }

        var before = await bank.Book.ScalarAsync<long>(ScannedSql, new { book = bank.Book.Schema });

        await ServeAsync(bank, account, 50);
        await ServeAsync(bank, 1_000_000, 50);
        await bank.ReportStatisticsAsync();

        var scanned = await bank.Book.ScalarAsync<long>(ScannedSql, new { book = bank.Book.Schema }) - before;
        scanned.Should().BeLessThan(50_000, "one scan of the log would read four times that, and a hundred of the accounts twenty times");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();

        static async Task ServeAsync(BankingApp bank, long account, int times)
        {
            for (var i = 0; i < times; i++)
            {
                var reply = await bank.DepositAsync(account, "1", Guid.NewGuid().ToString());
                reply.Status.Should().Be(HttpStatusCode.Created);
                (await bank.GetAsync($"/api/get_one_transaction?transaction_id={reply.Id("transaction_id")}")).TransactionText().Should().Be(reply.Text);
                (await bank.BalanceAsync(account)).Should().Be(reply["to_balance_after"]);
                (await bank.GetAsync($"/api/transaction_history?account_id={account}&limit=5")).Status.Should().Be(HttpStatusCode.OK);
                (await bank.GetAsync($"/api/transaction_history?account_id={account}&from=2001-01-01T00:00:00Z&to={reply["created_at"]}&type=deposit&direction=credit&limit=5")).ShouldBeOk();
                (await bank.GetAsync($"/api/balance_at?account_id={account}&at={reply["created_at"]}")).ShouldBeOk();
            }
        }
    }

    [Theory]
    [InlineData("INSERT", "account")]
    [InlineData("UPDATE", "account")]
    [InlineData("INSERT", "transaction_log")]
    [InlineData("INSERT", "account_log")]
    [InlineData("INSERT", "hold")]
    [InlineData("UPDATE", "hold")]
    [InlineData("INSERT", "ledger_block")]
    [InlineData("UPDATE", "ledger_head")]
    public async Task Where_a_trigger_keeps_rows_out_nothing_is_written(string operation, string table)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("100");
        var hold = await bank.HoldAsync(account, "10");
        var head = await bank.HeadAsync();
        await bank.Book.ExecuteAsync($"""
            CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN NULL; END; $body$;
            CREATE TRIGGER keep_out BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION keep_out();
            """);

        var replies = new[]
        {
            await bank.PostAsync("/api/create_account", new { owner_name = "Someone", initial_deposit = "1" }, "opening"),
            await bank.DepositAsync(account, "1", "deposit"),
            await bank.PlaceHoldAsync(account, "1", key: "placing"),
            await bank.CaptureAsync(hold, "1", key: "capture"),
        };

        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created || reply.Code == "internal_error");
        replies.Should().Contain(reply => reply.Code == "internal_error");
        bank.Complaints.Should().Contain(line => line.Contains("rows where the service decided on"));
        await bank.Book.ExecuteAsync($"DROP TRIGGER keep_out ON {table};");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
        var written = replies.Count(reply => reply.Status == HttpStatusCode.Created);
        (await bank.HeadAsync() == head).Should().Be(written == 0);
    }

    // Citus names the shard's constraint.
    [Theory]
    [InlineData("transaction_log_pk_102157")]
    [InlineData("transaction_log_key_is_used_once_102157")]
    public async Task Where_another_instance_wrote_the_same_ids_the_batch_runs_again(string constraint)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync();
        await bank.Book.ExecuteAsync($"""
            CREATE SEQUENCE tries;
            CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                IF nextval('tries') = 1 THEN
                    RAISE unique_violation USING MESSAGE = 'duplicate key value violates unique constraint "{constraint}"';
                END IF;
                RETURN NEW;
            END;
            $body$;
            CREATE TRIGGER fail_once BEFORE INSERT ON transaction_log FOR EACH ROW EXECUTE FUNCTION fail_once();
            """);

        (await bank.DepositAsync(account, "1")).ShouldBeCreated();

        (await bank.BalanceAsync(account)).Should().Be("1.00");
        bank.Complaints.Should().ContainSingle().Which.Should().Contain("The batch runs again");
    }
}
