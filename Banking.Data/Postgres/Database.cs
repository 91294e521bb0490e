using System.Data;
using System.Net.Sockets;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Connections to one book: one database, one schema.</summary>
public static class Database
{
    static Database() => DefaultTypeMap.MatchNamesWithUnderscores = true;

    // Every statement of ours is a set of index look-ups, whatever the tables' sizes, so its plan needs to be made only once and
    // may be no other. Left to itself the planner keeps the sequential scan that suited the empty tables a statement was first
    // prepared on, until somebody analyses them; planning each execution anew would cost PostgreSQL about as much as the
    // execution. A frozen instance keeps its sockets, so only the server can end the transaction that it left open.
    private const string SessionSql = """
        SET plan_cache_mode = force_generic_plan;
        SET enable_seqscan = off;
        SET enable_bitmapscan = off;
        SET enable_hashjoin = off;
        SET enable_mergejoin = off;
        SET jit = off;
        SELECT set_config('idle_in_transaction_session_timeout', @idle_transaction, false)
             , set_config('statement_timeout', @statement, false);
        """;

    private const int LedgerConnections = 4; // the ledger has one at a time, and so has readiness

    /// <summary>The connections of the ledger and of readiness.</summary>
    public static NpgsqlDataSource Connect(string connectionString, LedgerOptions options)
    {
        var settings = SettingsFor(connectionString, options.Schema);
        // Half the time for a try leaves some to try again. A database that hangs takes up both: the command, and then the connection
        // on which Npgsql asks to cancel it, or two of these, as it tries GSS encryption first. So one such try is all the time there is.
        settings.CommandTimeout = (options.RetrySeconds + 1) / 2;
        settings.Timeout = settings.CommandTimeout;
        return Pool(settings, LedgerConnections, options.Schema, options, statementSeconds: 0);
    }

    /// <summary>The connections of all reads. The server ends a statement that takes too long, and Npgsql never asks it to.</summary>
    internal static NpgsqlDataSource ConnectForReads(string connectionString, LedgerOptions options)
    {
        var settings = SettingsFor(connectionString, options.Schema, "reads");
        settings.CommandTimeout = 0;
        settings.Timeout = options.ReadSeconds;
        return Pool(settings, options.ReadConnections, $"{options.Schema}_reads", options, options.ReadSeconds);
    }

    /// <summary>What every connection to a book has in common: its schema, the primary where there are several hosts, and a name that a DBA sees.</summary>
    internal static NpgsqlConnectionStringBuilder SettingsFor(string connectionString, string schema, string purpose = "")
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { SearchPath = schema };
        settings.ApplicationName = $"{settings.ApplicationName ?? "core-banking"} {purpose}".TrimEnd();
        if (settings.Host?.Contains(',', StringComparison.Ordinal) == true)
        {
            settings.TargetSessionAttributes ??= "primary";
        }

        return settings;
    }

    /// <summary>A pool of connections whose unqualified names are those of the book's schema.</summary>
    private static NpgsqlDataSource Pool(
        NpgsqlConnectionStringBuilder settings, int connections, string name, LedgerOptions options, int statementSeconds)
    {
        settings.MinPoolSize = Math.Min(settings.MinPoolSize, connections);
        settings.MaxPoolSize = connections;
        settings.HostRecheckSeconds = 1; // of several hosts, which one is the primary now
        settings.MaxAutoPrepare = 50;
        settings.AutoPrepareMinUsages = 2;
        settings.NoResetOnClose = true; // nothing changes a session after it is set up
        var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString) { Name = name }; // in metrics and traces, in place of the connection string
        var session = new { idle_transaction = $"{options.IdleTransactionSeconds}s", statement = $"{statementSeconds}s" };
        builder.UsePhysicalConnectionInitializer(
            connection => connection.Execute(SessionSql, session),
            async connection => await connection.ExecuteAsync(SessionSql, session));
        return builder.Build();
    }

    /// <summary>What <paramref name="work"/> gives on a connection of its own. Whatever it throws once that connection is lost is a transient fault.</summary>
    public static async Task<T> UseAsync<T>(this NpgsqlDataSource dataSource, Func<NpgsqlConnection, Task<T>> work)
    {
        await using var connection = await dataSource.OpenConnectionAsync();
        try
        {
            return await work(connection);
        }
        catch (PostgresException exception) when (IsStalePlan(exception))
        {
            dataSource.Clear(); // every connection of the pool may have prepared this and other statements on the table as it was
            throw;
        }
        catch (Exception exception) when (connection.State != ConnectionState.Open && !IsTransient(exception))
        {
            // Where a connection breaks between two results, the layer above says what it missed, and not that it broke.
            throw new NpgsqlException("The connection to the database was lost.", exception);
        }
    }

    /// <summary>Somebody changed the type of a column that a prepared statement reads; prepared again, the statement works.</summary>
    internal static bool IsStalePlan(Exception exception) =>
        exception is PostgresException { SqlState: PostgresErrorCodes.FeatureNotSupported, Routine: "RevalidateCachedQuery" };

    /// <summary>Whether the fault is the database's or the network's, so that the same work may succeed when it is run again.</summary>
    public static bool IsTransient(Exception exception) => exception switch
    {
        _ when IsStalePlan(exception) => true,
        PostgresException { SqlState: var state } =>
            state.StartsWith("08", StringComparison.Ordinal)      // the connection is gone
            || state.StartsWith("57P", StringComparison.Ordinal)  // the server stops, starts or gives up
            || state.StartsWith("53", StringComparison.Ordinal)   // out of connections, memory or disk
            || state is "40001" or "40P01"                        // serialization failure, deadlock
                     or "55P03" or "57014"                        // waited too long for a lock or an answer
                     or "25P03" or "25P04"                        // the server ended a transaction that took too long
                     or "25006",                                  // read-only: a standby that is not promoted yet
        NpgsqlException or SocketException or IOException or TimeoutException => true,
        _ => false,
    };
}
