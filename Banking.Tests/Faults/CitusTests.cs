using System.Diagnostics;
using System.Globalization;
using System.Net;
using Dapper;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>Books on a distributed PostgreSQL, with the commands of docs/scale.md.</summary>
public sealed class CitusTests
{
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Distributed_moved_and_bereft_of_its_worker_under_load_a_book_keeps_every_promise()
    {
        await using var citus = await CitusCluster.StartAsync();
        await using var moved = await Book.StartAsync(citus, isBornDistributed: false);
        await using var neighbour = await Book.StartAsync(citus, isBornDistributed: true);

        await moved.DistributeAsync();
        await moved.Clients.AcknowledgeAsync(500);
        var other = await neighbour.OwnerAsync();
        var owner = citus.Workers.First(worker => worker != other);
        if (await moved.OwnerAsync() == other)
        {
            await moved.MoveAsync(owner);
        }

        var killed = Stopwatch.GetTimestamp();
        await owner.KillAsync();
        await neighbour.Clients.AcknowledgeAsync(500); // it stops its own books only
        await owner.StartAsync();
        var restarted = Stopwatch.GetElapsedTime(killed);
        await moved.Clients.AcknowledgeAsync(1);
        var served = Stopwatch.GetElapsedTime(killed);

        await moved.Clients.AcknowledgeAsync(500);
        await moved.MoveAsync(other);
        await moved.Clients.AcknowledgeAsync(500);
        await moved.MoveAsync(owner);
        await moved.Clients.AcknowledgeAsync(500);

        await moved.Clients.StopAsync();
        await neighbour.Clients.StopAsync();
        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{citus.Used}: the worker was up again {restarted.TotalSeconds:F1} s after its kill, its book served after {served.TotalSeconds:F1} s. {moved.Report}. Neighbour: {neighbour.Report}"));
        await moved.ShouldBeRightAsync();
        await neighbour.ShouldBeRightAsync();
        await neighbour.UndistributeAsync();
        await neighbour.ShouldBeRightAsync(citus.Coordinator);
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_node_that_freezes_stops_its_own_books_only_and_loses_nothing()
    {
        await using var citus = await CitusCluster.StartAsync();
        await using var one = await Book.StartAsync(citus, isBornDistributed: true);
        await using var other = await Book.StartAsync(citus, isBornDistributed: false);
        await other.DistributeAsync();
        var frozen = await one.OwnerAsync();
        if (await other.OwnerAsync() == frozen)
        {
            await other.MoveAsync(citus.Workers.First(worker => worker != frozen));
        }

        await frozen.FreezeAsync();
        await other.Clients.AcknowledgeAsync(500);
        await frozen.ThawAsync();
        var thawed = Stopwatch.GetTimestamp();
        await one.Clients.AcknowledgeAsync(1);
        var served = Stopwatch.GetElapsedTime(thawed);
        await one.Clients.AcknowledgeAsync(300);
        await one.Clients.StopAsync();
        await other.Clients.StopAsync();
        Report.Write(string.Create(CultureInfo.InvariantCulture, $"{citus.Used}: served {served.TotalSeconds:F1} s after the thaw. {one.Report}. The other: {other.Report}"));
        await one.ShouldBeRightAsync();
        await other.ShouldBeRightAsync();

        await citus.Coordinator.FreezeAsync();
        var atWorker = one.Instances[1];
        var account = await atWorker.OpenAsync();
        (await atWorker.DepositAsync(account, "1")).ShouldBeCreated();
        (await atWorker.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.OK);
        await citus.Coordinator.ThawAsync();
        (await one.Instances[0].BalanceAsync(account)).Should().Be("1.00");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_passing_fault_on_a_worker_is_tried_again()
    {
        await using var citus = await CitusCluster.StartAsync();
        await using var book = await Book.StartAsync(citus, isBornDistributed: true);
        var owner = await book.OwnerAsync();
        await book.Clients.StopAsync();
        await using var sql = new BookInspector(owner.ConnectionString, book.Schema);
        await using var session = await sql.SessionAsync();
        await session.ExecuteAsync("SET citus.enable_ddl_propagation = off; SET citus.enable_manual_changes_to_shards = on;");
        var shard = await session.ExecuteScalarAsync<string>("SELECT shard_name FROM citus_shards WHERE table_name = 'transaction_log'::regclass;");
        await session.ExecuteAsync($"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE SQLSTATE ''40001''; END';
            CREATE TRIGGER fail BEFORE INSERT ON {shard} EXECUTE FUNCTION fail();
            """);

        var service = book.Instances[0];
        var account = await service.OpenAsync();
        var deposit = service.DepositAsync(account, "1");
        await service.SaidAsync("40001");
        await session.ExecuteAsync($"DROP TRIGGER fail ON {shard};");
        (await deposit).ShouldBeCreated();
        (await service.BalanceAsync(account)).Should().Be("1.00");
    }

    // As a crash between the two phases of a commit leaves it. It holds the head's lock until Citus recovers it, which it does every few seconds.
    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_transaction_left_prepared_delays_postings_and_fails_none()
    {
        await using var citus = await CitusCluster.StartAsync();
        await using var book = await Book.StartAsync(citus, isBornDistributed: true);
        await book.Clients.StopAsync();
        await using var sql = new BookInspector((await book.OwnerAsync()).ConnectionString, book.Schema);
        await using var session = await sql.SessionAsync();
        var shard = await session.ExecuteScalarAsync<string>("SELECT shard_name FROM citus_shards WHERE table_name = 'ledger_head'::regclass;");
        await session.ExecuteAsync($"BEGIN; SELECT FROM {shard} FOR UPDATE; PREPARE TRANSACTION 'citus_0_{Random.Shared.Next()}_1_0';");

        var began = Stopwatch.GetTimestamp();
        (await book.Instances[0].OpenAsync()).Should().BePositive();
        (await sql.ScalarAsync<long>("SELECT count(*) FROM pg_prepared_xacts;")).Should().Be(0);
        Report.Write(string.Create(CultureInfo.InvariantCulture, $"{citus.Used}: an account was opened {Stopwatch.GetElapsedTime(began).TotalSeconds:F1} s later."));
    }

    /// <summary>A book with two instances of the service, and clients of both.</summary>
    private sealed class Book : IAsyncDisposable
    {
        private const string Unsafe = "-c citus.enable_unsafe_triggers=on";

        // The service locks the head first and the distribution its tables in another order.
        private const string DistributeSql = """
            BEGIN;
            LOCK TABLE ledger_head;
            SELECT citus_schema_distribute(current_schema()::regnamespace);
            COMMIT;
            """;

        private const string UndistributeSql = "SELECT citus_schema_undistribute(current_schema()::regnamespace);";

        private const string MoveSql = "SELECT citus_schema_move(current_schema()::regnamespace, @Host, @Port);";

        private const string OwnerSql = """
            SELECT nodename, nodeport
              FROM citus_shards
             WHERE table_name = 'ledger_head'::regclass;
            """;

        private readonly CitusCluster citus;
        private readonly NpgsqlConnectionStringBuilder owner;
        private readonly BookInspector sql;
        private readonly List<string> operations = [];

        private Book(CitusCluster citus, bool isBornDistributed)
        {
            this.citus = citus;
            owner = new(citus.Coordinator.ConnectionString) { Options = Unsafe + (isBornDistributed ? " -c citus.enable_schema_based_sharding=on" : ""), Pooling = false };
            sql = new(owner.ConnectionString, Schema);
            Instances = [new(citus.Coordinator.ConnectionString, Schema, ("ConnectionStrings__Migrations", owner.ConnectionString))];
        }

        public string Schema { get; } = $"book_{Guid.NewGuid():N}";

        /// <summary>The first is at the coordinator. The second is at the book's worker if the book is born distributed.</summary>
        public ServiceProcess[] Instances { get; private set; }

        public RetryingClients Clients { get; private set; } = new();

        public string Report => string.Join("; ", [.. operations, Clients.Report]);

        public static async Task<Book> StartAsync(CitusCluster citus, bool isBornDistributed)
        {
            var book = new Book(citus, isBornDistributed);
            try
            {
                await book.Instances[0].StartAsync();
                var second = isBornDistributed ? (await book.OwnerAsync()).ConnectionString : citus.Coordinator.ConnectionString;
                book.Instances = [book.Instances[0], new(second, book.Schema) { GetsBook = false }];
                await book.Instances[1].StartAsync();
                book.Clients = new(book.Instances);
                await book.Clients.StartAsync();
                await book.Clients.AcknowledgeAsync(300);
                return book;
            }
            catch
            {
                await book.DisposeAsync();
                throw;
            }
        }

        /// <summary>The worker that the book is on.</summary>
        public async Task<CitusCluster.Node> OwnerAsync()
        {
            var (host, port) = (await sql.RowsAsync<(string, int)>(OwnerSql)).Single();
            return citus.Workers.Single(worker => (worker.Host, worker.Port) == (host, port));
        }

        public Task DistributeAsync() => TimeAsync("distributed", DistributeSql);

        public Task UndistributeAsync() => TimeAsync("brought back to the coordinator", UndistributeSql);

        public Task MoveAsync(CitusCluster.Node worker) => TimeAsync("moved", MoveSql, new { worker.Host, worker.Port });

        /// <summary>Verified at these nodes, or at each.</summary>
        public async Task ShouldBeRightAsync(params CitusCluster.Node[] nodes)
        {
            (await Clients.ContradictionsAsync(sql)).Should().BeEmpty();
            (await sql.FailedChecksAsync()).Should().BeEmpty();
            foreach (var node in nodes is [] ? [.. citus.Workers, citus.Coordinator] : nodes)
            {
                var verified = await ServiceProcess.RunAsync(["verify"], ("ConnectionStrings__Banking", node.ConnectionString), ("Banking__Schema", Schema));
                verified.ExitCode.Should().Be(0, "{0}", verified.Output);
            }

            Instances.SelectMany(instance => instance.Errors).Should().BeEmpty();
        }

        public async ValueTask DisposeAsync()
        {
            Clients.Dispose();
            foreach (var instance in Instances)
            {
                await instance.DisposeAsync();
            }

            await sql.DisposeAsync();
        }

        private async Task TimeAsync(string operation, string statement, object? parameters = null)
        {
            await using var session = new NpgsqlConnection($"{owner};Search Path={Schema}"); // a new one, like an operator's
            await session.OpenAsync();
            var began = Stopwatch.GetTimestamp();
            await session.ExecuteAsync(statement, parameters, commandTimeout: 0);
            operations.Add(string.Create(CultureInfo.InvariantCulture, $"{operation} in {Stopwatch.GetElapsedTime(began).TotalSeconds:F1} s"));
        }
    }
}
