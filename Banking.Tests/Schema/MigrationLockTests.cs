using System.Diagnostics;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>Migrations that cannot start: another session has their lock, or the database has the wrong encoding.</summary>
public sealed class MigrationLockTests(TestDatabase database)
{
    private const string LockSql = "SELECT pg_advisory_xact_lock(hashtextextended('core-banking migrations of ' || @schema, 0));";

    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Fact]
    public async Task A_book_without_pending_scripts_waits_for_nobody()
    {
        (await MigrateAsync(60)).ExitCode.Should().Be(0);
        await using var somebody = new BookInspector(database.ConnectionString, "public");
        await using var held = await somebody.HoldAsync(LockSql, new { schema });

        (await MigrateAsync(60)).Output.Should().StartWith("Nothing is pending: ");
    }

    [Fact]
    public async Task The_holder_of_the_lock_is_named_and_waited_for_only_as_long_as_configured()
    {
        await using var somebody = new BookInspector($"{database.ConnectionString};Application Name=somebody", "public");
        await using (await somebody.HoldAsync(LockSql, new { schema }))
        {
            var since = Stopwatch.GetTimestamp();
            var run = await MigrateAsync(2);

            run.ExitCode.Should().Be(1);
            Stopwatch.GetElapsedTime(since).Should().BeGreaterThan(TimeSpan.FromSeconds(2)).And.BeLessThan(TimeSpan.FromSeconds(20));
            run.Output.Should().MatchRegex("another session has the migration lock: process [0-9]+ .*application somebody, state idle in transaction");
            run.Errors.Should().MatchRegex($"Can't migrate: .*another session kept the lock of the migrations of {schema} for 2 s: process [0-9]+ .*somebody.*pg_terminate_backend");
        }

        (await MigrateAsync(60)).ExitCode.Should().Be(0, "the one that gave up has left nothing locked");
    }

    [Fact]
    public async Task SIGTERM_in_the_middle_of_a_script_leaves_nothing_of_it()
    {
        (await MigrateAsync(60)).ExitCode.Should().Be(0);
        await using var book = new BookInspector(database.ConnectionString, schema);
        await book.ExecuteAsync("DROP FUNCTION refuse_change() CASCADE; DELETE FROM schema_version WHERE scriptname = '0008_append_only.sql';");
        await using (await book.HoldAsync("LOCK TABLE ledger_head IN ROW EXCLUSIVE MODE;")) // the last table of the script
        {
            await using var migrating = new ServiceProcess(database.ConnectionString, schema) { GetsBook = false, Arguments = ["migrate"] };
            migrating.Start();
            await Wait.UntilAsync(() => book.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'ledger_head'::regclass);"));

            await migrating.TerminateAsync();

            (await migrating.ExitCodeAsync(TimeSpan.FromSeconds(1))).Should().Be(1);
            await migrating.SaidAsync("one that was running is rolled back");
        }

        await Wait.UntilAsync(() => book.ScalarAsync<bool>("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'transaction_log'::regclass AND mode = 'ShareRowExclusiveLock');"));
        (await book.ScalarAsync<string?>("SELECT to_regproc('refuse_change')::text;")).Should().BeNull();
        (await MigrateAsync(60)).Output.Should().StartWith("Applied 0008_append_only.sql.");
    }

    [Fact]
    public async Task A_database_of_another_encoding_is_refused_with_what_to_do()
    {
        var name = $"latin_{Guid.NewGuid():N}";
        await using var sql = new BookInspector(database.ConnectionString, "public");
        await sql.ScalarAsync<int>($"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;");
        try
        {
            var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Database = name };

            var run = await ServiceProcess.RunAsync(["migrate"], ("ConnectionStrings__Banking", settings.ConnectionString));

            run.ExitCode.Should().Be(1);
            run.Errors.Should().Contain("Can't migrate: The database's encoding is LATIN1").And.Contain("ENCODING 'UTF8'");
        }
        finally
        {
            await sql.ScalarAsync<int>($"DROP DATABASE {name} WITH (FORCE);");
        }
    }

    private Task<Run> MigrateAsync(int seconds) => ServiceProcess.RunAsync(
        ["migrate"], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", schema), ("Banking__StartSeconds", $"{seconds}"));
}
