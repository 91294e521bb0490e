using Banking.Data;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>A copy of a book that follows by logical replication, as in an upgrade of PostgreSQL or a move to another node of Citus.</summary>
public sealed class LogicalReplicationTests
{
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_copy_follows_every_posting_and_takes_no_other_identity_of_an_account()
    {
        await using var server = await PostgresServer.StartNewAsync("wal_level = logical");
        await using var book = new BookInspector(server.ConnectionString, "banking");
        await book.ExecuteAsync("CREATE DATABASE copied;");
        var target = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Database = "copied" }.ConnectionString;
        await using var copy = new BookInspector(target, "banking");
        await using var service = new ServiceProcess(server.ConnectionString, "banking");
        await service.StartAsync();
        var programs = PrivateCluster.FindBinaries();
        var client = $"-h 127.0.0.1 -p {server.Port} -U postgres";
        await server.ShellAsync($"{programs}/pg_dump {client} --schema-only postgres | {programs}/psql {client} -q -v ON_ERROR_STOP=1 copied");
        await book.ExecuteAsync("CREATE PUBLICATION book FOR ALL TABLES;");
        await book.ExecuteAsync("SELECT pg_create_logical_replication_slot('copy', 'pgoutput');");
        await copy.ExecuteAsync($"CREATE SUBSCRIPTION copy CONNECTION 'host=127.0.0.1 port={server.Port} user=postgres dbname=postgres' PUBLICATION book WITH (create_slot = false);");
        await Wait.UntilAsync(() => copy.ScalarAsync<bool>("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel;"));

        var account = await service.OpenAsync("100");
        await service.DepositAsync(account, "20", "key");
        await service.CaptureAsync(await service.HoldAsync(account, "5"));
        var head = await book.ScalarAsync<string>("SELECT ledger_head::text FROM ledger_head;");
        await Wait.UntilAsync(() => copy.ScalarAsync<bool>("SELECT ledger_head::text = @head FROM ledger_head;", new { head }));
        (await copy.FailedChecksAsync()).Should().BeEmpty();

        const string OpenedSql = "SELECT created_at FROM account WHERE account_id = @account;";
        var opened = await book.ScalarAsync<DateTime>(OpenedSql, new { account });
        await book.ExecuteAsync("ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET created_at = now() WHERE account_id = @account;", new { account });
        await Wait.UntilAsync(() => copy.ScalarAsync<bool>("SELECT apply_error_count > 0 FROM pg_stat_subscription_stats;"));
        (await copy.ScalarAsync<DateTime>(OpenedSql, new { account })).Should().Be(opened);
    }
}
