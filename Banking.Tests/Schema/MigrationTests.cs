using System.Net;
using Dapper;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The scripts of sql/ and the checks beside them.</summary>
public sealed class MigrationTests(TestDatabase database, MigrationTests.UsedBook used) : IClassFixture<MigrationTests.UsedBook>
{
    private const string JournalSql = "SELECT string_agg(schemaversionsid || ' ' || scriptname || ' ' || applied, '; ' ORDER BY schemaversionsid) FROM schema_version;";

    private static readonly string Scripts = Path.Combine(Repository.Folder, "sql");

    /// <summary>A book with some of everything in it. Tests break it and roll back.</summary>
    public sealed class UsedBook(TestDatabase database) : IAsyncLifetime
    {
        public BankingApp App { get; } = new(database);

        public async ValueTask InitializeAsync()
        {
            var (one, other) = (await App.OpenAsync("100"), await App.OpenAsync(overdraftLimit: "50"));
            await App.TransferAsync(one, other, "30");
            await App.WithdrawAsync(other, "70");
            await App.OpenAsync("1000", "JPY");
            await App.PostAsync("/api/change_account", new { account_id = one, owner_name = "Somebody", reason = "Married" });
            await App.PostAsync("/api/freeze_account", new { account_id = other, reason = "Court order" });
            await UseHoldsAndReversalsAsync();
        }

        /// <summary>Accounts 1003 and 1004: a hold in each state, transfers of 10 and 20 with reversals, and a batch.</summary>
        private async Task UseHoldsAndReversalsAsync()
        {
            var (payer, shop) = (await App.OpenAsync("500"), await App.OpenAsync());
            await App.PostAsync("/api/place_hold", new { account_id = payer, amount = "11", to_account_id = shop, reference = "pending" });
            var captured = await HoldAsync("12", "captured");
            await App.CaptureAsync(captured, "5", final: false);
            await App.CaptureAsync(captured, "6");
            await App.CaptureAsync(await HoldAsync("13", "all"));
            var released = await HoldAsync("14", "released");
            await App.CaptureAsync(released, "3", final: false);
            await App.ReleaseAsync(released);
            var due = await App.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '1 s';");
            var expired = await App.HoldAsync(payer, "15", expiresAt: due);
            await Wait.UntilAsync(async () => (await App.OneHoldAsync(expired))["status"] == "expired");

            await App.ReverseAsync((await App.TransferAsync(payer, shop, "10")).Id("transaction_id"), "4");
            await App.ReverseAsync((await App.TransferAsync(payer, shop, "20")).Id("transaction_id"));
            await App.BatchAsync("atomic", [new { type = "transfer", from_account_id = payer, to_account_id = shop, amount = "1" }, new { type = "deposit", account_id = payer, amount = "1" }]);

            async Task<long> HoldAsync(string amount, string reference) =>
                (await App.PostAsync("/api/place_hold", new { account_id = payer, amount, to_account_id = shop, reference })).Id("hold_id");
        }

        public ValueTask DisposeAsync() => App.DisposeAsync();
    }

    public static TheoryData<string> ScriptFiles => [.. FilesIn(Scripts)];

    public static TheoryData<string> CheckFiles => [.. FilesIn(Path.Combine(Scripts, "checks"))];

    [Fact]
    public async Task A_new_book_journals_every_script_in_order_and_a_second_start_applies_nothing()
    {
        await using var first = new BankingApp(database);
        var journal = await first.Book.ScalarAsync<string>(JournalSql);
        await using var second = new BankingApp(database, first.Book.Schema);

        await using var session = await first.Book.SessionAsync();
        (await session.QueryAsync<string>("SELECT scriptname FROM schema_version ORDER BY schemaversionsid;"))
            .Should().Equal(FilesIn(Scripts));
        (await second.Book.ScalarAsync<string>(JournalSql)).Should().Be(journal);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public async Task Instances_that_start_at_once_on_nothing_all_come_up_and_post(int instances)
    {
        var book = $"book_{Guid.NewGuid():N}";
        var banks = await Task.WhenAll(Enumerable.Range(0, instances).Select(_ => Task.Run(() => new BankingApp(database, book))));
        try
        {
            var accounts = await Task.WhenAll(banks.Select(bank => bank.OpenAsync("10")));
            var replies = await Task.WhenAll(banks.SelectMany(bank => accounts.Select(account => bank.DepositAsync(account, "1"))));

            replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
            (await banks[0].Book.ScalarAsync<long>("SELECT count(*) FROM schema_version;")).Should().Be(FilesIn(Scripts).Length);
            (await banks[0].Book.ScalarAsync<long>("SELECT sum(balance)::bigint FROM account WHERE kind = 'customer';"))
                .Should().Be((10 + instances) * instances);
            (await banks[0].Book.FailedChecksAsync()).Should().BeEmpty();
            banks.SelectMany(bank => bank.Complaints).Should().BeEmpty();
        }
        finally
        {
            foreach (var bank in banks)
            {
                await bank.DisposeAsync();
            }
        }
    }

    [Fact]
    public async Task A_book_stands_in_its_schema_whole_and_leaves_nothing_in_public()
    {
        await using var session = await used.App.Book.SessionAsync();

        var tables = await session.QueryAsync<string>("SELECT tablename FROM pg_tables WHERE schemaname = @book;", new { book = used.App.Book.Schema });
        var strays = await session.QueryAsync<string>("""
            SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
             UNION ALL
            SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace;
            """);

        tables.Should().BeEquivalentTo("account", "account_log", "currency", "hold", "ledger_block", "ledger_head", "schema_version", "transaction_log");
        strays.Should().BeEmpty();
    }

    [Theory]
    [MemberData(nameof(ScriptFiles))]
    public void A_script_opens_with_what_its_reader_needs(string script)
    {
        var opening = File.ReadLines(Path.Combine(Scripts, script)).TakeWhile(line => line.StartsWith("--", StringComparison.Ordinal)).ToList();

        opening[0].Should().StartWith($"-- {Path.GetFileNameWithoutExtension(script)}: ");
        opening.Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(1))
            .Where(word => word is "Why" or "Locks" or "Older" or "Undo").Should().Equal("Why", "Locks", "Older", "Undo");
        opening.Should().ContainSingle(line => line.StartsWith("-- Older  Safe: ") || line.StartsWith("-- Older  Not safe: "));
    }

    [Theory]
    [MemberData(nameof(CheckFiles))]
    public async Task A_check_finds_nothing_in_a_sound_book(string check)
    {
        await using var session = await used.App.Book.SessionAsync();

        (await session.QueryAsync(await CheckAsync(check))).Should().BeEmpty();
    }

    [Fact]
    public void Every_check_has_a_test_in_which_it_finds_a_fault() =>
        Faults.Select(row => row.Data.Item1).Distinct().Should().BeEquivalentTo(CheckFiles.Select(row => row.Data));

    // Functions and operators in the book with the names of PostgreSQL's own, and a search path that finds them first.
    private const string Lookalikes = """
        CREATE FUNCTION sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT hash FROM ledger_block ORDER BY block_id LIMIT 1';
        CREATE FUNCTION record_send(record) RETURNS bytea LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE FUNCTION convert_to(text, name) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea';
        CREATE FUNCTION lag(bigint, integer, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 - 1';
        CREATE FUNCTION to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT NULL::regclass';
        CREATE FUNCTION never(numeric, integer) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE FUNCTION never(oid, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR <> (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = never);
        CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = never);
        SELECT set_config('search_path', current_schema() || ', pg_catalog', true);

        """;

    // Adds a row to the log, as an insider could: type, payer, payee, amount, reversed transaction, hold, reference, time.
    private static string Forge(string row) => $"""
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                                     reverses_transaction_id, hold_id, client_id, idempotency_key, reference, created_at)
        SELECT 1000000, forged.type, from_id, to_id, amount, 'USD', 0, 0, reverses_id::bigint, hold_id, 'me', 'forged', reference, created_at
          FROM ({row}) AS forged (type, from_id, to_id, amount, reverses_id, hold_id, reference, created_at);

        """;

    public static TheoryData<string, string> Faults => new()
    {
        { "account_event_ids_have_no_gaps.sql", "DELETE FROM account_log WHERE account_event_id = 1;" },
        { "account_event_ids_have_no_gaps.sql", "DELETE FROM account_log WHERE account_event_id = 2;" },
        { "account_event_ids_have_no_gaps.sql", "DELETE FROM account_log WHERE account_event_id = (SELECT max(account_event_id) FROM account_log);" },
        { "account_event_ids_have_no_gaps.sql", "DELETE FROM account_log;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE account_log SET account_event_id = 1000000 WHERE account_event_id = 2;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE ledger_head SET last_account_event_id = last_account_event_id + 1;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE ledger_head SET last_account_event_id = last_account_event_id - 1;" },
        { "account_event_ids_have_no_gaps.sql", "DELETE FROM ledger_head;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE account_log SET created_at = created_at + interval '1 hour' WHERE account_event_id = 2;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE account_log SET created_at = created_at - interval '1 hour' WHERE account_event_id = 2;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE account_log SET after_transaction_id = after_transaction_id + 100 WHERE account_event_id = 2;" },
        { "account_event_ids_have_no_gaps.sql", "UPDATE account_log SET after_transaction_id = 0 WHERE account_event_id = 3;" },
        {
            "account_event_ids_have_no_gaps.sql", // a row after the head
            """
            INSERT INTO account_log (account_event_id, type, account_id, status_after, overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key, request_hash, created_at)
            SELECT last_account_event_id + 1, 'changed', account_id, status_after, overdraft_limit_after, held_after, balance_after, last_transaction_id, client_id, 'another', request_hash, last_created_at
              FROM account_log AS log, ledger_head
             WHERE account_event_id = 1;
            """
        },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET overdraft_limit = overdraft_limit + 1 WHERE account_id = 1000;" },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET status = 'frozen' WHERE account_id = 1000;" },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET status = 'active' WHERE account_id = 1001;" },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET held = 1 WHERE account_id = 1000;" },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET created_at = created_at - interval '1 microsecond' WHERE account_id = 1000;" },
        { "accounts_equal_the_account_log.sql", "INSERT INTO account (account_id, owner_name, currency, created_at) VALUES (1005, 'Nobody', 'USD', now());" },
        { "accounts_equal_the_account_log.sql", "UPDATE ledger_head SET last_account_id = last_account_id - 1;" },
        { "accounts_equal_the_account_log.sql", "DELETE FROM ledger_head;" },
        { "accounts_equal_the_account_log.sql", "DELETE FROM account_log WHERE account_id = 1002;" },
        { "accounts_equal_the_account_log.sql", "DELETE FROM account_log WHERE account_id = 1000 AND type = 'opened';" },
        { "accounts_equal_the_account_log.sql", "DELETE FROM account_log WHERE account_id = 1001 AND type = 'frozen';" },
        { "accounts_equal_the_account_log.sql", "UPDATE account_log SET type = 'changed' WHERE account_event_id = 1;" },
        { "accounts_equal_the_account_log.sql", "UPDATE account_log SET account_id = 840 WHERE account_id = 1000 AND type = 'changed';" },
        { "balances_equal_the_log.sql", "UPDATE account SET balance = balance + 1 WHERE account_id = 1000;" },
        { "balances_equal_the_log.sql", "UPDATE account SET balance = 1 WHERE account_id = 756; -- no log row names this one" },
        { "balances_equal_the_log.sql", "UPDATE transaction_log SET amount = amount + 1 WHERE transaction_id = 2;" },
        { "balances_equal_the_log.sql", "DELETE FROM transaction_log WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET amount = amount + 1 WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET from_balance_after = from_balance_after + 1 WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET reference = 'Another' WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET metadata = '{}' WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET client_id = client_id || idempotency_key, idempotency_key = 'x' WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET created_at = created_at + interval '1 microsecond' WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "DELETE FROM transaction_log WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "DELETE FROM transaction_log WHERE transaction_id = (SELECT max(transaction_id) FROM transaction_log);" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET transaction_id = 1000000 WHERE transaction_id = 2;" },
        {
            "transaction_ids_have_no_gaps.sql", // a row after the head
            """
            INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at)
            SELECT last_transaction_id + 1, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, 'another', log.created_at
              FROM transaction_log AS log, ledger_head
             WHERE transaction_id = 1;
            """
        },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET type = 'withdrawal' WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET hold_id = 1 WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET part = part + 2 WHERE part > 0;" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET type = 'reversal', reverses_transaction_id = 1 WHERE transaction_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET type = 'changed' WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET account_id = 1001 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET hold_id = hold_id + 1 WHERE type = 'hold_released';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET amount = amount + 1 WHERE type = 'hold_expired';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET hold_to_account_id = 1000 WHERE type = 'hold_placed';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET hold_expires_at = hold_expires_at + interval '1 day' WHERE type = 'hold_placed';" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET request_hash = sha256('x') WHERE type = 'reversal';" },
        { "block_chain_is_intact.sql", "UPDATE transaction_log SET reverses_transaction_id = 1 WHERE type = 'reversal';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET status_after = 'frozen' WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET overdraft_limit_after = overdraft_limit_after + 1 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET held_after = held_after + 1 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET balance_after = balance_after + 1 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET after_transaction_id = after_transaction_id + 1 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET client_id = 'another' WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET client_id = client_id || idempotency_key, idempotency_key = 'x' WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET request_hash = sha256('x') WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET reason = 'Another' WHERE type = 'frozen';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET reason = NULL WHERE type = 'frozen';" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET created_at = created_at + interval '1 microsecond' WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "UPDATE account_log SET account_event_id = 1000000 WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "DELETE FROM account_log WHERE account_event_id = 1;" },
        { "block_chain_is_intact.sql", "DELETE FROM account_log WHERE account_event_id = (SELECT max(account_event_id) FROM account_log);" },
        { "block_chain_is_intact.sql", "UPDATE ledger_block SET block_id = 1000000 WHERE block_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE ledger_block SET created_at = created_at + interval '1 microsecond' WHERE block_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE ledger_block SET last_account_event_id = last_account_event_id + 1 WHERE block_id = 2;" },
        { "block_chain_is_intact.sql", "UPDATE ledger_head SET last_block_id = last_block_id + 1;" },
        { "block_chain_is_intact.sql", "UPDATE ledger_head SET last_account_event_id = last_account_event_id - 1;" },
        {
            "block_chain_is_intact.sql", // ... and the function that makes the hashes returns the hash already stored
            """
            UPDATE account_log SET overdraft_limit_after = 1000000 WHERE account_event_id = 1;
            CREATE OR REPLACE FUNCTION ledger_block_hash(
                previous_hash bytea, block_id bigint, created_at timestamptz,
                after_transaction_id bigint, last_transaction_id bigint, after_account_event_id bigint, last_account_event_id bigint) RETURNS bytea
                LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
            AS 'BEGIN RETURN (SELECT hash FROM ledger_block AS block WHERE block.block_id = $2); END';
            """
        },
        { "block_chain_is_intact.sql", Lookalikes + "UPDATE account_log SET overdraft_limit_after = 1000000 WHERE account_event_id = 1;" },
        { "account_event_ids_have_no_gaps.sql", Lookalikes + "DELETE FROM account_log WHERE account_event_id = 2;" },
        { "transaction_ids_have_no_gaps.sql", Lookalikes + "DELETE FROM transaction_log WHERE transaction_id = 2;" },
        { "books_sum_to_zero.sql", Lookalikes + "UPDATE account SET balance = balance + 1 WHERE account_id = 1000;" },
        { "block_chain_is_intact.sql", Lookalikes + "UPDATE transaction_log SET amount = amount + 1 WHERE transaction_id = 2;" },
        { "protection_is_armed.sql", "ALTER TABLE account RENAME TO account_of_old; CREATE VIEW account AS SELECT * FROM account_of_old;" },
        { "protection_is_armed.sql", "ALTER TABLE account_log RENAME TO account_log_of_old; CREATE TABLE account_log (LIKE account_log_of_old);" },
        { "protection_is_armed.sql", "DROP TABLE ledger_block;" },
        { "protection_is_armed.sql", "CREATE RULE silence AS ON UPDATE TO account DO INSTEAD NOTHING;" },
        { "protection_is_armed.sql", "CREATE RULE silence AS ON DELETE TO account_log DO INSTEAD NOTHING;" },
        { "protection_is_armed.sql", "ALTER TABLE transaction_log ENABLE ROW LEVEL SECURITY;" },
        { "protection_is_armed.sql", "CREATE TABLE child () INHERITS (account_log);" },
        { "protection_is_armed.sql", "CREATE TABLE parent (code text NOT NULL); ALTER TABLE currency INHERIT parent;" },
        { "protection_is_armed.sql", "ALTER TABLE ledger_head SET UNLOGGED;" },
        { "protection_is_armed.sql", "ALTER TABLE account_log DISABLE TRIGGER account_log_row_is_append_only;" },
        { "protection_is_armed.sql", "ALTER TABLE account DISABLE TRIGGER account_is_never_truncated;" },
        { "protection_is_armed.sql", "ALTER TABLE transaction_log ENABLE TRIGGER transaction_log_statement_is_append_only; -- not as a replica" },
        { "protection_is_armed.sql", "ALTER TABLE ledger_block ENABLE REPLICA TRIGGER ledger_block_row_is_append_only;" },
        { "protection_is_armed.sql", "DROP TRIGGER hold_row_keeps_its_identity ON hold;" },
        { "protection_is_armed.sql", "ALTER TABLE hold DISABLE TRIGGER hold_row_is_never_removed;" },
        { "protection_is_armed.sql", "CREATE RULE silence AS ON UPDATE TO hold DO INSTEAD NOTHING;" },
        {
            "protection_is_armed.sql", // a trigger that forgets whom a hold pays
            """
            DROP TRIGGER hold_row_keeps_its_identity ON hold;
            CREATE TRIGGER hold_row_keeps_its_identity
                BEFORE UPDATE OF hold_id, account_id, currency, amount, expires_at, reference, metadata, created_at ON hold
                FOR EACH ROW EXECUTE FUNCTION refuse_change('of a hold only its status and its captured amount change');
            ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_row_keeps_its_identity;
            """
        },
        { "protection_is_armed.sql", "DROP TRIGGER currency_row_keeps_its_identity ON currency;" },
        {
            "protection_is_armed.sql",
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS 'BEGIN RETURN NEW; END';"
        },
        {
            "protection_is_armed.sql", // the function is unchanged, but the trigger calls another one
            """
            CREATE FUNCTION allow_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            DROP TRIGGER ledger_head_row_is_never_removed ON ledger_head;
            CREATE TRIGGER ledger_head_row_is_never_removed BEFORE DELETE ON ledger_head FOR EACH ROW EXECUTE FUNCTION allow_change();
            ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_row_is_never_removed;
            """
        },
        {
            "protection_is_armed.sql",
            """
            DROP TRIGGER account_log_row_is_append_only ON account_log;
            CREATE TRIGGER account_log_row_is_append_only BEFORE UPDATE OR DELETE ON account_log
                FOR EACH ROW WHEN (current_user = 'nobody') EXECUTE FUNCTION refuse_change('the account log is append-only');
            ALTER TABLE account_log ENABLE ALWAYS TRIGGER account_log_row_is_append_only;
            """
        },
        {
            "protection_is_armed.sql", // a trigger of that name that fires on something else
            """
            DROP TRIGGER account_log_row_is_append_only ON account_log;
            CREATE TRIGGER account_log_row_is_append_only BEFORE INSERT ON account_log
                FOR EACH ROW EXECUTE FUNCTION refuse_change('the account log is append-only');
            ALTER TABLE account_log ENABLE ALWAYS TRIGGER account_log_row_is_append_only;
            """
        },
        {
            "protection_is_armed.sql", // ... or on other columns
            """
            DROP TRIGGER account_row_keeps_its_identity ON account;
            CREATE TRIGGER account_row_keeps_its_identity BEFORE UPDATE OF account_id, kind, created_at, held ON account
                FOR EACH ROW EXECUTE FUNCTION refuse_change('an account keeps its id, kind, currency and time of opening');
            ALTER TABLE account ENABLE ALWAYS TRIGGER account_row_keeps_its_identity;
            """
        },
        {
            "protection_is_armed.sql", // ... or compares fewer columns
            """
            DROP TRIGGER account_row_keeps_its_identity ON account;
            CREATE TRIGGER account_row_keeps_its_identity BEFORE UPDATE OF account_id, kind, currency, created_at ON account
                FOR EACH ROW WHEN ((OLD.account_id, OLD.kind, OLD.created_at) IS DISTINCT FROM (NEW.account_id, NEW.kind, NEW.created_at))
                EXECUTE FUNCTION refuse_change('an account keeps its id, kind, currency and time of opening');
            ALTER TABLE account ENABLE ALWAYS TRIGGER account_row_keeps_its_identity;
            """
        },
        { "block_chain_is_intact.sql", "DELETE FROM ledger_block WHERE last_transaction_id = 2;" },
        { "block_chain_is_intact.sql", "DELETE FROM ledger_block WHERE last_transaction_id = (SELECT max(last_transaction_id) FROM ledger_block);" },
        { "block_chain_is_intact.sql", "DELETE FROM ledger_block;" },
        { "block_chain_is_intact.sql", "UPDATE ledger_block SET hash = sha256('x') WHERE last_transaction_id = 2;" },
        { "block_chain_is_intact.sql", "DELETE FROM ledger_head;" },
        {
            "balances_stay_within_their_limits.sql",
            """
            ALTER TABLE account DROP CONSTRAINT account_balance_of_a_customer_covers_its_holds_within_its_limit;
            UPDATE account SET balance = -50.01 WHERE account_id = 1001;
            """
        },
        {
            "balances_stay_within_their_limits.sql", // what is held counts too
            """
            ALTER TABLE account DROP CONSTRAINT account_balance_of_a_customer_covers_its_holds_within_its_limit;
            UPDATE account SET held = 70.01 WHERE account_id = 1000;
            """
        },
        { "books_sum_to_zero.sql", "UPDATE account SET balance = balance + 0.0001 WHERE account_id = 1001;" },
        { "books_sum_to_zero.sql", "UPDATE account SET balance = balance + CASE currency WHEN 'USD' THEN 1 ELSE -1 END WHERE account_id IN (1001, 1002);" },
        { "held_equals_the_pending_holds.sql", "UPDATE account SET held = held + 1 WHERE account_id = 1003;" },
        { "held_equals_the_pending_holds.sql", "UPDATE account SET held = 0 WHERE account_id = 1003;" },
        { "held_equals_the_pending_holds.sql", "UPDATE account SET held = 1 WHERE account_id = 1004; -- no hold names this one" },
        { "held_equals_the_pending_holds.sql", "DELETE FROM hold WHERE reference = 'pending';" },
        { "held_equals_the_pending_holds.sql", "UPDATE hold SET captured_amount = 1 WHERE reference = 'pending';" },
        { "held_equals_the_pending_holds.sql", "UPDATE hold SET status = 'released' WHERE reference = 'pending';" },
        { "held_equals_the_pending_holds.sql", "UPDATE hold SET status = 'pending' WHERE reference = 'released';" },
        { "accounts_equal_the_account_log.sql", "UPDATE account SET held = held + 1 WHERE account_id = 1003;" },
        {
            "accounts_equal_the_account_log.sql", // a capture that nothing held
            Forge("SELECT 'withdrawal', 1003, 840, 1, NULL, hold_id, NULL, now() FROM hold WHERE reference = 'pending'")
        },
        { "holds_equal_the_logs.sql", "DELETE FROM hold WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "DELETE FROM hold WHERE reference = 'released';" },
        { "holds_equal_the_logs.sql", "DELETE FROM account_log WHERE type = 'hold_placed' AND amount = 11;" },
        { "holds_equal_the_logs.sql", "DELETE FROM account_log WHERE type = 'hold_released';" },
        { "holds_equal_the_logs.sql", "DELETE FROM transaction_log WHERE hold_id IS NOT NULL AND amount = 5;" },
        {
            "holds_equal_the_logs.sql", // a hold that nobody asked for
            """
            INSERT INTO hold (hold_id, account_id, currency, amount, expires_at, created_at)
            SELECT max(hold_id) + 1000, 1003, 'USD', 1, now() + interval '1 day', now() FROM hold;
            """
        },
        { "holds_equal_the_logs.sql", "UPDATE hold SET captured_amount = captured_amount + 1 WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET captured_amount = captured_amount + 0.0001 WHERE reference = 'captured';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET amount = amount + 1 WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET account_id = 1000 WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET to_account_id = 1000 WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET to_account_id = NULL WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET to_account_id = 1004 WHERE status = 'expired';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET currency = 'JPY' WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET expires_at = expires_at + interval '1 day' WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET created_at = created_at - interval '1 day' WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET reference = 'another' WHERE reference = 'captured';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET metadata = '{}' WHERE reference = 'captured';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'released' WHERE reference = 'pending';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'pending' WHERE reference = 'released';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'captured' WHERE reference = 'released';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'released' WHERE reference = 'captured';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'released' WHERE reference = 'all';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'expired' WHERE reference = 'released';" },
        { "holds_equal_the_logs.sql", "UPDATE hold SET status = 'released' WHERE status = 'expired';" },
        { "holds_equal_the_logs.sql", "UPDATE account_log SET amount = amount - 1 WHERE type = 'hold_expired';" },
        { "holds_equal_the_logs.sql", "UPDATE account_log SET account_id = 1000 WHERE type = 'hold_released';" },
        { "holds_equal_the_logs.sql", "UPDATE account_log SET created_at = created_at - interval '1 minute' WHERE type = 'hold_expired'; -- before its time" },
        { "holds_equal_the_logs.sql", "UPDATE account_log SET created_at = created_at + interval '8 days' WHERE type = 'hold_released'; -- after the hold's time" },
        {
            "holds_equal_the_logs.sql", // released a second time
            """
            INSERT INTO account_log (account_event_id, type, account_id, hold_id, amount, status_after, overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key, request_hash, created_at)
            SELECT 1000000, type, account_id, hold_id, amount, status_after, overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, 'another', request_hash, created_at
              FROM account_log
             WHERE type = 'hold_released'
               AND amount = 11;
            """
        },
        {
            "holds_equal_the_logs.sql", // a forged capture
            Forge("SELECT 'transfer', 1003, 1004, 1, NULL, hold_id, reference, created_at FROM hold WHERE reference = 'pending'")
        },
        {
            "holds_equal_the_logs.sql", // ... that the hold counts, but to somebody else
            Forge("SELECT 'transfer', 1003, 1000, 1, NULL, hold_id, reference, created_at FROM hold WHERE reference = 'pending'")
            + "UPDATE hold SET captured_amount = 1 WHERE reference = 'pending';"
        },
        {
            "holds_equal_the_logs.sql", // ... out of somebody else's account
            Forge("SELECT 'transfer', 1000, 1004, 1, NULL, hold_id, reference, created_at FROM hold WHERE reference = 'pending'")
            + "UPDATE hold SET captured_amount = 1 WHERE reference = 'pending';"
        },
        {
            "holds_equal_the_logs.sql", // ... paid out where the hold pays an account
            Forge("SELECT 'withdrawal', 1003, 840, 1, NULL, hold_id, reference, created_at FROM hold WHERE reference = 'pending'")
            + "UPDATE hold SET captured_amount = 1 WHERE reference = 'pending';"
        },
        {
            "holds_equal_the_logs.sql", // ... after the hold's time
            Forge("SELECT 'transfer', 1003, 1004, 1, NULL, hold_id, reference, expires_at FROM hold WHERE reference = 'pending'")
            + "UPDATE hold SET captured_amount = 1 WHERE reference = 'pending';"
        },
        {
            "holds_equal_the_logs.sql", // ... of a hold that was released
            Forge("SELECT 'transfer', 1003, 1004, 1, NULL, hold_id, reference, created_at FROM hold WHERE reference = 'released'")
            + "UPDATE hold SET captured_amount = captured_amount + 1 WHERE reference = 'released';"
        },
        {
            "reversals_stay_within_their_originals.sql", // one cent too much
            Forge("SELECT 'reversal', to_account_id, from_account_id, 6.01, transaction_id, NULL::bigint, NULL, created_at FROM transaction_log WHERE type = 'transfer' AND amount = 10")
        },
        {
            "reversals_stay_within_their_originals.sql", // in the direction of the original
            Forge("SELECT 'reversal', from_account_id, to_account_id, 1, transaction_id, NULL::bigint, NULL, created_at FROM transaction_log WHERE type = 'transfer' AND amount = 10")
        },
        {
            "reversals_stay_within_their_originals.sql", // to somebody else
            Forge("SELECT 'reversal', to_account_id, 1000, 1, transaction_id, NULL::bigint, NULL, created_at FROM transaction_log WHERE type = 'transfer' AND amount = 10")
        },
        {
            "reversals_stay_within_their_originals.sql", // of a reversal
            Forge("SELECT 'reversal', to_account_id, from_account_id, 1, transaction_id, NULL::bigint, NULL, created_at FROM transaction_log WHERE type = 'reversal' AND amount = 4")
        },
        {
            "reversals_stay_within_their_originals.sql", // of nothing
            "ALTER TABLE transaction_log DROP CONSTRAINT transaction_log_reversal_names_what_it_reverses;"
            + Forge("VALUES ('reversal', 1003, 1000, 1, NULL, NULL::bigint, NULL, now())")
        },
        {
            "reversals_stay_within_their_originals.sql", // under another name
            "ALTER TABLE transaction_log DROP CONSTRAINT transaction_log_reversal_names_what_it_reverses;"
            + "UPDATE transaction_log SET type = 'transfer' WHERE type = 'reversal' AND amount = 4;"
        },
        { "reversals_stay_within_their_originals.sql", "DELETE FROM transaction_log WHERE type = 'transfer' AND amount = 10;" },
        { "reversals_stay_within_their_originals.sql", "UPDATE transaction_log SET amount = 3.99 WHERE type = 'transfer' AND amount = 10;" },
        { "running_balances_are_continuous.sql", "UPDATE transaction_log SET amount = amount + 1 WHERE transaction_id = 2;" },
        { "running_balances_are_continuous.sql", "UPDATE transaction_log SET to_balance_after = to_balance_after + 1 WHERE transaction_id = 2;" },
        { "running_balances_are_continuous.sql", "UPDATE transaction_log SET from_balance_after = from_balance_after + 1 WHERE transaction_id = 1;" },
        { "running_balances_are_continuous.sql", "DELETE FROM transaction_log WHERE transaction_id = 2;" },
        { "settlement_accounts_stand_for_their_currencies.sql", "DELETE FROM account WHERE account_id = 756;" },
        { "settlement_accounts_stand_for_their_currencies.sql", "UPDATE account SET currency = 'EUR' WHERE account_id = 756;" },
        { "transaction_ids_have_no_gaps.sql", "DELETE FROM transaction_log WHERE transaction_id = 1;" },
        { "transaction_ids_have_no_gaps.sql", "DELETE FROM transaction_log WHERE transaction_id = 2;" },
        { "transaction_ids_have_no_gaps.sql", "DELETE FROM transaction_log WHERE transaction_id = (SELECT max(transaction_id) FROM transaction_log);" },
        { "transaction_ids_have_no_gaps.sql", "DELETE FROM transaction_log;" },
        { "transaction_ids_have_no_gaps.sql", "UPDATE ledger_head SET last_transaction_id = last_transaction_id + 1;" },
        { "transaction_ids_have_no_gaps.sql", "UPDATE ledger_head SET last_transaction_id = last_transaction_id - 1;" },
        { "transaction_ids_have_no_gaps.sql", "DELETE FROM ledger_head;" },
        { "transaction_ids_have_no_gaps.sql", "UPDATE transaction_log SET created_at = created_at + interval '1 hour' WHERE transaction_id = 2;" },
        { "transaction_ids_have_no_gaps.sql", "UPDATE transaction_log SET created_at = created_at - interval '1 hour' WHERE transaction_id = 2;" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_check_finds_its_fault(string check, string tampering)
    {
        await using var session = await used.App.Book.SessionAsync();
        await using var rolledBack = await session.BeginTransactionAsync(TestContext.Current.CancellationToken);
        // The triggers would refuse a fault in the data. A fault in the triggers themselves is made while the others are armed.
        if (check != "protection_is_armed.sql")
        {
            foreach (var table in new[] { "account", "hold", "transaction_log", "account_log", "ledger_block", "ledger_head" })
            {
                await session.ExecuteAsync($"ALTER TABLE {table} DISABLE TRIGGER ALL;");
            }
        }

        (await session.ExecuteAsync(tampering)).Should().NotBe(0, "else nothing was tampered with");

        (await session.QueryAsync(await CheckAsync(check))).Should().NotBeEmpty();
    }

    [Theory]
    [MemberData(nameof(CheckFiles))]
    public async Task A_check_calls_nothing_of_the_book_s_own(string check)
    {
        await using var session = await used.App.Book.SessionAsync();
        await using var rolledBack = await session.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await session.ExecuteAsync(Lookalikes);

        (await session.QueryAsync(await CheckAsync(check))).Should().BeEmpty();
    }

    [Theory]
    [InlineData("account_log_key_is_used_once")]
    [InlineData("transaction_log_key_is_used_once")]
    public async Task The_index_of_the_idempotency_keys_is_sorted_by_bytes_and_not_by_the_operating_systems_order(string index)
    {
        (await used.App.Book.ScalarAsync<string>(
            """
            SELECT string_agg(collname, ' ')
              FROM pg_index
             CROSS JOIN unnest(indcollation) AS sorted (by)
              JOIN pg_collation ON pg_collation.oid = sorted.by
             WHERE indexrelid = to_regclass(@index);
            """,
            new { index })).Should().Be("C C");
    }

    [Theory]
    [InlineData("JPY", 392, 0)]
    [InlineData("USD", 840, 2)]
    [InlineData("KWD", 414, 3)]
    [InlineData("CLF", 990, 4)]
    [InlineData("UYW", 927, 4)]
    public async Task A_currency_has_the_number_and_the_digits_of_iso_4217(string code, short number, short digits)
    {
        (await used.App.Book.ScalarAsync<short>("SELECT numeric_code FROM currency WHERE code = @code;", new { code })).Should().Be(number);
        (await used.App.Book.ScalarAsync<short>("SELECT minor_unit FROM currency WHERE code = @code;", new { code })).Should().Be(digits);
    }

    [Fact]
    public async Task Each_of_the_165_currencies_has_its_settlement_account()
    {
        (await used.App.Book.ScalarAsync<long>("SELECT count(*) FROM currency;")).Should().Be(165);
        (await used.App.Book.ScalarAsync<long>("""
            SELECT count(*)
              FROM account
              JOIN currency ON (code, numeric_code) = (currency, account_id)
             WHERE kind = 'settlement';
            """)).Should().Be(165);
    }

    private static string[] FilesIn(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*.sql").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private static Task<string> CheckAsync(string check) => File.ReadAllTextAsync(Path.Combine(Scripts, "checks", check));
}
