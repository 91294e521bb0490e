using Banking.Data;
using Banking.Tests;
using DotNet.Testcontainers.Builders;
using Npgsql;
using Testcontainers.PostgreSql;

[assembly: AssemblyFixture(typeof(TestDatabase))]

namespace Banking.Tests;

/// <summary>
/// The PostgreSQL of a test run: the one that BANKING_TEST_DATABASE names; or a container, if a Docker engine answers; or a private
/// cluster of the machine's binaries. Each book is a schema in it.
/// </summary>
public sealed class TestDatabase : IAsyncLifetime
{
    private PostgreSqlContainer? container;
    private PrivateCluster? cluster;

    public string ConnectionString { get; private set; } = "";

    /// <summary>Which of the three it is.</summary>
    public string Used { get; private set; } = "the database of BANKING_TEST_DATABASE";

    public async ValueTask InitializeAsync()
    {
        ConnectionString = Environment.GetEnvironmentVariable("BANKING_TEST_DATABASE") ?? "";
        if (ConnectionString.Length == 0)
        {
            container = await StartContainerAsync();
            (Used, ConnectionString) = ("a container of Testcontainers", container?.GetConnectionString() ?? "");
        }

        if (ConnectionString.Length == 0)
        {
            SweepUp();
            cluster = await PrivateCluster.StartAsync(Path.Combine(Clusters, $"{Environment.ProcessId}"));
            (Used, ConnectionString) = ("a private cluster, as no Docker engine answers", cluster.ConnectionString);
        }

        TestContext.Current.SendDiagnosticMessage($"Tests run against {Used}.");
    }

    public async ValueTask DisposeAsync()
    {
        if (container is not null)
        {
            await container.DisposeAsync();
        }

        if (cluster is not null)
        {
            await cluster.DisposeAsync();
            Directory.Delete(cluster.Folder, recursive: true);
        }
    }

    /// <summary>Runs a file of the repository with psql, which echoes what it reads. In a container it is the container's own psql.</summary>
    internal async Task<Run> PsqlAsync(string schema, string file, IReadOnlyDictionary<string, string> variables)
    {
        var target = new NpgsqlConnectionStringBuilder(ConnectionString);
        var connection = $"user='{target.Username}' password='{target.Password}' dbname='{target.Database}' options='-c search_path={schema} -c TimeZone=UTC'";
        string[] options = ["-X", "-a", "-v", "ON_ERROR_STOP=1", .. variables.SelectMany(variable => new[] { "-v", $"{variable.Key}={variable.Value}" })];
        if (container is null)
        {
            return await Run.ToEndAsync(new(
                Path.Combine(PrivateCluster.FindBinaries() ?? "", "psql"),
                [.. options, "-f", Path.Combine(Repository.Folder, file), $"host='{target.Host}' port={target.Port} {connection}"]));
        }

        var result = await container.ExecAsync(["psql", .. options, "-f", $"/{file}", connection]);
        return new((int)result.ExitCode!.Value, result.Stdout, result.Stderr);
    }

    private static async Task<PostgreSqlContainer?> StartContainerAsync()
    {
        PostgreSqlContainer built;
        try
        {
            // Testcontainers turns durability off, but the service relies on it.
            built = new PostgreSqlBuilder("postgres:17")
                .WithResourceMapping(new DirectoryInfo(Path.Combine(Repository.Folder, "sql")), "/sql")
                .WithCommand("-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on", "-c", "max_connections=300")
                .Build();
        }
        catch (DockerUnavailableException)
        {
            return null;
        }

        await built.StartAsync();
        return built;
    }

    private static string Clusters => Path.Combine(Path.GetTempPath(), "core-banking-tests");

    /// <summary>Removes the clusters of earlier runs that were killed.</summary>
    private static void SweepUp()
    {
        Directory.CreateDirectory(Clusters);
        foreach (var folder in Directory.EnumerateDirectories(Clusters))
        {
            try
            {
                if (int.TryParse(Path.GetFileName(folder), out var process) && !IsAlive(process))
                {
                    Directory.Delete(folder, recursive: true);
                }
            }
            catch (IOException)
            {
                // Another run sweeps it up at this moment.
            }
        }
    }

    private static bool IsAlive(int process)
    {
        try
        {
            using var found = System.Diagnostics.Process.GetProcessById(process);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
