using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>A book that only these tests try to rewrite, so that no other waits for their locks.</summary>
public sealed class GuardedBook(TestDatabase database) : IAsyncLifetime
{
    public BankingApp App { get; } = new(database);

    public long Account { get; private set; }

    public async ValueTask InitializeAsync()
    {
        Account = await App.OpenAsync("100");
        await App.WithdrawAsync(Account, "1");
    }

    public ValueTask DisposeAsync() => App.DisposeAsync();
}

/// <summary>What the database itself refuses, to its superuser too: what is written stays written, and nothing wrong is written.</summary>
public sealed class AppendOnlyTests(GuardedBook book) : IClassFixture<GuardedBook>
{
    private const string InsertSql = """
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                     to_balance_after, client_id, idempotency_key, created_at)
        """;

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
        { "account", "TRUNCATE account CASCADE;" },
        { "account", "DELETE FROM account WHERE account_id >= 1000;" },
        { "account", "DELETE FROM account WHERE account_id = -1;" },
        { "account", "UPDATE account SET currency = 'EUR' WHERE account_id >= 1000;" },
        { "account", "UPDATE account SET account_id = account_id + 1000000 WHERE account_id >= 1000;" },
        { "account", "UPDATE account SET kind = 'customer';" },
        { "ledger_block", "UPDATE ledger_block SET hash = sha256('');" },
        { "ledger_block", "DELETE FROM ledger_block;" },
        { "ledger_block", "TRUNCATE ledger_block;" },
        { "ledger_head", "DELETE FROM ledger_head;" },
        { "ledger_head", "TRUNCATE ledger_head;" },
        { "currency", "TRUNCATE currency CASCADE;" },
        { "currency", "DELETE FROM currency WHERE code = 'CHW';" },
        { "currency", "UPDATE currency SET minor_unit = 3 WHERE code = 'USD';" },
    };

    [Theory]
    [MemberData(nameof(Rewritings))]
    public async Task Nobody_rewrites_the_book(string table, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync(statement);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        refused.MessageText.Should().Contain($" of {table} refused: ");
        (await WrittenAsync()).Should().Be(before);
    }

    [Theory]
    [MemberData(nameof(Rewritings))]
    public async Task Nobody_rewrites_the_book_as_a_replica_either(string table, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync("SET session_replication_role = replica;" + statement);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        refused.MessageText.Should().Contain($" of {table} refused: ");
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
        refused.MessageText.Should().Be("DELETE of transaction_log refused: the transaction log is append-only");
        (await WrittenAsync()).Should().Be(before);
    }

    // The row triggers guard where no statement names the log: a table that it inherits from.
    [Theory]
    [InlineData("DELETE FROM parent;", "DELETE")]
    [InlineData("UPDATE parent SET transaction_id = 1000;", "UPDATE")]
    public async Task A_change_of_a_table_that_the_log_inherits_from_does_not_reach_its_rows(string statement, string operation)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync($"""
            CREATE TABLE parent (transaction_id bigint NOT NULL);
            ALTER TABLE transaction_log INHERIT parent;
            {statement}
            """);

        refused.SqlState.Should().Be(PostgresErrorCodes.RestrictViolation);
        refused.MessageText.Should().Be($"{operation} of transaction_log refused: the transaction log is append-only");
        (await WrittenAsync()).Should().Be(before);
    }

    [Theory]
    [InlineData(
        "account_balance_of_a_customer_stays_within_its_overdraft_limit",
        "UPDATE account SET balance = -0.01 WHERE account_id = @account;")]
    [InlineData("account_overdraft_limit_is_not_negative", "UPDATE account SET overdraft_limit = -1 WHERE account_id = @account;")]
    [InlineData("account_status_is_active_frozen_or_closed", "UPDATE account SET status = 'gone' WHERE account_id = @account;")]
    [InlineData(
        "account_id_is_below_1000_for_settlement_only",
        "INSERT INTO account (account_id, owner_name, currency, kind, created_at) VALUES (5000, 'Me', 'USD', 'settlement', now());")]
    [InlineData(
        "account_of_a_customer_has_its_opening_request",
        "INSERT INTO account (owner_name, currency, created_at) VALUES ('Me', 'USD', now());")]
    [InlineData(
        "account_currency_is_known",
        "INSERT INTO account (owner_name, currency, created_at, client_id, idempotency_key, opening_owner_name, opening_overdraft_limit) VALUES ('Me', 'XXX', now(), 'me', 'key', 'Me', 0);")]
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
        "transaction_log_type_is_deposit_withdrawal_or_transfer",
        InsertSql + "VALUES (1000, 'gift', 840, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData(
        "transaction_log_key_is_used_once",
        InsertSql + "SELECT 1000, type, from_account_id, to_account_id, 1, currency, 0, 0, client_id, idempotency_key, now() FROM transaction_log LIMIT 1;")]
    [InlineData(
        "transaction_log_pk",
        InsertSql + "VALUES (1, 'deposit', 840, @account, 1, 'USD', 0, 0, 'me', 'key', now());")]
    [InlineData("ledger_head_pk", "INSERT INTO ledger_head (last_transaction_id, last_created_at, last_hash) VALUES (0, now(), sha256(''));")]
    [InlineData("ledger_head_is_a_single_row", "INSERT INTO ledger_head (only_row, last_transaction_id, last_created_at, last_hash) VALUES (false, 0, now(), sha256(''));")]
    public async Task What_the_service_never_writes_breaks_a_constraint_that_says_why(string constraint, string statement)
    {
        var before = await WrittenAsync();

        var refused = await RefusalOfAsync(statement);

        refused.ConstraintName.Should().Be(constraint);
        (await WrittenAsync()).Should().Be(before);
    }

    private async Task<PostgresException> RefusalOfAsync(string statement) =>
        (await bank.Book.Invoking(own => own.ExecuteAsync(statement, new { account = book.Account })).Should().ThrowAsync<PostgresException>()).Which;

    private Task<string?> WrittenAsync() => bank.Book.ScalarAsync<string>("""
        SELECT concat((SELECT string_agg(log::text, ' ' ORDER BY transaction_id) FROM transaction_log AS log)
                    , (SELECT string_agg(account::text, ' ' ORDER BY account_id) FROM account)
                    , (SELECT string_agg(head::text, ' ') FROM ledger_head AS head)
                    , (SELECT string_agg(currency::text, ' ' ORDER BY code) FROM currency));
        """);
}
