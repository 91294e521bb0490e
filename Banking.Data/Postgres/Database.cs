using System.Data;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Connections to one book: one database, one schema.</summary>
public static class Database
{
    static Database() => DefaultTypeMap.MatchNamesWithUnderscores = true;

    // Our statements are index look-ups, however large the tables are. One plan fits all executions, and planning each again would
    // cost PostgreSQL about as much as the execution. The planner alone would keep a sequential scan if a statement was first
    // prepared while the tables were empty, until somebody analyses them. So the plans that suit small tables are switched off.
    // A page of a long log must not start parallel workers either: they cost more than the page.
    // A frozen instance keeps its sockets open: only the server can end its transaction. One that vanished before all of a batch had
    // arrived leaves no idle transaction: there TCP has to notice, three seconds later.
    // Citus has no generic plan for our inserts from unnest, and wants to be asked before a function like ledger_block_hash reads the
    // book that it is called in. To PostgreSQL without Citus, a name with a dot means nothing.
    private const string StatementsSql = """
        SET enable_seqscan = off;
        SET enable_bitmapscan = off;
        SET enable_hashjoin = off;
        SET enable_mergejoin = off;
        SET jit = off;
        SET max_parallel_workers_per_gather = 0;
        SELECT set_config('search_path', @schema, false)
             , set_config('plan_cache_mode', CASE WHEN current_setting('citus.version', true) IS NULL THEN 'force_generic_plan' ELSE 'auto' END, false)
             , set_config('citus.allow_nested_distributed_execution', 'on', false)
             , set_config('idle_in_transaction_session_timeout', @idle_transaction, false)
             , set_config('statement_timeout', @statement, false)
             , set_config('tcp_keepalives_idle', @keep_alive, false)
             , set_config('tcp_keepalives_interval', '1', false)
             , set_config('tcp_keepalives_count', '3', false)
             , set_config('tcp_user_timeout', @unacknowledged, false);
        """;

    private const int ServiceConnections = 3; // readiness, currencies and the check of the standby each use one at a time

    /// <summary>The connections of the service's own checks.</summary>
    public static NpgsqlDataSource Connect(string connectionString, LedgerOptions options, CommittedHead head)
    {
        var connections = Connect(connectionString, options, head, ServiceConnections, options.Schema);
        head.SessionReplaced += () => StartAnew(connections);
        return connections;
    }

    /// <summary>
    /// The connection of the ledger's write transactions. In a pool of several, each transaction would run on the session that has
    /// rested longest, whose caches are the coldest.
    /// </summary>
    public static NpgsqlDataSource ConnectForWrites(string connectionString, LedgerOptions options, CommittedHead head) =>
        Connect(connectionString, options, head, connections: 1, $"{options.Schema}_writes");

    private static NpgsqlDataSource Connect(string connectionString, LedgerOptions options, CommittedHead head, int connections, string name)
    {
        var settings = SettingsFor(connectionString);
        // A try gets half the time, so that a second one fits. A database that hangs uses all of it in one try: first the command
        // times out, then the connection (or two: GSS encryption is tried first) on which Npgsql asks to cancel it.
        settings.CommandTimeout = (options.RetrySeconds + 1) / 2;
        settings.Timeout = settings.CommandTimeout;
        return Pool(settings, connections, name, options, statementSeconds: 0, head);
    }

    /// <summary>
    /// Connections for reads of the primary, or of a standby. The server itself ends a statement that takes too long; Npgsql never has to
    /// ask it to.
    /// </summary>
    /// <param name="name">What reads. Metrics, traces and the DBA's list of sessions show it.</param>
    /// <param name="head">What the primary must have; null for a standby.</param>
    internal static NpgsqlDataSource ConnectForReads(string connectionString, LedgerOptions options, int connections, string name, CommittedHead? head)
    {
        var settings = SettingsFor(connectionString, name, head is null ? "prefer-standby" : "primary");
        if (head is null)
        {
            settings.LoadBalanceHosts = false; // one is judged for all
        }

        settings.CommandTimeout = 0;
        settings.ReadBufferSize = 65_536; // fewer receives for a chunk of a statement
        settings.Timeout = options.ReadSeconds;
        return Pool(settings, connections, $"{options.Schema}_{name.Replace(' ', '_')}", options, options.ReadSeconds, head);
    }

    /// <summary>Closes the connections, those in use after their work, and forgets which host was the primary.</summary>
    internal static void StartAnew(NpgsqlDataSource dataSource)
    {
        dataSource.Clear();
        (dataSource as NpgsqlMultiHostDataSource)?.ClearDatabaseStates();
    }

    /// <summary>What all connections share: the kind of server if there are several hosts, and an application name for the DBA.</summary>
    internal static NpgsqlConnectionStringBuilder SettingsFor(string connectionString, string purpose = "", string server = "primary")
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { SearchPath = null };
        settings.ApplicationName = $"{settings.ApplicationName ?? "core-banking"} {purpose}".TrimEnd();
        if (settings.Host?.Contains(',', StringComparison.Ordinal) == true)
        {
            settings.TargetSessionAttributes ??= server;
        }

        return settings;
    }

    private static NpgsqlDataSource Pool(
        NpgsqlConnectionStringBuilder settings, int connections, string name, LedgerOptions options, int statementSeconds, CommittedHead? head)
    {
        settings.MinPoolSize = connections == 1 ? 1 : Math.Min(settings.MinPoolSize, connections); // a loop's only connection stays open
        settings.MaxPoolSize = connections;
        settings.HostRecheckSeconds = 1; // finds a new primary within a second
        settings.MaxAutoPrepare = 50;
        settings.AutoPrepareMinUsages = 2;
        settings.NoResetOnClose = true; // we never change a session after its set-up
        return Build(settings, name, StatementsSql, new
        {
            schema = options.Schema,
            idle_transaction = $"{options.IdleTransactionSeconds}s",
            statement = $"{statementSeconds}s",
            keep_alive = $"{options.IdleTransactionSeconds}s",
            unacknowledged = $"{options.IdleTransactionSeconds + 3}s",
        }, head);
    }

    /// <summary>
    /// Connections that find the book's tables by their unqualified names. The search path is set in the session: a pooler refuses it
    /// as a start-up parameter.
    /// </summary>
    /// <param name="name">Metrics and traces show it instead of the connection string.</param>
    /// <param name="head">What the server must have, if given. Where several hosts are named, Npgsql passes over one that does not.</param>
    internal static NpgsqlDataSource Build(NpgsqlConnectionStringBuilder settings, string name, string sessionSql, object session, CommittedHead? head = null)
    {
        var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString) { Name = name };
        // The pooler first: other clients would get what is set.
        builder.UsePhysicalConnectionInitializer(
            connection =>
            {
                RefuseTransactionPoolingAsync(connection, connection.ExecuteScalar<int>(Pooler.ProcessSql)).GetAwaiter().GetResult();
                connection.Execute(sessionSql, session);
                if (head?.Last is { } last)
                {
                    head.Check(connection, last, connection.QuerySingle<CommittedHead.Answer>(CommittedHead.AskSql, last));
                }
            },
            async connection =>
            {
                await RefuseTransactionPoolingAsync(connection, await connection.ExecuteScalarAsync<int>(Pooler.ProcessSql));
                await connection.ExecuteAsync(sessionSql, session);
                if (head?.Last is { } last)
                {
                    head.Check(connection, last, await connection.QuerySingleAsync<CommittedHead.Answer>(CommittedHead.AskSql, last));
                }
            });
        return builder.Build();

        Task RefuseTransactionPoolingAsync(NpgsqlConnection connection, int process)
        {
            return Pooler.RefuseTransactionPoolingAsync(connection, process, OpenAnotherAsync);

            async ValueTask<NpgsqlConnection> OpenAnotherAsync()
            {
                var same = new NpgsqlConnectionStringBuilder(settings.ConnectionString)
                {
                    Host = connection.Host,
                    Port = connection.Port,
                    Pooling = false,
                    Timeout = 2,
                    CommandTimeout = 2,
                };
                var another = new NpgsqlConnection(same.ConnectionString);
                await another.OpenAsync();
                return another;
            }
        }
    }

    /// <summary>Runs <paramref name="work"/> on its own connection. If that connection is lost, any exception becomes a transient fault.</summary>
    public static async Task<T> UseAsync<T>(this NpgsqlDataSource dataSource, Func<NpgsqlConnection, Task<T>> work)
    {
        await using var connection = await dataSource.OpenConnectionAsync();
        try
        {
            return await work(connection);
        }
        catch (PostgresException exception) when (IsStalePlan(exception))
        {
            dataSource.Clear(); // every pooled connection may have prepared statements on the old table
            throw;
        }
        catch (Exception exception) when (connection.State != ConnectionState.Open && !IsAtFault(exception))
        {
            // If a connection breaks between two results, Dapper reports the missing result, not the break.
            throw new NpgsqlException("The connection to the database was lost.", exception);
        }
    }

    /// <summary>Somebody changed the type of a column that a prepared statement reads. The statement works once it is prepared again.</summary>
    internal static bool IsStalePlan(Exception exception) =>
        exception is PostgresException { SqlState: PostgresErrorCodes.FeatureNotSupported, Routine: "RevalidateCachedQuery" };

    /// <summary>What happened, in one line without a full stop: SQLSTATE and text, without details, which may show a customer's data.</summary>
    public static string ReasonOf(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege, MessageText: var text } =>
            $"{PostgresErrorCodes.InsufficientPrivilege}: {text}; run sql/roles/banking_service.sql as the owner",
        PostgresException { SqlState: var state, MessageText: var text } => $"{state}: {text}",
        { InnerException: { } inner } => $"{exception.Message.TrimEnd('.')}: {ReasonOf(inner)}",
        _ => exception.Message.TrimEnd('.'),
    };

    /// <summary>Whether the database, the network or the role's rights are at fault, not this service. Not each of these passes.</summary>
    public static bool IsAtFault(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege } => true,
        PostgresException { SqlState: ['5', '8', ..] } => true, // the server's machine: a file, a disk
        PostgresException { SqlState: ['X', 'X', ..] } => true, // the server's own error, or its data are damaged
        _ => IsTransient(exception),
    };

    /// <summary>Whether a start may succeed later with the same settings.</summary>
    public static bool MayComeUp(Exception exception) => exception switch
    {
        _ when Pooler.RefusesParameter(exception) => false,
        NpgsqlException { InnerException: AuthenticationException or CryptographicException } => false, // certificates
        NpgsqlException { InnerException: AggregateException hosts } => hosts.InnerExceptions.Any(MayComeUp),
        // No encryption there, another way to log in, transaction pooling. Not so where several hosts are named: one of them may become the primary.
        NpgsqlException { InnerException: null } and not PostgresException => exception.Message.StartsWith("No suitable host", StringComparison.Ordinal),
        _ => IsTransient(exception),
    };

    /// <summary>Whether the database or the network is at fault, so that the same work may succeed on a retry.</summary>
    public static bool IsTransient(Exception exception) => exception switch
    {
        _ when IsStalePlan(exception) => true,
        // Only Citus, while it moves a book, lets two instances write at once. The second one finds its ids or a key taken.
        PostgresException { SqlState: PostgresErrorCodes.UniqueViolation, MessageText: var text } =>
            text.Contains("_pk", StringComparison.Ordinal) || text.Contains("_key_is_used_once", StringComparison.Ordinal),
        PostgresException { SqlState: var state } =>
            state.StartsWith("08", StringComparison.Ordinal)      // the connection is gone
            || state.StartsWith("57P", StringComparison.Ordinal)  // the server stops, starts or gives up
            || state.StartsWith("53", StringComparison.Ordinal)   // out of connections, memory or disk
            || state is "40001" or "40P01"                        // serialization failure, deadlock
                     or "55P03" or "57014"                        // waited too long for a lock or an answer
                     or "25P03" or "25P04"                        // the server ended a transaction that was idle or ran too long
                     or "25006",                                  // read-only: a standby that is not promoted yet
        NpgsqlException or SocketException or IOException or TimeoutException => true,
        _ => false,
    };
}
