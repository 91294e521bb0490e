using System.Net;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>The program's commands, run as an operator runs them.</summary>
public sealed class CommandTests(TestDatabase database)
{
    private static readonly string Scripts = Path.Combine(Repository.Folder, "sql");

    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Theory]
    [InlineData("serve      apply", "--help")]
    [InlineData("serve [--urls", "serve", "--help")]
    [InlineData("migrate [--role <name>] [--dry-run]", "migrate", "--help")]
    [InlineData("books\n", "books", "--help")]
    [InlineData("verify [--json]", "verify", "--help")]
    [InlineData("health\n", "health", "--help")]
    public async Task Each_command_explains_itself(string words, params string[] arguments)
    {
        var run = await ServiceProcess.RunAsync(arguments);

        run.ExitCode.Should().Be(0);
        run.Output.Should().Contain(words);
        run.Errors.Should().BeEmpty();
    }

    [Theory]
    [InlineData("migrat", "migrat")]
    [InlineData("now", "migrate", "now")]
    [InlineData("--force", "migrate", "--dry-run", "--force")]
    [InlineData("--role", "migrate", "--role")]
    [InlineData("--all", "books", "--all")]
    [InlineData("--quick", "verify", "--quick")]
    [InlineData("--port", "health", "--port")]
    public async Task An_unknown_option_is_named_and_nothing_is_done(string named, params string[] arguments)
    {
        var run = await ServiceProcess.RunAsync(arguments, Settings);

        run.ExitCode.Should().Be(2);
        run.Output.Should().BeEmpty();
        run.Errors.Should().Contain($"does not know {named}.").And.Contain("--");
        (await SchemasAsync()).Should().Be(0);
    }

    [Fact]
    public async Task Serve_takes_the_options_of_aspnet_and_any_setting()
    {
        var elsewhere = new Uri($"http://127.0.0.1:{Ports.Free()}/");
        await using var service = new ServiceProcess(database.ConnectionString, schema)
        {
            Arguments = ["serve", "--urls", $"{elsewhere}", "--Banking:QueueLimit", "7"],
        };
        await service.StartAsync();

        using var http = new HttpClient { BaseAddress = elsewhere };
        using var answer = await http.GetAsync("/health/ready");

        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        service.Lines.Should().Contain(line => line.Contains($"{elsewhere}scalar"));
    }

    [Fact]
    public async Task A_dry_run_prints_the_sql_that_is_pending_and_changes_nothing()
    {
        var run = await ServiceProcess.RunAsync(["migrate", "--dry-run"], Settings);

        run.ExitCode.Should().Be(0, run.Errors);
        foreach (var script in Directory.EnumerateFiles(Scripts, "*.sql"))
        {
            run.Output.Should().Contain($": {Path.GetFileName(script)}\n").And.Contain(await File.ReadAllTextAsync(script));
        }

        (await SchemasAsync()).Should().Be(0);
    }

    [Fact]
    public async Task Migrate_applies_what_is_pending_once()
    {
        var first = await ServiceProcess.RunAsync(["migrate"], Settings);
        var second = await ServiceProcess.RunAsync(["migrate"], Settings);
        var dry = await ServiceProcess.RunAsync(["migrate", "--dry-run"], Settings);

        first.ExitCode.Should().Be(0);
        first.Output.Should().StartWith(string.Concat(Names.Select(name => $"Applied {name}.\n")) + $"Created a new book: schema {schema} of ");
        second.ExitCode.Should().Be(0);
        second.Output.Should().StartWith($"Nothing is pending: schema {schema} of ");
        dry.ExitCode.Should().Be(0);
        dry.Output.Should().StartWith($"-- Nothing is pending: schema {schema} of ");
        await using var bank = new BankingApp(database, schema);
        (await bank.OpenAsync("1")).Should().BePositive();
    }

    [Fact]
    public async Task One_command_makes_a_book_with_its_role_and_another_lists_the_books()
    {
        var role = $"service_{Guid.NewGuid():N}";
        var made = await ServiceProcess.RunAsync(["migrate", "--role", role], Settings);
        await using var owner = new BookInspector(database.ConnectionString, schema);
        await owner.ExecuteAsync($"ALTER ROLE {role} PASSWORD 'of no use outside this test';");
        var asService = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = role, Password = "of no use outside this test" }.ConnectionString;
        await using (var service = new ServiceProcess(asService, schema) { GetsBook = false })
        {
            await service.StartAsync();
            (await service.OpenAsync("1")).Should().BePositive();
        }

        await owner.ExecuteAsync($"DELETE FROM schema_version WHERE scriptname = '{Names[^1]}';");
        var listed = await ServiceProcess.RunAsync(["books"], ("ConnectionStrings__Banking", asService));
        await owner.ExecuteAsync($"""
            CREATE SCHEMA a_{schema};
            CREATE TABLE a_{schema}.ledger_head ();
            CREATE SCHEMA b_{schema};
            CREATE TABLE b_{schema}.ledger_head (LIKE ledger_head);
            GRANT USAGE ON SCHEMA a_{schema}, b_{schema} TO {role};
            GRANT SELECT ON a_{schema}.ledger_head, b_{schema}.ledger_head TO {role};
            """);
        var listedBeside = await ServiceProcess.RunAsync(["books"], ("ConnectionStrings__Banking", asService));

        made.ExitCode.Should().Be(0, made.Errors);
        made.Output.Should().Contain($"Created a new book: schema {schema} of ").And.EndWith($"The role {role} has the rights of the service.\n");
        listed.ExitCode.Should().Be(0, listed.Errors);
        listed.Output.Should().MatchRegex($@"\A{schema}: block 1, transaction 1, \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ, pending scripts: 1\n\z", "it may read no other book");
        listedBeside.ExitCode.Should().Be(1, listedBeside.Errors);
        listedBeside.Output.Should().Be($"a_{schema}: cannot be read: 42703: column \"last_block_id\" does not exist\nb_{schema}: cannot be read: it has no head\n{listed.Output}");
        await owner.ExecuteAsync($"DROP SCHEMA a_{schema}, b_{schema} CASCADE;");
        await owner.ExecuteAsync($"DROP OWNED BY {role}; DROP ROLE {role};");
    }

    [Fact]
    public async Task Only_the_owner_may_migrate_but_others_see_what_is_pending()
    {
        var role = $"reader_{Guid.NewGuid():N}";
        (await ServiceProcess.RunAsync(["migrate"], Settings)).ExitCode.Should().Be(0);
        await using var owner = new BookInspector(database.ConnectionString, schema);
        await owner.ExecuteAsync($"""
            CREATE ROLE {role} LOGIN PASSWORD 'of no use outside this test';
            GRANT USAGE ON SCHEMA {schema} TO {role};
            GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
            DELETE FROM {schema}.schema_version WHERE scriptname = '{Names[^1]}';
            """);
        var asReader = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = role, Password = "of no use outside this test" };

        var dry = await ServiceProcess.RunAsync(["migrate", "--dry-run"], [.. Settings, ("ConnectionStrings__Banking", asReader.ConnectionString)]);
        var real = await ServiceProcess.RunAsync(["migrate"], [.. Settings, ("ConnectionStrings__Banking", asReader.ConnectionString)]);

        dry.ExitCode.Should().Be(0, dry.Errors);
        dry.Output.Should().Contain(Names[^1]).And.NotContain(Names[0]);
        real.ExitCode.Should().Be(1);
        real.Errors.Should().Contain("Can't migrate: 42501: permission denied").And.Contain("run migrate as that role").And.NotContain("   at ");
        await owner.ExecuteAsync($"DROP OWNED BY {role}; DROP ROLE {role};");
    }

    [Theory]
    [InlineData("serve", 1)]
    [InlineData("migrate", 1)]
    [InlineData("verify", 2)]
    public async Task A_role_without_rights_is_told_what_to_run(string command, int exitCode)
    {
        var role = $"stranger_{Guid.NewGuid():N}";
        (await ServiceProcess.RunAsync(["migrate"], Settings)).ExitCode.Should().Be(0);
        await using var owner = new BookInspector(database.ConnectionString, schema);
        await owner.ExecuteAsync($"CREATE ROLE {role} LOGIN PASSWORD 'of no use outside this test';");
        var asStranger = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Username = role, Password = "of no use outside this test" };

        var run = await ServiceProcess.RunAsync([command], [.. Settings, ("ConnectionStrings__Banking", asStranger.ConnectionString)]);

        run.ExitCode.Should().Be(exitCode);
        (run.Output + run.Errors).Should().Contain("Can't ").And.Contain("run sql/roles/banking_service.sql as the owner");
        await owner.ExecuteAsync($"DROP ROLE {role};");
    }

    [Fact]
    public async Task Migrate_says_why_it_fails()
    {
        var run = await ServiceProcess.RunAsync(
            ["migrate"], ("ConnectionStrings__Banking", $"Host=127.0.0.1;Port={Ports.Free()};Username=banking"), ("Banking__StartSeconds", "0"));

        run.ExitCode.Should().Be(1);
        run.Errors.Should().Contain("Can't migrate: The database did not answer within 0 s. Failed to connect to 127.0.0.1:").And.NotContain("   at ");
    }

    private static string[] Names => [.. Directory.EnumerateFiles(Scripts, "*.sql").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private (string, string)[] Settings => [("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", schema)];

    private async Task<long> SchemasAsync()
    {
        await using var sql = new BookInspector(database.ConnectionString, schema);
        return await sql.ScalarAsync<long>("SELECT count(*) FROM pg_namespace WHERE nspname = @schema;", new { schema });
    }
}
