using System.Net;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The subcommand verify, run as an operator runs it.</summary>
public sealed class VerifyTests(TestDatabase database)
{
    private const string Checks =
        "account_event_ids_have_no_gaps accounts_equal_the_account_log balances_equal_the_log balances_stay_within_their_limits "
        + "block_chain_is_intact books_sum_to_zero held_equals_the_pending_holds holds_equal_the_logs protection_is_armed "
        + "reversals_stay_within_their_originals running_balances_are_continuous "
        + "settlement_accounts_stand_for_their_currencies transaction_ids_have_no_gaps";

    // An owner who knows the checks arms the triggers again.
    private const string DisarmSql = """
        ALTER TABLE account DISABLE TRIGGER USER;
        ALTER TABLE hold DISABLE TRIGGER USER;
        ALTER TABLE transaction_log DISABLE TRIGGER USER;
        ALTER TABLE account_log DISABLE TRIGGER USER;
        ALTER TABLE ledger_block DISABLE TRIGGER USER;

        """;

    private const string RearmSql = """

        DO $body$
        DECLARE
            disarmed record;
        BEGIN
            FOR disarmed IN SELECT tgrelid::regclass AS table_name, tgname
                              FROM pg_trigger
                              JOIN pg_class ON pg_class.oid = tgrelid
                             WHERE relnamespace = current_schema()::regnamespace
                               AND tgenabled = 'D' LOOP
                EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', disarmed.table_name, disarmed.tgname);
            END LOOP;
        END;
        $body$;
        """;

    // Computes the whole chain again, in the book's own format.
    private const string ChainAnewSql = """

        DO $body$
        DECLARE
            block record;
            before bytea := sha256('');
            after_transaction bigint := 0;
            after_event bigint := 0;
        BEGIN
            FOR block IN SELECT * FROM ledger_block ORDER BY block_id LOOP
                UPDATE ledger_block
                   SET previous_hash = before
                     , hash = ledger_block_hash(before, block.block_id, block.created_at, after_transaction, block.last_transaction_id,
                                                after_event, block.last_account_event_id)
                 WHERE block_id = block.block_id
                RETURNING hash, last_transaction_id, last_account_event_id INTO before, after_transaction, after_event;
            END LOOP;
            UPDATE ledger_head SET last_hash = before;
        END;
        $body$;

        """;

    // The owner rewrites a log and then the chain. Nothing inside the database shows it.
    private const string RewriteSql =
        DisarmSql + "UPDATE transaction_log SET reference = 'Nothing to see' WHERE transaction_id = 2;" + ChainAnewSql + RearmSql;

    private const string RewriteEventSql = DisarmSql
        + "UPDATE account_log SET overdraft_limit_after = 1000000 WHERE account_event_id = 1; UPDATE account SET overdraft_limit = 1000000 WHERE account_id = 1000;"
        + ChainAnewSql + RearmSql;

    // A reversal of transaction 1, written as the service would write it: with its balances, its block and the head. It takes no owner.
    private const string ReverseTooMuchSql = """
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                                     reverses_transaction_id, client_id, idempotency_key, request_hash, created_at)
        SELECT last_transaction_id + 1, 'reversal', payer.account_id, payee.account_id, 1, 'USD', payer.balance - 1, payee.balance + 1,
               original.transaction_id, 'anonymous', 'forged', sha256('forged'), last_created_at
          FROM ledger_head
          JOIN transaction_log AS original ON original.transaction_id = 1
          JOIN account AS payer ON payer.account_id = original.to_account_id
          JOIN account AS payee ON payee.account_id = original.from_account_id;
        UPDATE account SET balance = balance - 1 FROM transaction_log AS forged WHERE idempotency_key = 'forged' AND account_id = from_account_id;
        UPDATE account SET balance = balance + 1 FROM transaction_log AS forged WHERE idempotency_key = 'forged' AND account_id = to_account_id;
        INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
        SELECT last_block_id + 1, last_transaction_id + 1, last_account_event_id, 1, last_hash,
               ledger_block_hash(last_hash, last_block_id + 1, last_created_at, last_transaction_id, last_transaction_id + 1,
                                 last_account_event_id, last_account_event_id), last_created_at
          FROM ledger_head;
        UPDATE ledger_head
           SET last_block_id = block.block_id
             , last_transaction_id = block.last_transaction_id
             , last_hash = block.hash
          FROM ledger_block AS block
         WHERE block.block_id = last_block_id + 1;
        """;

    // Undoes the last transaction completely: its row, its block, both balances, the head.
    private const string UndoSql = DisarmSql + """
        UPDATE account SET balance = balance + amount FROM transaction_log, ledger_head WHERE transaction_id = last_transaction_id AND account_id = from_account_id;
        UPDATE account SET balance = balance - amount FROM transaction_log, ledger_head WHERE transaction_id = last_transaction_id AND account_id = to_account_id;
        DELETE FROM transaction_log USING ledger_head WHERE transaction_id = ledger_head.last_transaction_id;
        DELETE FROM ledger_block USING ledger_head WHERE block_id = last_block_id;
        UPDATE ledger_head
           SET last_block_id = last_block_id - 1
             , last_transaction_id = last_transaction_id - 1
             , last_hash = (SELECT hash FROM ledger_block ORDER BY block_id DESC LIMIT 1);
        """ + RearmSql;

    // Changes the same row, and makes the hash function return the hash that is stored already.
    private const string SwapSql = DisarmSql + """
        UPDATE transaction_log SET reference = 'Nothing to see' WHERE transaction_id = 2;
        CREATE OR REPLACE FUNCTION ledger_block_hash(
            previous_hash bytea, block_id bigint, created_at timestamptz,
            after_transaction_id bigint, last_transaction_id bigint, after_account_event_id bigint, last_account_event_id bigint) RETURNS bytea
            LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
        AS 'BEGIN RETURN COALESCE((SELECT hash FROM ledger_block AS block WHERE block.block_id = $2), sha256($1)); END';
        """ + RearmSql;

    [Fact]
    public async Task A_book_that_is_right_passes_every_check()
    {
        await using var bank = await UsedAsync();

        var run = await VerifyAsync(bank);

        run.ExitCode.Should().Be(0, run.Output);
        run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Should().HaveCount(13).And.OnlyContain(line => line.StartsWith("ok "));
        foreach (var check in Checks.Split(' '))
        {
            run.Output.Should().MatchRegex($@"ok +{check}: 0 rows, \d+\.\d s");
        }
    }

    [Fact]
    public async Task A_book_that_was_tampered_with_fails_and_says_where()
    {
        await using var bank = await UsedAsync();
        await bank.Book.ExecuteAsync("UPDATE account SET balance = balance + 1 WHERE account_id = 1000;");

        var run = await VerifyAsync(bank, "--json");

        run.ExitCode.Should().Be(1);
        var results = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        results.Select(result => result.GetProperty("check").GetString()).Should().Equal(Checks.Split(' '));
        results.Where(result => !result.GetProperty("passed").GetBoolean()).Select(result => result.GetProperty("check").GetString())
            .Should().Equal("balances_equal_the_log", "books_sum_to_zero");
        var found = results.Single(result => result.GetProperty("check").GetString() == "balances_equal_the_log");
        found.GetProperty("rows").GetInt64().Should().Be(1);
        found.GetProperty("findings")[0].GetString().Should().StartWith("account_id 1000, ");
    }

    [Theory]
    [InlineData("UPDATE account SET overdraft_limit = 1000000 WHERE account_id = 1000;", "accounts_equal_the_account_log", "account_id 1000, ")]
    [InlineData("UPDATE account SET status = 'active' WHERE account_id = 1001;", "accounts_equal_the_account_log", "account_id 1001, ")]
    [InlineData(
        "UPDATE account SET overdraft_limit = 1000000 WHERE account_id = 1000;"
        + "UPDATE account_log SET overdraft_limit_after = 1000000 WHERE account_id = 1000;",
        "block_chain_is_intact",
        "block_id 1, ")]
    [InlineData("UPDATE account_log SET client_id = 'somebody else' WHERE type = 'frozen';", "block_chain_is_intact", "block_id ")]
    public async Task A_raised_limit_or_a_lifted_freeze_is_found_though_every_trigger_is_armed_again(string tampering, string check, string where)
    {
        await using var bank = await UsedAsync();
        (await bank.PostAsync("/api/freeze_account", new { account_id = 1001, reason = "Court order" })).Status.Should().Be(HttpStatusCode.OK);
        (await VerifyAsync(bank)).ExitCode.Should().Be(0);

        await bank.Book.ExecuteAsync(DisarmSql + tampering + RearmSql);

        var run = await VerifyAsync(bank);
        run.ExitCode.Should().Be(1);
        var lines = run.Output.Split('\n');
        lines.Where(line => line.StartsWith("FAIL")).Should().ContainSingle().Which.Should().StartWith($"FAIL  {check}: ");
        lines.Should().Contain(line => line.TrimStart().StartsWith(where));
    }

    [Theory]
    [InlineData("SET session_replication_role = replica; DELETE FROM hold; RESET session_replication_role; UPDATE account SET held = 0;", "accounts_equal_the_account_log holds_equal_the_logs")]
    [InlineData("UPDATE hold SET captured_amount = 5; UPDATE account SET held = 5 WHERE held > 0;", "accounts_equal_the_account_log holds_equal_the_logs")]
    [InlineData("UPDATE account SET held = 0;", "accounts_equal_the_account_log held_equals_the_pending_holds")]
    [InlineData("UPDATE hold SET expires_at = expires_at + interval '10 years';", "holds_equal_the_logs")]
    public async Task A_hold_that_was_tampered_with_is_found_though_every_trigger_is_armed_again(string tampering, string checks)
    {
        await using var bank = await UsedAsync();
        (await bank.PlaceHoldAsync(1000, "10", 1001)).ShouldBeCreated();

        await bank.Book.ExecuteAsync(DisarmSql + tampering + RearmSql);

        var run = await VerifyAsync(bank);
        run.ExitCode.Should().Be(1);
        FailedIn(run).Should().Equal(checks.Split(' '));
    }

    [Fact]
    public async Task A_reversal_too_many_is_found_though_it_is_written_as_the_service_would_write_it()
    {
        await using var bank = await UsedAsync();
        (await bank.DepositAsync(1000, "50")).ShouldBeCreated();
        (await bank.ReverseAsync(1)).ShouldBeCreated();

        await bank.Book.ExecuteAsync(ReverseTooMuchSql);

        FailedIn(await VerifyAsync(bank)).Should().Equal("reversals_stay_within_their_originals");
    }

    [Fact]
    public async Task A_changed_row_is_found_though_the_owner_swapped_the_function_that_makes_the_hashes()
    {
        await using var bank = await UsedAsync();

        await bank.Book.ExecuteAsync(SwapSql);

        (await bank.Book.ScalarAsync<bool>("""
            SELECT bool_and(hash = ledger_block_hash(previous_hash, block_id, created_at, 0, last_transaction_id, 0, last_account_event_id))
              FROM ledger_block;
            """)).Should().BeTrue("whoever asks the book's own function hears that all is well");
        var run = await VerifyAsync(bank);
        run.ExitCode.Should().Be(1);
        run.Output.Split('\n').Should().ContainSingle(line => line.StartsWith("FAIL")).Which.Should().StartWith("FAIL  block_chain_is_intact: 1 rows");
    }

    [Theory]
    [InlineData(RewriteSql)]
    [InlineData(RewriteEventSql)]
    [InlineData(UndoSql)]
    public async Task Only_a_head_kept_outside_reveals_that_the_whole_history_was_rewritten(string tampering)
    {
        await using var bank = await UsedAsync();
        var kept = await bank.HeadAsync();
        (await bank.DepositAsync(1000, "1")).ShouldBeCreated();
        (await VerifyAsync(bank, "--against", kept)).ExitCode.Should().Be(0, "a chain only grows");
        var keptLater = await bank.HeadAsync();

        await bank.Book.ExecuteAsync(tampering);

        (await VerifyAsync(bank)).ExitCode.Should().Be(0, "all is consistent within the database");
        var run = await VerifyAsync(bank, "--against", keptLater);
        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("FAIL  kept_head_is_on_the_chain: 1 rows");
    }

    [Fact]
    public async Task An_empty_book_passes_against_its_first_head()
    {
        await using var bank = new BankingApp(database);

        (await VerifyAsync(bank, "--against", await bank.HeadAsync())).ExitCode.Should().Be(0);
    }

    [Theory]
    [InlineData("--against", "5")]
    [InlineData("--against", "5:abc")]
    [InlineData("--against", "-1:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("--against", "9999999999999999999:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("--against")]
    [InlineData("--quick")]
    public async Task An_option_it_does_not_know_is_named(params string[] options)
    {
        await using var bank = new BankingApp(database);

        var run = await VerifyAsync(bank, options);

        run.ExitCode.Should().Be(2);
        run.Output.Should().BeEmpty();
        run.Errors.Should().Contain(options[0]).And.Contain("verify [--json]");
    }

    [Fact]
    public async Task A_book_that_is_not_there_is_no_book_that_is_right()
    {
        await using var bank = new BankingApp(database);

        var run = await RunAsync("no_such_book", []);

        run.ExitCode.Should().Be(2);
        run.Errors.Should().Contain("Can't verify");
    }

    private async Task<BankingApp> UsedAsync()
    {
        var bank = new BankingApp(database);
        var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("1"));
        (await bank.TransferAsync(one, other, "5")).ShouldBeCreated();
        (await bank.WithdrawAsync(other, "2")).ShouldBeCreated();
        return bank;
    }

    private static IEnumerable<string> FailedIn(Run run) =>
        run.Output.Split('\n').Where(line => line.StartsWith("FAIL")).Select(line => line.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries)[1]);

    private Task<Run> VerifyAsync(BankingApp bank, params string[] options) => RunAsync(bank.Book.Schema, options);

    private Task<Run> RunAsync(string book, string[] options) =>
        ServiceProcess.RunAsync(["verify", .. options], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", book));
}
