using System.Text.RegularExpressions;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>A book of its own, because these tests take strong locks.</summary>
public sealed class GuardedBook(TestDatabase database) : IAsyncLifetime
{
    public BankingApp App { get; } = new(database);

    public long Account { get; private set; }

    public async ValueTask InitializeAsync()
    {
        Account = await App.OpenAsync("100");
        await App.WithdrawAsync(Account, "1");
        await App.HoldAsync(Account, "1");
    }

    public ValueTask DisposeAsync() => App.DisposeAsync();
}

/// <summary>The database itself refuses to change what is written, and to write anything wrong. It refuses a superuser too.</summary>
public sealed class AppendOnlyTests(GuardedBook book) : IClassFixture<GuardedBook>
{
    private const string InsertSql = """
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                     to_balance_after, client_id, idempotency_key, created_at)
        """;

    private const string InsertSpecialSql = """
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                                     reverses_transaction_id, hold_id, client_id, idempotency_key, part, request_hash, created_at)
        """;

    private const string InsertHoldSql = """
        INSERT INTO hold (hold_id, account_id, to_account_id, currency, amount, captured_amount, status, expires_at, reference, metadata, created_at)
        """;

    private const string InsertAccountSql = "INSERT INTO account (account_id, owner_name, currency, created_at) ";

    private const string InsertEventSql = """
        INSERT INTO account_log (account_event_id, type, account_id, hold_id, amount, status_after, overdraft_limit_after, held_after,
                                 balance_after, after_transaction_id, client_id, idempotency_key, request_hash, reason, created_at)
        """;

    private const string InsertHeadSql =
        "INSERT INTO ledger_head (only_row, last_block_id, last_transaction_id, last_account_event_id, last_account_id, last_created_at, last_hash) ";

    private const string InsertBlockSql =
        "INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at) ";

    private readonly BankingApp bank = book.App;

    public static TheoryData<string, string> Rewritings => new()
    {
        { "transaction_log", "UPDATE transaction_log SET amount = amount + 1;" },
        { "transaction_log", "UPDATE transaction_log SET reference = 'changed' WHERE transaction_id = 1;" },
        { "transaction_log", "UPDATE transaction_log SET amount = 1 WHERE transaction_id = -1;" },
        { "transaction_log", "DELETE FROM transaction_log;" },
        { "transaction_log", "DELETE FROM transaction_log WHERE transaction_id = -1;" },
        { "transaction_log", "TRUNCATE transaction_log;" },
        { "transaction_log", "WITH gone AS (DELETE FROM transaction_log RETURNING *) SELECT count(*) FROM gone;" },
        { "transaction_log", "INSERT INTO transaction_log SELECT * FROM transaction_log ON CONFLICT (transaction_id) DO UPDATE SET amount = 1;" },
        { "transaction_log", "MERGE INTO transaction_log AS log USING account ON log.to_account_id = account_id WHEN MATCHED THEN UPDATE SET amount = 1;" },
        { "transaction_log", "MERGE INTO transaction_log AS log USING account ON log.to_account_id = account_id WHEN MATCHED THEN DELETE;" },
        { "account_log", "UPDATE account_log SET overdraft_limit_after = 1000000;" },
        { "account_log", "UPDATE account_log SET reason = 'changed' WHERE account_event_id = 1;" },
        { "account_log", "UPDATE account_log SET reason = 'changed' WHERE account_event_id = -1;" },
        { "account_log", "DELETE FROM account_log;" },
        { "account_log", "DELETE FROM account_log WHERE account_event_id = -1;" },
        { "account_log", "TRUNCATE account_log;" },
        { "account_log", "INSERT INTO account_log SELECT * FROM account_log ON CONFLICT (account_event_id) DO UPDATE SET reason = 'changed';" },
        { "account_log", "MERGE INTO account_log AS log USING account ON log.account_id = account.account_id WHEN MATCHED THEN DELETE;" },
        { "account", "TRUNCATE account CASCADE;" },
        { "account", "DELETE FROM account WHERE account_id >= 1000;" },
        { "account", "DELETE FROM account WHERE account_id = -1;" },
        { "account", "UPDATE account SET currency = 'EUR' WHERE account_id >= 1000;" },
        { "account", "UPDATE account SET account_id = account_id + 1000000 WHERE account_id >= 1000;" },
        { "account", "UPDATE account SET kind = 'customer';" },
        { "account", "UPDATE account SET created_at = now();" },
        { "hold", "TRUNCATE hold CASCADE;" },
        { "hold", "DELETE FROM hold;" },
        { "hold", "DELETE FROM hold WHERE hold_id = -1;" },
        { "hold", "UPDATE hold SET hold_id = hold_id + 1000;" },
        { "hold", "UPDATE hold SET account_id = 840;" },
        { "hold", "UPDATE hold SET to_account_id = 840;" },
        { "hold", "UPDATE hold SET currency = 'EUR';" },
        { "hold", "UPDATE hold SET amount = amount + 1;" },
        { "hold", "UPDATE hold SET expires_at = expires_at + interval '1 day';" },
        { "hold", "UPDATE hold SET reference = 'changed';" },
        { "hold", "UPDATE hold SET metadata = '{}';" },
        { "hold", "UPDATE hold SET created_at = now() WHERE hold_id = -1;" },
        { "hold", "UPDATE hold SET captured_amount = 0.5, amount = 2;" },
        { "ledger_block", "UPDATE ledger_block SET hash = sha256('');" },
        { "ledger_block", "DELETE FROM ledger_block;" },
        { "ledger_block", "TRUNCATE ledger_block;" },
        { "ledger_block", "DELETE FROM ledger_block WHERE block_id = -1;" },
        { "ledger_head", "DELETE FROM ledger_head;" },
        { "ledger_head", "DELETE FROM ledger_head WHERE NOT only_row;" },
        { "ledger_head", "TRUNCATE ledger_head;" },
        { "currency", "TRUNCATE currency CASCADE;" },
        { "currency", "DELETE FROM currency WHERE code = 'CHW';" },
        { "currency", "UPDATE currency SET minor_unit = 3 WHERE code = 'USD';" },
        { "currency", "UPDATE currency SET code = 'AAA' WHERE code = 'CHW';" },
        { "currency", "UPDATE currency SET numeric_code = 1 WHERE code = 'CHW';" },
    };

    [Theory]
    [MemberData(nameof(Rewritings))]
    public async Task Nobody_rewrites_the_book(string table, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync(statement);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        MessageOf(refused).Should().Contain($" of {table} refused: ");
        (await WrittenAsync()).Should().Be(before);
    }

    [Theory]
    [MemberData(nameof(Rewritings))]
    public async Task Nobody_rewrites_the_book_as_a_replica_either(string table, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync("SET session_replication_role = replica;" + statement);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        MessageOf(refused).Should().Contain($" of {table} refused: ");
        (await WrittenAsync()).Should().Be(before);
    }

    [Fact]
    public async Task A_delete_that_cascades_from_another_table_does_not_reach_the_log()
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync("""
            CREATE TABLE parent AS SELECT DISTINCT type FROM transaction_log;
            ALTER TABLE parent ADD PRIMARY KEY (type);
            ALTER TABLE transaction_log ADD CONSTRAINT child FOREIGN KEY (type) REFERENCES parent (type) ON DELETE CASCADE;
            DELETE FROM parent;
            """);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        MessageOf(refused).Should().Be("DELETE of transaction_log refused: the transaction log is append-only");
        (await WrittenAsync()).Should().Be(before);
    }

    // A statement on a parent table reaches the rows without naming their table. The row triggers catch it.
    [Theory]
    [InlineData("transaction_log", "transaction_id bigint", "DELETE FROM parent;", "DELETE", "the transaction log is append-only")]
    [InlineData("transaction_log", "transaction_id bigint", "UPDATE parent SET transaction_id = 1000;", "UPDATE", "the transaction log is append-only")]
    [InlineData("account_log", "account_event_id bigint", "DELETE FROM parent;", "DELETE", "the account log is append-only")]
    [InlineData("account_log", "account_event_id bigint", "UPDATE parent SET account_event_id = 1000;", "UPDATE", "the account log is append-only")]
    [InlineData("ledger_block", "block_id bigint", "DELETE FROM parent;", "DELETE", "the chain of blocks is append-only")]
    [InlineData("ledger_block", "block_id bigint", "UPDATE parent SET block_id = 1000;", "UPDATE", "the chain of blocks is append-only")]
    [InlineData("account", "account_id bigint", "DELETE FROM parent;", "DELETE", "an account is never removed")]
    [InlineData("account", "account_id bigint", "UPDATE parent SET account_id = 5000;", "UPDATE", "an account keeps its id, kind, currency and time of opening")]
    [InlineData("account", "kind text", "UPDATE parent SET kind = 'settlement';", "UPDATE", "an account keeps its id, kind, currency and time of opening")]
    [InlineData("hold", "hold_id bigint", "DELETE FROM parent;", "DELETE", "a hold is never removed")]
    [InlineData("hold", "amount numeric(19,4)", "UPDATE parent SET amount = 99;", "UPDATE", "of a hold only its status and its captured amount change")]
    [InlineData("hold", "expires_at timestamptz", "UPDATE parent SET expires_at = now();", "UPDATE", "of a hold only its status and its captured amount change")]
    [InlineData("currency", "code text", "DELETE FROM parent;", "DELETE", "amounts already written depend on a currency's code and digits")]
    [InlineData("currency", "minor_unit smallint", "UPDATE parent SET minor_unit = 3;", "UPDATE", "amounts already written depend on a currency's code and digits")]
    [InlineData("ledger_head", "last_block_id bigint", "DELETE FROM parent;", "DELETE", "a book always has its head")]
    public async Task A_change_of_a_table_that_the_book_inherits_from_does_not_reach_its_rows(
        string table, string column, string statement, string operation, string reason)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync($"""
            CREATE TABLE parent ({column} NOT NULL);
            ALTER TABLE {table} INHERIT parent;
            {statement}
            """);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        MessageOf(refused).Should().Be($"{operation} of {table} refused: {reason}");
        (await WrittenAsync()).Should().Be(before);
    }

    [Theory]
    [InlineData(
        "account_balance_of_a_customer_covers_its_holds_within_its_limit",
        "UPDATE account SET balance = -0.01 WHERE account_id = @account;")]
    [InlineData(
        "account_balance_of_a_customer_covers_its_holds_within_its_limit",
        "UPDATE account SET held = balance + 0.01 WHERE account_id = @account;")]
    [InlineData(
        "account_overdraft_limit_is_not_negative",
        "UPDATE account SET overdraft_limit = -1 WHERE account_id = @account;")]
    [InlineData(
        "account_held_is_not_negative",
        "UPDATE account SET held = -1 WHERE account_id = @account;")]
    [InlineData(
        "account_status_is_known",
        "UPDATE account SET status = 'gone' WHERE account_id = @account;")]
    [InlineData(
        "account_is_empty_when_closed",
        "UPDATE account SET status = 'closed' WHERE account_id = @account;")]
    [InlineData(
        "account_of_settlement_is_plain",
        "UPDATE account SET overdraft_limit = 1 WHERE account_id = 840;")]
    [InlineData(
        "account_of_settlement_is_plain",
        "UPDATE account SET status = 'frozen' WHERE account_id = 840;")]
    [InlineData(
        "account_owner_name_has_1_to_200_characters",
        "UPDATE account SET owner_name = '' WHERE account_id = @account;")]
    [InlineData(
        "account_reference_has_at_most_140_characters",
        "UPDATE account SET reference = repeat('x', 141) WHERE account_id = @account;")]
    [InlineData(
        "account_metadata_is_an_object",
        "UPDATE account SET metadata = '[]' WHERE account_id = @account;")]
    [InlineData(
        "account_id_is_below_1000_for_settlement_only",
        "INSERT INTO account (account_id, owner_name, currency, kind, created_at) VALUES (5000, 'Me', 'USD', 'settlement', now());")]
    [InlineData(
        "account_id_is_below_1000_for_settlement_only",
        InsertAccountSql + "VALUES (1, 'Me', 'USD', now());")]
    [InlineData(
        "account_pk",
        InsertAccountSql + "VALUES (@account, 'Me', 'USD', now());")]
    [InlineData(
        "account_currency_is_known",
        InsertAccountSql + "VALUES (5000, 'Me', 'XXX', now());")]
    [InlineData(
        "transaction_log_amount_is_above_zero",
        InsertSql + "VALUES (1000, 'deposit', 840, @account, 0, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_accounts_differ",
        InsertSql + "VALUES (1000, 'transfer', @account, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_from_account_exists_in_that_currency",
        InsertSql + "VALUES (1000, 'deposit', 840, @account, 1, 'EUR', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_to_account_exists_in_that_currency",
        InsertSql + "VALUES (1000, 'deposit', 978, @account, 1, 'EUR', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_type_is_known",
        InsertSql + "VALUES (1000, 'gift', 840, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_reversal_names_what_it_reverses",
        InsertSql + "VALUES (1000, 'reversal', 840, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_key_is_used_once",
        InsertSql + "SELECT 1000, type, from_account_id, to_account_id, 1, currency, 0, 0, client_id, idempotency_key, now() FROM transaction_log LIMIT 1;")]
    [InlineData(
        "transaction_log_pk",
        InsertSql + "VALUES (1, 'deposit', 840, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "account_log_pk",
        InsertEventSql + "SELECT account_event_id, type, account_id, hold_id, amount, status_after, 0, 0, 0, 0, client_id, 'other', request_hash, reason, created_at FROM account_log LIMIT 1;")]
    [InlineData(
        "account_log_key_is_used_once",
        InsertEventSql + "SELECT 1000, type, account_id, hold_id, amount, status_after, 0, 0, 0, 0, client_id, idempotency_key, request_hash, reason, created_at FROM account_log LIMIT 1;")]
    [InlineData(
        "account_log_account_exists",
        InsertEventSql + "VALUES (1000, 'opened', 5000, NULL, NULL, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_type_is_known",
        InsertEventSql + "VALUES (1000, 'raised', @account, NULL, NULL, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_hold_events_name_their_hold",
        InsertEventSql + "VALUES (1000, 'hold_placed', @account, NULL, NULL, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_hold_events_have_an_amount",
        InsertEventSql + "VALUES (1000, 'hold_placed', @account, 1, NULL, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_request_hash_is_a_sha256",
        InsertEventSql + "VALUES (1000, 'opened', @account, NULL, NULL, 'active', 0, 0, 0, 0, 'me', 'key', '', NULL, now());")]
    [InlineData(
        "hold_captures_stay_within_its_amount",
        "UPDATE hold SET status = 'captured', captured_amount = amount + 0.01;")]
    [InlineData(
        "hold_captures_stay_within_its_amount",
        "UPDATE hold SET captured_amount = -0.01;")]
    [InlineData(
        "hold_status_is_known",
        "UPDATE hold SET status = 'gone';")]
    [InlineData(
        "hold_has_something_left_while_pending",
        "UPDATE hold SET captured_amount = amount;")]
    [InlineData(
        "hold_has_a_capture_when_captured",
        "UPDATE hold SET status = 'captured';")]
    [InlineData(
        "hold_pk",
        InsertHoldSql + "SELECT hold_id, @account, NULL, 'USD', 1, 0, 'pending', now() + interval '1 day', NULL, NULL, now() FROM hold;")]
    [InlineData(
        "hold_account_exists_in_that_currency",
        InsertHoldSql + "VALUES (1000, @account, NULL, 'EUR', 1, 0, 'pending', now() + interval '1 day', NULL, NULL, now());")]
    [InlineData(
        "hold_to_account_exists_in_that_currency",
        InsertHoldSql + "VALUES (1000, @account, 978, 'USD', 1, 0, 'pending', now() + interval '1 day', NULL, NULL, now());")]
    [InlineData(
        "hold_id_is_positive",
        InsertHoldSql + "VALUES (0, @account, NULL, 'USD', 1, 0, 'pending', now() + interval '1 day', NULL, NULL, now());")]
    [InlineData(
        "hold_accounts_differ",
        InsertHoldSql + "VALUES (1000, @account, @account, 'USD', 1, 0, 'pending', now() + interval '1 day', NULL, NULL, now());")]
    [InlineData(
        "hold_amount_is_above_zero",
        InsertHoldSql + "VALUES (1000, @account, NULL, 'USD', 0, 0, 'released', now() + interval '1 day', NULL, NULL, now());")]
    [InlineData(
        "hold_expires_after_it_was_placed",
        InsertHoldSql + "VALUES (1000, @account, NULL, 'USD', 1, 0, 'pending', now(), NULL, NULL, now());")]
    [InlineData(
        "hold_reference_has_at_most_140_characters",
        InsertHoldSql + "VALUES (1000, @account, NULL, 'USD', 1, 0, 'pending', now() + interval '1 day', repeat('x', 141), NULL, now());")]
    [InlineData(
        "hold_metadata_is_an_object",
        InsertHoldSql + "VALUES (1000, @account, NULL, 'USD', 1, 0, 'pending', now() + interval '1 day', NULL, '[]', now());")]
    [InlineData(
        "transaction_log_hold_exists",
        InsertSpecialSql + "VALUES (1000, 'withdrawal', @account, 840, 1, 'USD', 0, 0, NULL, 1000, 'me', 'key', 0, NULL, now());")]
    [InlineData(
        "transaction_log_reversed_transaction_exists",
        InsertSpecialSql + "VALUES (1000, 'reversal', @account, 840, 1, 'USD', 0, 0, 999, NULL, 'me', 'key', 0, NULL, now());")]
    [InlineData(
        "transaction_log_reversal_names_what_it_reverses",
        InsertSpecialSql + "VALUES (1000, 'transfer', @account, 840, 1, 'USD', 0, 0, 1, NULL, 'me', 'key', 0, NULL, now());")]
    [InlineData(
        "transaction_log_reversal_is_later_than_what_it_reverses",
        InsertSpecialSql + "VALUES (1000, 'reversal', @account, 840, 1, 'USD', 0, 0, 1000, NULL, 'me', 'key', 0, NULL, now());")]
    [InlineData(
        "transaction_log_reversal_captures_no_hold",
        InsertSpecialSql + "SELECT 1000, 'reversal', @account, 840, 1, 'USD', 0, 0, 1, hold_id, 'me', 'key', 0, NULL, now() FROM hold;")]
    [InlineData(
        "transaction_log_part_is_not_negative",
        InsertSpecialSql + "VALUES (1000, 'withdrawal', @account, 840, 1, 'USD', 0, 0, NULL, NULL, 'me', 'key', -1, sha256(''), now());")]
    [InlineData(
        "transaction_log_part_of_a_batch_has_its_hash",
        InsertSpecialSql + "VALUES (1000, 'withdrawal', @account, 840, 1, 'USD', 0, 0, NULL, NULL, 'me', 'key', 1, NULL, now());")]
    [InlineData(
        "transaction_log_request_hash_is_a_sha256",
        InsertSpecialSql + "VALUES (1000, 'withdrawal', @account, 840, 1, 'USD', 0, 0, NULL, NULL, 'me', 'key', 0, '', now());")]
    [InlineData(
        "account_log_hold_exists",
        InsertEventSql + "VALUES (1000, 'hold_released', @account, 999, 1, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_amount_is_above_zero",
        InsertEventSql + "VALUES (1000, 'hold_released', @account, 1, 0, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_placing_says_when_the_hold_expires",
        InsertEventSql + "VALUES (1000, 'hold_placed', @account, 1000, 1, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_placing_names_the_hold_by_its_own_id",
        InsertEventSql + "VALUES (1000, 'hold_placed', @account, 999, 1, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_only_an_expiry_has_no_request",
        InsertEventSql + "VALUES (1000, 'hold_released', @account, 1, 1, 'active', 0, 0, 0, 0, 'me', 'key', NULL, NULL, now());")]
    [InlineData(
        "account_log_only_an_expiry_has_no_request",
        InsertEventSql + "VALUES (1000, 'hold_expired', @account, 1, 1, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), NULL, now());")]
    [InlineData(
        "account_log_reason_has_at_most_500_characters",
        InsertEventSql + "VALUES (1000, 'frozen', @account, NULL, NULL, 'active', 0, 0, 0, 0, 'me', 'key', sha256(''), repeat('x', 501), now());")]
    [InlineData(
        "ledger_head_pk",
        InsertHeadSql + "VALUES (true, 0, 0, 0, 999, now(), sha256(''));")]
    [InlineData(
        "ledger_head_is_a_single_row",
        InsertHeadSql + "VALUES (false, 0, 0, 0, 999, now(), sha256(''));")]
    [InlineData(
        "ledger_head_ids_are_not_negative",
        "UPDATE ledger_head SET last_account_event_id = -1;")]
    [InlineData(
        "ledger_head_account_ids_of_customers_start_at_1000",
        "UPDATE ledger_head SET last_account_id = 998;")]
    [InlineData(
        "ledger_block_pk",
        InsertBlockSql + "VALUES (1, 0, 0, 1, sha256(''), sha256(''), now());")]
    [InlineData(
        "ledger_block_hash_format_is_known",
        InsertBlockSql + "VALUES (1000, 0, 0, 2, sha256(''), sha256(''), now());")]
    [InlineData(
        "ledger_block_hashes_are_sha256",
        InsertBlockSql + "VALUES (1000, 0, 0, 1, sha256(''), '', now());")]
    public async Task What_the_service_never_writes_breaks_a_constraint_that_says_why(string constraint, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync(statement);

        MessageOf(refused).Should().Contain($"\"{constraint}\"");
        (await WrittenAsync()).Should().Be(before);
    }

    // On a distributed PostgreSQL a table and a constraint have the number of their shard at the end.
    private static string MessageOf(PostgresException refused) => Regex.Replace(refused.MessageText, "_[0-9]{6,}\\b", "");

    private async Task<PostgresException> RefusalOfAsync(string statement) =>
        (await bank.Book.Invoking(own => own.ExecuteAsync(statement, new { account = book.Account })).Should().ThrowAsync<PostgresException>()).Which;

    private Task<string?> WrittenAsync() => bank.Book.ScalarAsync<string>("""
        SELECT concat((SELECT string_agg(log::text, ' ' ORDER BY transaction_id) FROM transaction_log AS log)
                    , (SELECT string_agg(log::text, ' ' ORDER BY account_event_id) FROM account_log AS log)
                    , (SELECT string_agg(block::text, ' ' ORDER BY block_id) FROM ledger_block AS block)
                    , (SELECT string_agg(account::text, ' ' ORDER BY account_id) FROM account)
                    , (SELECT string_agg(hold::text, ' ' ORDER BY hold_id) FROM hold)
                    , (SELECT string_agg(head::text, ' ') FROM ledger_head AS head)
                    , (SELECT string_agg(currency::text, ' ' ORDER BY code) FROM currency));
        """);
}
