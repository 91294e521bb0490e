using Dapper;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>PostgreSQL sends warnings of many kinds, and its settings change while sessions are open. A commit counts as one all the same.</summary>
public sealed class WarningTests(TestDatabase database)
{
    [Theory]
    [InlineData("CREATE TRIGGER warn AFTER INSERT ON ledger_block FOR EACH ROW EXECUTE FUNCTION warn();")]
    [InlineData("CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON ledger_block DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn();")] // at the commit
    public async Task A_warning_of_the_server_is_no_unconfirmed_commit(string trigger)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("1");
        await bank.Book.ExecuteAsync($"""
            CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                RAISE WARNING 'database must be vacuumed within 10000000 transactions';
                RETURN NULL;
            END;
            $body$;
            {trigger}
            """);

        (await bank.DepositAsync(account, "1")).ShouldBeCreated();

        bank.Complaints.Should().BeEmpty();
        (await bank.BalanceAsync(account)).Should().Be("2.00");
    }

    [Fact]
    public async Task A_reload_that_turns_durability_off_does_not_weaken_an_answer_of_a_session_that_is_open()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var service = new ServiceProcess(server.ConnectionString, "banking");
        await using var book = new BookInspector(server.ConnectionString, "banking");
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        await book.ExecuteAsync("""
            CREATE TABLE settings_of_commits (synchronous_commit text, client_min_messages text);
            CREATE FUNCTION note_settings() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                INSERT INTO banking.settings_of_commits VALUES (current_setting('synchronous_commit'), current_setting('client_min_messages'));
                RETURN NULL;
            END;
            $body$;
            CREATE TRIGGER note_settings AFTER INSERT ON ledger_block FOR EACH ROW EXECUTE FUNCTION note_settings();
            """);

        await book.ExecuteAsync("ALTER SYSTEM SET synchronous_commit = off;");
        await book.ExecuteAsync("ALTER SYSTEM SET client_min_messages = error;");
        await book.ExecuteAsync("SELECT pg_reload_conf();");
        await using var session = await book.SessionAsync();
        await Wait.UntilAsync(async () => await session.ExecuteScalarAsync<string>("SHOW synchronous_commit;") == "off");
        for (var i = 0; i < 5; i++)
        {
            (await service.DepositAsync(account, "1")).ShouldBeCreated();
        }

        (await session.QueryAsync<string>("SELECT synchronous_commit || ', ' || client_min_messages FROM settings_of_commits;"))
            .Should().HaveCount(5).And.OnlyContain(settings => settings == "on, warning");
    }
}
