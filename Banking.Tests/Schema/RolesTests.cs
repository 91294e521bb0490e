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
    public async Task The_owner_applies_the_scripts_for_a_service_without_the_right_to()
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
    public async Task Each_right_that_the_script_grants_is_missed_by_readiness_and_at_the_start()
    {
        await using var owner = new BankingApp(database);
        await owner.OpenAsync();
        await owner.Book.ExecuteAsync(await File.ReadAllTextAsync(BookOfTheServiceRole.Script));
        await using var service = new BankingApp(database, owner.Book.Schema, ("ConnectionStrings:Banking", book.ConnectionString));
        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        await owner.Book.ExecuteAsync("REVOKE EXECUTE ON FUNCTION ledger_block_hash FROM PUBLIC;");
        var granted = await owner.Book.RowsAsync<string>($"""
            SELECT privilege_type || ' ON ' || relname
              FROM pg_class
             CROSS JOIN aclexplode(relacl)
             WHERE relnamespace = '{owner.Book.Schema}'::regnamespace
               AND grantee = 'banking_service'::regrole
            UNION ALL
            SELECT privilege_type || ' (' || attname || ') ON ' || relname
              FROM pg_class
              JOIN pg_attribute ON attrelid = pg_class.oid
             CROSS JOIN aclexplode(attacl)
             WHERE relnamespace = '{owner.Book.Schema}'::regnamespace
               AND grantee = 'banking_service'::regrole
            UNION ALL
            SELECT 'EXECUTE ON FUNCTION ' || proname
              FROM pg_proc
             CROSS JOIN aclexplode(proacl)
             WHERE pronamespace = '{owner.Book.Schema}'::regnamespace
               AND grantee = 'banking_service'::regrole
            UNION ALL
            SELECT 'USAGE ON SCHEMA {owner.Book.Schema}';
            """);

        granted.Should().HaveCountGreaterThan(25);
        foreach (var right in granted)
        {
            await owner.Book.ExecuteAsync($"REVOKE {right} FROM banking_service;");
            var unready = await service.GetAsync("/health/ready");
            unready.Status.Should().Be(HttpStatusCode.ServiceUnavailable, right);
            unready.Text.Should().Contain($"the database role lacks {right}; run sql/roles/banking_service.sql as the owner");
            await owner.Book.ExecuteAsync($"GRANT {right} TO banking_service;");
        }

        (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        await owner.Book.ExecuteAsync("REVOKE INSERT ON hold FROM banking_service;");
        var run = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", book.ConnectionString), ("Banking__Schema", owner.Book.Schema), ("Banking__StartSeconds", "3600"));
        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Can't start: The database role lacks INSERT ON hold. Run sql/roles/banking_service.sql as the owner.");
    }

    [Fact]
    public async Task A_call_that_lacks_a_right_is_refused_by_the_database_and_its_neighbours_are_not()
    {
        await using var owner = new BankingApp(database);
        await owner.OpenAsync();
        await owner.Book.ExecuteAsync(await File.ReadAllTextAsync(BookOfTheServiceRole.Script));
        await using var service = new BankingApp(database, owner.Book.Schema, ("ConnectionStrings:Banking", book.ConnectionString));
        var account = await service.OpenAsync("10");
        await owner.Book.ExecuteAsync("REVOKE INSERT ON hold FROM banking_service;");
        var head = await owner.Book.HoldHeadAsync();
        var first = service.DepositAsync(account, "1");
        var together = new[] { service.PlaceHoldAsync(account, "1"), service.DepositAsync(account, "1") };
        await head.DisposeAsync();

        (await first).ShouldBeCreated();
        (await together[0]).Code.Should().Be("database_unavailable");
        (await together[1]).ShouldBeCreated();
        await owner.Book.ExecuteAsync("REVOKE SELECT ON account_log FROM banking_service;");
        (await service.GetAsync($"/api/account_events?account_id={account}")).Code.Should().Be("database_unavailable");
        service.Complaints.Should().NotContain(line => line.Contains("is a bug"))
            .And.Contain(line => line.Contains("42501: permission denied for table hold; run sql/roles/banking_service.sql as the owner"));
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
        foreach (var (call, body) in new (string, object)[]
        {
            ("change_account", new { account_id = other, owner_name = "Somebody", overdraft_limit = "5" }),
            ("freeze_account", new { account_id = other, reason = "Court order" }),
            ("unfreeze_account", new { account_id = other, reason = "Court order lifted" }),
            ("close_account", new { account_id = await bank.OpenAsync(), reason = "Never used" }),
            ("release_hold", new { hold_id = await bank.HoldAsync(one, "1"), reason = "Cancelled" }),
            ("batch", new { mode = "independent", postings = new[] { new { type = "deposit", account_id = one, amount = "1" } } }),
        })
        {
            (await bank.PostAsync($"/api/{call}", body)).Status.Should().Be(HttpStatusCode.OK, call);
        }

        var (hold, due) = (await bank.HoldAsync(one, "2", other), await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '1 s';"));
        (await bank.CaptureAsync(hold, "1", final: false)).ShouldBeCreated();
        (await bank.ReverseAsync((await bank.CaptureAsync(hold)).Id("transaction_id"))).ShouldBeCreated();
        var expired = await bank.HoldAsync(one, "1", expiresAt: due);
        await Wait.UntilAsync(async () => (await bank.OneHoldAsync(expired))["status"] == "expired");
        (await bank.GetAsync($"/api/list_holds?account_id={one}")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync("/api/list_accounts")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync($"/api/account_events?account_id={other}")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync("/api/get_one_transaction?transaction_id=1")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync("/api/get_one_request?idempotency_key=the-key")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync("/api/audit_head")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync($"/api/transaction_history?account_id={one}&from=2001-01-01T00:00:00Z&type=deposit")).Status.Should().Be(HttpStatusCode.OK);
        (await bank.GetAsync("/api/events?wait=1")).Status.Should().Be(HttpStatusCode.OK);
        var now = $"{await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();"):yyyy-MM-dd'T'HH:mm:ss.ffffff}Z"; // after the last block: the head is locked
        (await bank.GetAsync($"/api/balance_at?account_id={one}&at={now}")).Status.Should().Be(HttpStatusCode.OK);
        foreach (var format in new[] { "json", "csv", "camt.053" })
        {
            (await bank.GetAsync($"/api/statement?account_id={one}&from={DateTime.UtcNow.AddDays(-1):yyyy-MM-dd}T00:00:00Z&to={now}&format={format}")).Status.Should().Be(HttpStatusCode.OK, format);
        }
        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    // The script reads the name from the setting banking.service_role.
    [Fact]
    public async Task The_role_of_a_book_can_have_a_name_of_its_own_and_reaches_no_other_book()
    {
        var role = $"service_{Guid.NewGuid():N}";
        await using var owner = new BankingApp(database);
        try
        {
            await owner.Book.ExecuteAsync(
                $"""
                REVOKE EXECUTE ON FUNCTION ledger_block_hash FROM PUBLIC; -- as careful owners do
                SET banking.service_role = '{role}';
                {await File.ReadAllTextAsync(BookOfTheServiceRole.Script)}
                RESET banking.service_role;
                ALTER ROLE {role} PASSWORD 'of no use outside this test';
                """);
            var connectionString = new NpgsqlConnectionStringBuilder(database.ConnectionString)
            {
                Username = role,
                Password = "of no use outside this test",
            }.ConnectionString;
            await using (var bank = new BankingApp(database, owner.Book.Schema, ("ConnectionStrings:Banking", connectionString)))
            {
                (await bank.DepositAsync(await bank.OpenAsync("1"), "1")).ShouldBeCreated();
                bank.Complaints.Should().BeEmpty();
            }

            await using var elsewhere = new BookInspector(connectionString, book.Owner.Book.Schema);
            (await elsewhere.Invoking(other => other.ExecuteAsync($"SELECT FROM {book.Owner.Book.Schema}.account;")).Should().ThrowAsync<PostgresException>())
                .Which.SqlState.Should().Be(PostgresErrorCodes.InsufficientPrivilege);
            await using var usual = new BookInspector(book.ConnectionString, owner.Book.Schema);
            (await usual.Invoking(other => other.ExecuteAsync($"SELECT FROM {owner.Book.Schema}.account;")).Should().ThrowAsync<PostgresException>())
                .Which.SqlState.Should().Be(PostgresErrorCodes.InsufficientPrivilege, "banking_service was granted nothing here");
        }
        finally
        {
            await owner.Book.ExecuteAsync($"DROP OWNED BY {role}; DROP ROLE {role};");
        }
    }

    [Theory]
    [InlineData("account", "owner_name status balance held overdraft_limit")]
    [InlineData("hold", "captured_amount status")]
    [InlineData("ledger_head", "last_block_id last_transaction_id last_account_event_id last_account_id last_created_at last_hash")]
    [InlineData("transaction_log", null)]
    [InlineData("account_log", null)]
    [InlineData("ledger_block", null)]
    [InlineData("currency", null)]
    public async Task The_role_may_change_only_the_columns_that_the_calls_change(string table, string? columns)
    {
        var changeable = await book.Owner.Book.ScalarAsync<string>(
            """
            SELECT string_agg(attname, ' ' ORDER BY attnum)
              FROM pg_attribute
             WHERE attrelid = to_regclass(@table)
               AND attnum > 0
               AND has_column_privilege('banking_service', attrelid, attnum, 'UPDATE');
            """,
            new { table });

        changeable.Should().Be(columns);
    }

    [Theory]
    [InlineData("UPDATE transaction_log SET amount = 1;")]
    [InlineData("DELETE FROM transaction_log;")]
    [InlineData("TRUNCATE transaction_log;")]
    [InlineData("UPDATE account_log SET overdraft_limit_after = 1000000;")]
    [InlineData("DELETE FROM account_log;")]
    [InlineData("TRUNCATE account_log;")]
    [InlineData("UPDATE ledger_block SET hash = sha256('');")]
    [InlineData("DELETE FROM ledger_block;")]
    [InlineData("DELETE FROM ledger_head;")]
    [InlineData("DELETE FROM account;")]
    [InlineData("UPDATE account SET account_id = 5000;")]
    [InlineData("UPDATE account SET kind = 'settlement';")]
    [InlineData("UPDATE account SET currency = 'EUR';")]
    [InlineData("UPDATE account SET reference = 'mine';")]
    [InlineData("UPDATE account SET metadata = '{}';")]
    [InlineData("UPDATE account SET created_at = now();")]
    [InlineData("DELETE FROM hold;")]
    [InlineData("TRUNCATE hold CASCADE;")]
    [InlineData("UPDATE hold SET amount = 100;")]
    [InlineData("UPDATE hold SET account_id = 1001;")]
    [InlineData("UPDATE hold SET to_account_id = 1001;")]
    [InlineData("UPDATE hold SET expires_at = now();")]
    [InlineData("UPDATE hold SET reference = 'mine';")]
    [InlineData("ALTER TABLE hold DISABLE TRIGGER ALL;")]
    [InlineData("UPDATE ledger_head SET only_row = true;")]
    [InlineData("UPDATE currency SET minor_unit = 4;")]
    [InlineData("INSERT INTO currency VALUES ('AAA', 1, 2, 'None');")]
    [InlineData("UPDATE schema_version SET applied = now();")]
    [InlineData("ALTER TABLE transaction_log DISABLE TRIGGER ALL;")]
    [InlineData("DROP TRIGGER transaction_log_row_is_append_only ON transaction_log;")]
    [InlineData("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';")]
    [InlineData("CREATE OR REPLACE FUNCTION ledger_block_hash(bytea, bigint, timestamptz, bigint, bigint, bigint, bigint) RETURNS bytea LANGUAGE sql AS 'SELECT $1';")]
    [InlineData("ALTER TABLE account DROP CONSTRAINT account_balance_of_a_customer_covers_its_holds_within_its_limit;")]
    [InlineData("CREATE TABLE mine (id int);")]
    [InlineData("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1';")]
    [InlineData("DROP TABLE transaction_log;")]
    [InlineData("SET session_replication_role = replica;")]
    public async Task The_role_changes_neither_the_logs_nor_the_schema(string statement)
    {
        await using var asRole = new BookInspector(book.ConnectionString, book.Owner.Book.Schema);

        var attempt = () => asRole.ExecuteAsync(statement);

        (await attempt.Should().ThrowAsync<PostgresException>()).Which.SqlState.Should().Be(PostgresErrorCodes.InsufficientPrivilege);
    }
}
