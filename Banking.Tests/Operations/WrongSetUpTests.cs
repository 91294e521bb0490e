using FluentAssertions;

namespace Banking.Tests;

/// <summary>Set-ups that no waiting mends. The program ends at once, with one sentence that says what to do.</summary>
public sealed class WrongSetUpTests(TestDatabase database)
{
    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Fact]
    public async Task A_server_without_TLS_a_wrong_certificate_and_a_wrong_name_in_it_end_the_start()
    {
        await using var server = await PostgresServer.StartNewAsync();
        var plain = await StartAsync($"{Required(server)};SSL Mode=Require");
        var folder = Directory.CreateTempSubdirectory("cbt-");
        try
        {
            var (trusted, other) = (Path.Combine(folder.FullName, "trusted.pem"), Path.Combine(folder.FullName, "other.pem"));
            await File.WriteAllTextAsync(trusted, await server.UseTlsAsync("elsewhere.example"));
            await File.WriteAllTextAsync(other, PostgresServer.CertificateFor("another.example").ExportCertificatePem());

            var missing = await StartAsync($"{Required(server)};SSL Mode=VerifyFull;Root Certificate={folder.FullName}/nowhere.pem");
            var unknown = await StartAsync($"{Required(server)};SSL Mode=VerifyFull;Root Certificate={other}");
            var named = await StartAsync($"{Required(server)};SSL Mode=VerifyFull;Root Certificate={trusted}");

            Refused(plain).Should().Contain("No SSL enabled connection from this host is configured");
            Refused(missing).Should().Contain($"ConnectionStrings__Banking says Root Certificate={folder.FullName}/nowhere.pem, but there is no such file");
            Refused(unknown).Should().Contain("must be signed by Root Certificate");
            Refused(named).Should().Contain("must also name the host of the connection string");
            (await ServiceProcess.RunAsync(["migrate"], ("ConnectionStrings__Banking", $"{Required(server)};SSL Mode=VerifyCA;Root Certificate={trusted}")))
                .ExitCode.Should().Be(0, "it was the name");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_book_that_does_not_exist_is_not_made_by_serve_and_the_books_that_do_are_named()
    {
        await using var existing = new BankingApp(database);
        await existing.OpenAsync();

        var run = await StartAsync(database.ConnectionString);

        Refused(run).Should().Contain($"There is no book in the schema {schema} of ").And.Contain("Check Banking__Schema").And.Contain("run migrate as the owner");
        await using var book = new BookInspector(database.ConnectionString, schema);
        (await book.ScalarAsync<long>("SELECT count(*) FROM pg_namespace WHERE nspname = @schema;", new { schema })).Should().Be(0);
        (await ServiceProcess.RunAsync(["migrate"], Book(database.ConnectionString))).Output.Should().Contain("Created a new book: schema " + schema);
        await using var service = new ServiceProcess(database.ConnectionString, schema) { GetsBook = false };
        await service.StartAsync();
        service.Lines.Should().Contain(line => line.Contains($"schema {schema} of ") && line.Contains("Head: block 0, transaction 0.")
            && line.Contains(" on PostgreSQL ") && line.Contains("Core Banking "));
    }

    private static string Required(PostgresServer server) => server.ConnectionString.Replace("SSL Mode=Disable;", "", StringComparison.Ordinal);

    private Task<Run> StartAsync(string connectionString) => ServiceProcess.RunAsync([], Book(connectionString));

    private (string, string)[] Book(string connectionString) =>
        [("ConnectionStrings__Banking", connectionString), ("Banking__Schema", schema), ("Banking__StartSeconds", "3600")];

    /// <summary>The line of a start that has ended at once.</summary>
    private static string Refused(Run run)
    {
        run.ExitCode.Should().Be(1);
        run.Output.Should().NotContain("does not answer yet").And.NotContain("   at ");
        return run.Output.Split('\n').Single(line => line.Contains("Can't start: "));
    }
}
