using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The program's own answer to whether a book is right, run as an operator runs it.</summary>
public sealed class VerifyTests(TestDatabase database)
{
    private const string Checks =
        "balances_equal_the_log balances_stay_within_their_limits block_chain_is_intact books_sum_to_zero running_balances_are_continuous "
        + "settlement_accounts_stand_for_their_currencies transaction_ids_have_no_gaps";

    // As the owner can: the log and its chain from one transaction on, without a trace inside the database.
    private const string RewriteSql = """
        ALTER TABLE transaction_log DISABLE TRIGGER ALL;
        ALTER TABLE ledger_block DISABLE TRIGGER ALL;
        UPDATE transaction_log SET reference = 'Nothing to see' WHERE transaction_id = 2;
        DO $body$
        DECLARE
            block record;
            before bytea := sha256('');
            after_id bigint := 0;
        BEGIN
            FOR block IN SELECT * FROM ledger_block ORDER BY last_transaction_id LOOP
                UPDATE ledger_block
                   SET previous_hash = before
                     , hash = ledger_block_hash(before, after_id, block.last_transaction_id)
                 WHERE last_transaction_id = block.last_transaction_id
                RETURNING hash, last_transaction_id INTO before, after_id;
            END LOOP;
            UPDATE ledger_head SET last_hash = before;
        END;
        $body$;
        """;

    // The last transaction undone altogether: its row, its block, both balances, the head.
    private const string UndoSql = """
        ALTER TABLE transaction_log DISABLE TRIGGER ALL;
        ALTER TABLE ledger_block DISABLE TRIGGER ALL;
        UPDATE account SET balance = balance + amount FROM transaction_log, ledger_head WHERE transaction_id = last_transaction_id AND account_id = from_account_id;
        UPDATE account SET balance = balance - amount FROM transaction_log, ledger_head WHERE transaction_id = last_transaction_id AND account_id = to_account_id;
        DELETE FROM transaction_log USING ledger_head WHERE transaction_id = ledger_head.last_transaction_id;
        DELETE FROM ledger_block USING ledger_head WHERE ledger_block.last_transaction_id = ledger_head.last_transaction_id;
        UPDATE ledger_head SET last_transaction_id = last_transaction_id - 1, last_hash = (SELECT hash FROM ledger_block ORDER BY last_transaction_id DESC LIMIT 1);
        """;

    [Fact]
    public async Task A_book_that_is_right_passes_every_check()
    {
        await using var bank = await UsedAsync();

        var run = await VerifyAsync(bank);

        run.ExitCode.Should().Be(0, run.Output);
        run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Should().HaveCount(7).And.OnlyContain(line => line.StartsWith("ok "));
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
        results[0].GetProperty("rows").GetInt64().Should().Be(1);
        results[0].GetProperty("findings")[0].GetString().Should().StartWith("account_id 1000, ");
    }

    [Theory]
    [InlineData(RewriteSql)]
    [InlineData(UndoSql)]
    public async Task Only_a_head_that_was_kept_outside_tells_of_a_history_that_was_rewritten_whole(string tampering)
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

    private Task<Run> VerifyAsync(BankingApp bank, params string[] options) => RunAsync(bank.Book.Schema, options);

    private Task<Run> RunAsync(string book, string[] options) =>
        ServiceProcess.RunAsync(["verify", .. options], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", book));
}
