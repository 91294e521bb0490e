using System.Net;
using Dapper;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The scripts of sql/ and the checks beside them.</summary>
public sealed class MigrationTests(TestDatabase database, MigrationTests.UsedBook used) : IClassFixture<MigrationTests.UsedBook>
{
    private const string JournalSql = "SELECT string_agg(schemaversionsid || ' ' || scriptname || ' ' || applied, '; ' ORDER BY schemaversionsid) FROM schema_version;";

    private static readonly string Scripts = Path.Combine(Repository.Folder, "sql");

    /// <summary>A book with some of everything in it, for checks and for faults that are rolled back.</summary>
    public sealed class UsedBook(TestDatabase database) : IAsyncLifetime
    {
        public BankingApp App { get; } = new(database);

        public async ValueTask InitializeAsync()
        {
            var (one, other) = (await App.OpenAsync("100"), await App.OpenAsync(overdraftLimit: "50"));
            await App.TransferAsync(one, other, "30");
            await App.WithdrawAsync(other, "70");
            await App.OpenAsync("1000", "JPY");
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

        tables.Should().Contain(["account", "currency", "ledger_head", "schema_version", "transaction_log"]);
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
    public void Every_check_is_seen_to_find_a_fault() =>
        Faults.Select(row => row.Data.Item1).Distinct().Should().BeEquivalentTo(CheckFiles.Select(row => row.Data));

    public static TheoryData<string, string> Faults => new()
    {
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
            INSERT INTO transaction_log
            SELECT last_transaction_id + 1, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, 'another', reference, metadata, log.created_at
              FROM transaction_log AS log, ledger_head
             WHERE transaction_id = 1;
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
            ALTER TABLE account DROP CONSTRAINT account_balance_of_a_customer_stays_within_its_overdraft_limit;
            UPDATE account SET balance = -50.01 WHERE account_id = 1001;
            """
        },
        { "books_sum_to_zero.sql", "UPDATE account SET balance = balance + 0.0001 WHERE account_id = 1001;" },
        { "books_sum_to_zero.sql", "UPDATE account SET balance = balance + CASE currency WHEN 'USD' THEN 1 ELSE -1 END WHERE account_id IN (1001, 1002);" },
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
        foreach (var table in new[] { "account", "transaction_log", "ledger_block", "ledger_head" })
        {
            await session.ExecuteAsync($"ALTER TABLE {table} DISABLE TRIGGER ALL;");
        }

        (await session.ExecuteAsync(tampering)).Should().NotBe(0, "else nothing was tampered with");

        (await session.QueryAsync(await CheckAsync(check))).Should().NotBeEmpty();
    }

    [Theory]
    [InlineData("account_opening_key_is_used_once")]
    [InlineData("transaction_log_key_is_used_once")]
    public async Task The_index_of_the_idempotency_keys_is_sorted_by_bytes_whatever_the_operating_system_sorts_by(string index)
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
