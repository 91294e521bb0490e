using System.Net;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>A book whose service runs as the role of sql/roles, which owns nothing.</summary>
public sealed class BookOfTheServiceRole(TestDatabase database) : IAsyncLifetime
{
    private const string Password = "of no use outside this test";

    public static string Script { get; } = Path.Combine(Repository.Folder, "sql", "roles", "banking_service.sql");

    public BankingApp Owner { get; } = new(database);

    public BankingApp Service { get; private set; } = null!;

    public string ConnectionString { get; } =
        new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = "banking_service", Password = Password }.ConnectionString;

    public async ValueTask InitializeAsync()
    {
        await Owner.OpenAsync();
        var script = await File.ReadAllTextAsync(Script);
        await Owner.Book.ExecuteAsync(script);
        await Owner.Book.ExecuteAsync(script); // again, as after an update
        await Owner.Book.ExecuteAsync($"ALTER ROLE banking_service PASSWORD '{Password}';");
        Service = new BankingApp(database, Owner.Book.Schema, ("ConnectionStrings:Banking", ConnectionString));
    }

    public async ValueTask DisposeAsync()
    {
        await Service.DisposeAsync();
        await Owner.DisposeAsync();
    }
}

public sealed class RolesTests(BookOfTheServiceRole book, TestDatabase database) : IClassFixture<BookOfTheServiceRole>
{
    [Fact]
    public async Task The_owner_applies_the_scripts_for_a_service_that_may_not()
    {
        var schema = $"book_{Guid.NewGuid():N}";
        var start = () => new BankingApp(
            database, schema, ("ConnectionStrings:Banking", book.ConnectionString), ("ConnectionStrings:Migrations", database.ConnectionString));

        start.Should().Throw<Exception>("nobody has granted the role anything on this book yet");

        var scripts = Directory.EnumerateFiles(Path.Combine(Repository.Folder, "sql"), "*.sql").Count();
        (await book.Owner.Book.ScalarAsync<long>($"SELECT count(*) FROM {schema}.schema_version;")).Should().Be(scripts);
        await book.Owner.Book.ExecuteAsync($"SET search_path = {schema};" + await File.ReadAllTextAsync(BookOfTheServiceRole.Script));
        await using var bank = start();
        (await bank.OpenAsync("1")).Should().BePositive();
    }

    [Fact]
    public async Task The_service_serves_every_call_as_a_role_that_owns_nothing()
    {
        var bank = book.Service;
        var (one, other) = (await bank.OpenAsync("10"), await bank.OpenAsync());

        (await bank.DepositAsync(one, "1", "the key")).Status.Should().Be(HttpStatusCode.BadRequest, "a key has no spaces");
        (await bank.DepositAsync(one, "1", "the-key")).ShouldBeCreated();
        (await bank.DepositAsync(one, "1", "the-key")).ShouldBeCreated(replayed: true);
        (await bank.WithdrawAsync(one, "1")).ShouldBeCreated();
        (await bank.TransferAsync(one, other, "4")).ShouldBeCreated();
        (await bank.BalanceAsync(one)).Should().Be("6.00");
        (await bank.HistoryAsync(one)).Should().HaveCount(4);
        (await bank.GetAsync("/api/audit_head")).Status.Should().Be(HttpStatusCode.OK);
        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory]
    [InlineData("UPDATE transaction_log SET amount = 1;")]
    [InlineData("DELETE FROM transaction_log;")]
    [InlineData("TRUNCATE transaction_log;")]
    [InlineData("UPDATE ledger_block SET hash = sha256('');")]
    [InlineData("DELETE FROM ledger_block;")]
    [InlineData("DELETE FROM ledger_head;")]
    [InlineData("DELETE FROM account;")]
    [InlineData("UPDATE account SET overdraft_limit = 1000000;")]
    [InlineData("UPDATE account SET kind = 'settlement';")]
    [InlineData("UPDATE currency SET minor_unit = 4;")]
    [InlineData("INSERT INTO currency VALUES ('AAA', 1, 2, 'None');")]
    [InlineData("UPDATE schema_version SET applied = now();")]
    [InlineData("ALTER TABLE transaction_log DISABLE TRIGGER ALL;")]
    [InlineData("DROP TRIGGER transaction_log_row_is_append_only ON transaction_log;")]
    [InlineData("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';")]
    [InlineData("ALTER TABLE account DROP CONSTRAINT account_balance_of_a_customer_stays_within_its_overdraft_limit;")]
    [InlineData("CREATE TABLE mine (id int);")]
    [InlineData("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1';")]
    [InlineData("DROP TABLE transaction_log;")]
    [InlineData("SET session_replication_role = replica;")]
    public async Task That_role_changes_neither_the_log_nor_the_schema(string statement)
    {
        await using var asRole = new BookInspector(book.ConnectionString, book.Owner.Book.Schema);

        var attempt = () => asRole.ExecuteAsync(statement);

        (await attempt.Should().ThrowAsync<PostgresException>()).Which.SqlState.Should().Be(PostgresErrorCodes.InsufficientPrivilege);
    }
}
