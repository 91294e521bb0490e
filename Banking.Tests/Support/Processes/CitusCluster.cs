using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Containers;
using DotNet.Testcontainers.Networks;
using Npgsql;

namespace Banking.Tests;

/// <summary>
/// A distributed PostgreSQL with two workers that a test may kill: the cluster on this machine whose coordinator BANKING_TEST_CITUS
/// names, or containers of Citus' image.
/// </summary>
internal sealed class CitusCluster : IAsyncDisposable
{
    private const string Image = "citusdata/citus:13.2.0";

    private readonly List<IAsyncDisposable> started = [];

    private CitusCluster(string used) => Used = used;

    /// <summary>Which of the two it is.</summary>
    public string Used { get; }

    /// <summary>The connection string of its coordinator.</summary>
    public string Coordinator { get; private set; } = "";

    public IReadOnlyList<Worker> Workers { get; private set; } = [];

    /// <summary>A worker: its address in the cluster, and the connection string that reaches it from here.</summary>
    internal sealed record Worker(string Host, int Port, string ConnectionString, Func<Task> KillAsync, Func<Task> StartAsync);

    public static async Task<CitusCluster> StartAsync()
    {
        if (Environment.GetEnvironmentVariable("BANKING_TEST_CITUS") is { Length: > 0 } coordinator)
        {
            var named = new CitusCluster("the cluster of BANKING_TEST_CITUS") { Coordinator = coordinator };
            await named.FindWorkersAsync();
            return named;
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

    private async Task FindWorkersAsync()
    {
        await using var sql = new BookInspector(Coordinator, "public");
        var nodes = await sql.RowsAsync<(string Host, int Port)>("SELECT node_name, node_port::int FROM citus_get_active_worker_nodes() ORDER BY node_port;");
        var workers = new List<Worker>();
        foreach (var (host, port) in nodes)
        {
            var connectionString = new NpgsqlConnectionStringBuilder(Coordinator) { Host = host, Port = port }.ConnectionString;
            await using var node = new BookInspector(connectionString, "public");
            var (folder, binaries) = (await node.ScalarAsync<string>("SHOW data_directory;"), await node.ScalarAsync<string>("SELECT setting FROM pg_config WHERE name = 'BINDIR';"));
            workers.Add(new(
                host, port, connectionString,
                () => PostgresServer.KillAsync(folder!),
                () => Run.ToEndAsync(PostgresServer.As(new(
                    Path.Combine(binaries!, "pg_ctl"), ["restart", "-D", folder!, "-w", "-l", Path.Combine(folder!, "server.log")])))));
        }

        Workers = workers;
    }

    private async Task StartContainersAsync()
    {
        INetwork network;
        try
        {
            network = new NetworkBuilder().Build();
            started.Add(network);
            Coordinator = AddressOf(await StartContainerAsync(network, "coordinator"));
        }
        catch (Exception exception) // no engine, or no image
        {
            Assert.Skip($"There is no Citus: BANKING_TEST_CITUS names no coordinator, and there are no {Used}: {exception.Message.Split('\n')[0]}");
            throw;
        }

        await using var sql = new BookInspector(Coordinator, "public");
        await sql.ExecuteAsync("SELECT citus_set_coordinator_host('coordinator');");
        foreach (var name in new[] { "worker-1", "worker-2" })
        {
            var node = await StartContainerAsync(network, name);
            await sql.ExecuteAsync("SELECT citus_add_node(@name, 5432);", new { name });
            // A signal doesn't reach the container's first process from inside, but it ends when its last child has ended.
            Workers = [.. Workers, new(name, 5432, AddressOf(node), () => node.ExecAsync(["sh", "-c", "kill -9 -1"]), () => node.StartAsync())];
        }
    }

    private async Task<IContainer> StartContainerAsync(INetwork network, string name)
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
        return container;
    }

    private static string AddressOf(IContainer container) =>
        $"Host={container.Hostname};Port={container.GetMappedPublicPort(5432)};Username=postgres;Database=postgres";
}
