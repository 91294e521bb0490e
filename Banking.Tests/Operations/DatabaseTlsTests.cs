using FluentAssertions;

namespace Banking.Tests;

/// <summary>What docs/deploy.md says about TLS to the database, typed as it stands there, with another host and network.</summary>
public sealed class DatabaseTlsTests
{
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task The_guides_certificates_let_the_service_post_over_TLS_and_nobody_without_one()
    {
        Assert.SkipWhen(Run.Find("openssl") is null, "The guide's certificates are made with openssl.");
        var guide = Repository.Read("docs/deploy.md").Replace("db1", "localhost").Replace("10.0.0.0/8", "127.0.0.1/32").Split('\n').Select(line => line.Trim()).ToList();
        var certificates = guide.Where(line => line.StartsWith("openssl ")).ToList();
        certificates.Should().HaveCount(5);
        await using var server = await PostgresServer.StartNewAsync();
        await server.ShellAsync(string.Join(" && ", certificates));
        await using (var sql = new BookInspector(server.ConnectionString, "public"))
        {
            await sql.ExecuteAsync("CREATE ROLE banking_service LOGIN PASSWORD 'secret';");
            await sql.ExecuteAsync("CREATE DATABASE banking OWNER banking_service;");
        }

        string[] access = [guide.Single(line => line.StartsWith("hostssl ") && line.Contains("clientcert")), "host all postgres all trust"];
        await File.WriteAllLinesAsync(Path.Combine(server.Folder, "pg_hba.conf"), access);
        await File.AppendAllLinesAsync(Path.Combine(server.Folder, "postgresql.conf"), guide.Where(line => line.StartsWith("ssl")));
        await server.CrashAsync();
        await server.StartAsync();
        var trusting = $"Host=localhost;Port={server.Port};Database=banking;Username=banking_service;Password=secret;SSL Mode=VerifyFull;Root Certificate={server.Folder}/ca.crt";
        await using var service = new ServiceProcess($"{trusting};SSL Certificate={server.Folder}/client.crt;SSL Key={server.Folder}/client.key", "banking");
        await service.StartAsync();

        (await service.DepositAsync(await service.OpenAsync(), "1")).ShouldBeCreated();

        await using var book = new BookInspector(server.ConnectionString, "public");
        (await book.ScalarAsync<string>("SELECT string_agg(DISTINCT client_dn, ',') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'banking_service';"))
            .Should().Be("/CN=banking_service");
        var without = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", trusting));
        without.ExitCode.Should().Be(1);
        without.Output.Should().Contain("Can't start: ").And.Contain("connection requires a valid client certificate");
    }
}
