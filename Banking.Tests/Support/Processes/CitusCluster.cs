using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Networks;
using Npgsql;

namespace Banking.Tests;

/// <summary>
/// A distributed PostgreSQL whose coordinator and two workers a test may kill or freeze: the cluster on this machine whose coordinator
/// BANKING_TEST_CITUS names, or containers of Citus' image.
/// </summary>
internal sealed class CitusCluster : IAsyncDisposable
{
    private const string Image = "citusdata/citus:13.2.0";

    private readonly List<IAsyncDisposable> started = [];

    private CitusCluster(string used) => Used = used;

    /// <summary>Which of the two it is.</summary>
    public string Used { get; }

    public Node Coordinator { get; private set; } = null!;

    public IReadOnlyList<Node> Workers { get; private set; } = [];

    /// <summary>A node: its address in the cluster, and the connection string that reaches it from here.</summary>
    internal sealed record Node(
        string Host, int Port, string ConnectionString, Func<Task> KillAsync, Func<Task> StartAsync, Func<Task> FreezeAsync, Func<Task> ThawAsync);

    public static async Task<CitusCluster> StartAsync()
    {
        if (Environment.GetEnvironmentVariable("BANKING_TEST_CITUS") is { Length: > 0 } coordinator)
        {
            return await FindAsync(coordinator);
        }

        var made = new CitusCluster($"containers of {Image}");
        try
        {
            await made.StartContainersAsync();
            return made;
        }
        catch
        {
            await made.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var one in Enumerable.Reverse(started))
        {
            await one.DisposeAsync();
        }
    }

    private static async Task<CitusCluster> FindAsync(string coordinator)
    {
        var named = new NpgsqlConnectionStringBuilder(coordinator);
        await using var sql = new BookInspector(coordinator, "public");
        var workers = await sql.RowsAsync<(string Host, int Port)>("SELECT node_name, node_port::int FROM citus_get_active_worker_nodes() ORDER BY node_port;");
        return new("the cluster of BANKING_TEST_CITUS")
        {
            Coordinator = await NodeAsync(named.Host!, named.Port),
            Workers = [.. await Task.WhenAll(workers.Select(worker => NodeAsync(worker.Host, worker.Port)))],
        };

        async Task<Node> NodeAsync(string host, int port)
        {
            var connectionString = new NpgsqlConnectionStringBuilder(coordinator) { Host = host, Port = port }.ConnectionString;
            await using var node = new BookInspector(connectionString, "public");
            var (folder, binaries) = (await node.ScalarAsync<string>("SHOW data_directory;"), await node.ScalarAsync<string>("SELECT setting FROM pg_config WHERE name = 'BINDIR';"));
            return new(
                host, port, connectionString,
                () => PostgresServer.KillAsync(folder!),
                () => Run.ToEndAsync(PostgresServer.As(new(Path.Combine(binaries!, "pg_ctl"), ["restart", "-D", folder!, "-w", "-l", Path.Combine(folder!, "server.log")]))),
                () => PostgresServer.FreezeAsync(folder!),
                () => PostgresServer.ThawAsync(folder!));
        }
    }

    private async Task StartContainersAsync()
    {
        INetwork network;
        try
        {
            network = new NetworkBuilder().Build();
            started.Add(network);
            Coordinator = await StartContainerAsync(network, "coordinator");
        }
        catch (Exception exception) // no engine, or no image
        {
            Assert.Skip($"There is no Citus: BANKING_TEST_CITUS names no coordinator, and there are no {Used}: {exception.Message.Split('\n')[0]}");
            throw;
        }

        await using var sql = new BookInspector(Coordinator.ConnectionString, "public");
        await sql.ExecuteAsync("SELECT citus_set_coordinator_host('coordinator');");
        foreach (var name in new[] { "worker-1", "worker-2" })
        {
            Workers = [.. Workers, await StartContainerAsync(network, name)];
            await sql.ExecuteAsync("SELECT citus_add_node(@name, 5432);", new { name });
        }
    }

    private async Task<Node> StartContainerAsync(INetwork network, string name)
    {
        var container = new ContainerBuilder(Image)
            .WithNetwork(network)
            .WithNetworkAliases(name)
            .WithPortBinding(Ports.Free(), 5432) // the same after a restart
            .WithEnvironment("POSTGRES_HOST_AUTH_METHOD", "trust")
            .WithCommand(
                "-c", "shared_preload_libraries=citus", "-c", "wal_level=logical", "-c", "max_prepared_transactions=100", "-c", "max_connections=200",
                "-c", "citus.recover_2pc_interval=5s", "-c", "citus.node_conninfo=sslmode=prefer")
            .WithCreateParameterModifier(parameters => parameters.HostConfig!.Init = true)
            .WithWaitStrategy(DotNet.Testcontainers.Builders.Wait.ForUnixContainer().UntilCommandIsCompleted("pg_isready", "--host", "localhost", "--username", "postgres"))
            .Build();
        started.Add(container);
        await container.StartAsync();
        return new(
            name, 5432, $"Host={container.Hostname};Port={container.GetMappedPublicPort(5432)};Username=postgres;Database=postgres",
            // A signal doesn't reach the container's first process from inside, but it ends when its last child has ended.
            () => container.ExecAsync(["sh", "-c", "kill -9 -1"]),
            () => container.StartAsync(), () => container.PauseAsync(), () => container.UnpauseAsync());
    }
}
