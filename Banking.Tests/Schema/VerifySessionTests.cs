using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The session settings of a check, as the database sees them.</summary>
public sealed class VerifySessionTests(TestDatabase database)
{
    // The checks read the head through a view that reports the settings of their session.
    private const string TellSql = """
        CREATE FUNCTION tell() RETURNS boolean LANGUAGE plpgsql AS $body$
        BEGIN
            RAISE EXCEPTION 'application_name=% search_path=% work_mem=%kB hash_mem_multiplier=% max_parallel_workers_per_gather=% read_only=%.',
                replace(current_setting('application_name'), ' ', '_'), replace(current_setting('search_path'), ' ', ''),
                (SELECT setting FROM pg_settings WHERE name = 'work_mem'), current_setting('hash_mem_multiplier'),
                current_setting('max_parallel_workers_per_gather'), current_setting('transaction_read_only');
        END;
        $body$;
        ALTER TABLE ledger_head RENAME TO told_head;
        CREATE VIEW ledger_head AS SELECT told_head.* FROM told_head WHERE tell();
        """;

    [Theory]
    [InlineData(64)]
    [InlineData(512)]
    public async Task The_checks_share_the_configured_memory_and_run_read_only_under_their_own_name_in_their_book_alone(int megabytes)
    {
        await using var bank = new BankingApp(database);
        await bank.Book.ExecuteAsync(TellSql);

        var run = await ServiceProcess.RunAsync(
            ["verify"], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", bank.Book.Schema), ("Banking__VerifyMemory", $"{megabytes}"));

        run.ExitCode.Should().Be(2);
        var told = Regex.Matches(run.Errors, "([a-z_]+)=([^ ]+?)(kB)?[ .]").ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);
        told["application_name"].Should().Be("core-banking_verify");
        told["search_path"].Should().Be($"pg_catalog,{bank.Book.Schema},pg_temp");
        told["read_only"].Should().Be("on");
        var processes = 2 * (1 + int.Parse(told["max_parallel_workers_per_gather"], CultureInfo.InvariantCulture)); // two checks at once
        var each = double.Parse(told["work_mem"], CultureInfo.InvariantCulture) * double.Parse(told["hash_mem_multiplier"], CultureInfo.InvariantCulture);
        (processes * 3 * each).Should().BeInRange(megabytes * 1024 * 0.95, megabytes * 1024, "a process of a check has three sorts or hashes in memory at once");
    }
}
