using System.Diagnostics;
using System.Reflection;
using Dapper;
using DbUp.Postgresql;
using Npgsql;

namespace Banking.Data;

/// <summary>A script of <c>sql/</c>.</summary>
public sealed record Script(string Name, string Sql);

/// <summary>The names of the scripts that were applied, and whether they made a new book.</summary>
public sealed record AppliedScripts(bool IsNewBook, IReadOnlyList<string> Names);

/// <summary>Brings a book's schema to this build's version with the scripts of <c>sql/</c>.</summary>
public static class Migrations
{
    internal const string SessionSql = "SELECT set_config('search_path', @schema, false);";

    private const string EncodingSql = "SHOW server_encoding;";

    private const string SchemaExistsSql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = @schema);";

    private const string JournalExistsSql = "SELECT to_regclass(quote_ident(@schema) || '.schema_version') IS NOT NULL;";

    private const string JournalSql = "SELECT scriptname FROM schema_version;";

    // A lock of the transaction, not of the session: it ends with its owner, even behind a pooler. No time limit may end it sooner.
    private const string NoTimeLimitSql = """
        SELECT set_config(name, '0', true)
          FROM pg_settings
         WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout');
        """;

    private const string ServiceRole = "roles/banking_service.sql";

    private const string NameRoleSql = "SELECT set_config('banking.service_role', @role, false);";

    private const string LockSql = "SELECT pg_try_advisory_xact_lock(hashtextextended('core-banking migrations of ' || @schema, 0));";

    private const string HolderSql = """
        SELECT format('process %s (%s, application %s, state %s, since %s)', pid, usename, application_name, state, date_trunc('second', state_change))
          FROM pg_locks
          JOIN pg_stat_activity USING (pid)
          JOIN pg_database ON pg_database.oid = pg_locks.database
         WHERE locktype = 'advisory'
           AND granted
           AND pg_database.datname = current_database()
           AND (classid::bigint << 32 | objid::bigint) = hashtextextended('core-banking migrations of ' || @schema, 0);
        """;

    /// <summary>The scripts of this build, in order.</summary>
    private static IEnumerable<string> Scripts => Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(IsScript).Order(StringComparer.Ordinal);

    private static bool IsScript(string resource) => !resource.Contains('/', StringComparison.Ordinal);

    /// <summary>This build's scripts that the book's journal lacks. Scripts of a later build are ignored: they say themselves whether this build works beside them.</summary>
    internal static IReadOnlyList<string> Missing(IEnumerable<string> journal) => [.. Scripts.Except(journal)];

    /// <summary>The scripts that <see cref="ApplyAsync"/> would apply, in order. Changes nothing; the right to read is enough.</summary>
    public static async Task<IReadOnlyList<Script>> PendingAsync(string connectionString, string schema)
    {
        await using var database = Connect(connectionString, schema);
        await using var session = await database.OpenConnectionAsync();
        return [.. (await PendingAsync(session, schema)).Select(name => new Script(name, TextOf(name)))];
    }

    /// <summary>Gives a role the rights of sql/roles/banking_service.sql on a book. Creates the role if it is missing, without a password.</summary>
    /// <exception cref="InvalidOperationException">The owner may not create roles.</exception>
    public static async Task GrantAsync(string connectionString, string schema, string role)
    {
        await using var database = Connect(connectionString, schema);
        await using var session = await database.OpenConnectionAsync();
        await session.ExecuteAsync(NameRoleSql, new { role });
        try
        {
            await session.ExecuteAsync(TextOf(ServiceRole));
        }
        catch (PostgresException exception) when (exception is { SqlState: PostgresErrorCodes.InsufficientPrivilege, Routine: "CreateRole" })
        {
            throw new InvalidOperationException($"{exception.Message}. The book is made. An administrator must first run CREATE ROLE {role} LOGIN, then run this again.", exception);
        }
    }

    internal static async Task<IReadOnlyList<string>> PendingAsync(NpgsqlConnection session, string schema) => Missing(
        await session.ExecuteScalarAsync<bool>(JournalExistsSql, new { schema }) ? await session.QueryAsync<string>(JournalSql) : []);

    private static string TextOf(string script)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream(script)!);
        return reader.ReadToEnd();
    }

    internal static NpgsqlDataSource Connect(string connectionString, string schema, bool isPatient = false)
    {
        var settings = Database.SettingsFor(connectionString, "migrations");
        settings.Pooling = false;
        settings.CommandTimeout = isPatient ? 0 : settings.CommandTimeout;
        return Database.Build(settings, "migrations", SessionSql, new { schema });
    }

    /// <summary>
    /// Applies the scripts that the book's journal lacks, each in its own transaction. Instances that start together wait for each
    /// other, unless nothing is missing.
    /// </summary>
    /// <param name="mayCreate">Whether it makes a new book where there is none. A wrong name would otherwise open an empty one.</param>
    /// <param name="waitsFor">Called with the lock's holder if this has to wait for the lock.</param>
    /// <exception cref="InvalidOperationException">It failed. The message says why and, if a script failed, which one.</exception>
    public static async Task<AppliedScripts> ApplyAsync(
        string connectionString, string schema, bool mayCreate, TimeSpan patience, Action<string> waitsFor)
    {
        await using var database = Connect(connectionString, schema);
        await using var session = await database.OpenConnectionAsync();
        if (await session.ExecuteScalarAsync<string>(EncodingSql) is not "UTF8" and var encoding)
        {
            throw new InvalidOperationException(
                $"The database's encoding is {encoding}, which cannot store every name and reference. "
                + "Create a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in ConnectionStrings__Banking.");
        }

        await using var locked = await session.BeginTransactionAsync();
        await session.ExecuteAsync(NoTimeLimitSql);
        var (since, holder) = (Stopwatch.GetTimestamp(), "");
        while (true)
        {
            if (await PendingAsync(session, schema) is [])
            {
                return new(IsNewBook: false, []);
            }

            // Polls: a statement that waits for the lock would hang with the database, and hold a snapshot meanwhile.
            if (await session.ExecuteScalarAsync<bool>(LockSql, new { schema }))
            {
                break;
            }

            var holds = await session.ExecuteScalarAsync<string>(HolderSql, new { schema });
            if (holds is not null && holds != holder && Stopwatch.GetElapsedTime(since).TotalSeconds >= 2) // instances that start together take less time
            {
                waitsFor(holder = holds);
            }

            if (Stopwatch.GetElapsedTime(since) >= patience)
            {
                throw new InvalidOperationException(
                    $"Scripts are pending, but another session kept the lock of the migrations of {schema} for {patience.TotalSeconds:F0} s: {holds ?? "it has just ended"}. "
                    + "If it is not migrating, end it with SELECT pg_terminate_backend(its process number).");
            }

            await Task.Delay(200);
        }

        var isNewBook = !await session.ExecuteScalarAsync<bool>(JournalExistsSql, new { schema });
        if (isNewBook && !mayCreate)
        {
            throw new InvalidOperationException(
                $"There is no book in the schema {schema} of {session.Database} at {session.Host}:{session.Port}. "
                + $"Books there: {(await Books.SchemasAsync(session) is [_, ..] books ? string.Join(", ", books.Take(10)) : "none")}. Check Banking__Schema and the connection string. To make a new book, run migrate as the owner.");
        }

        await using var patient = Connect(connectionString, schema, isPatient: true); // a script takes as long as it takes
        if (!await session.ExecuteScalarAsync<bool>(SchemaExistsSql, new { schema }))
        {
            await using var other = await patient.OpenConnectionAsync(); // the session with the lock is inside its transaction
            await other.ExecuteAsync($"CREATE SCHEMA \"{schema.Replace("\"", "\"\"", StringComparison.Ordinal)}\";");
        }

        var result = PostgresqlExtensions.PostgresqlDatabase(new PostgresqlConnectionManager(patient), schema)
            .JournalToPostgresqlTable(schema, "schema_version")
            .WithScriptsEmbeddedInAssembly(Assembly.GetExecutingAssembly(), IsScript)
            .WithTransactionPerScript()
            .WithVariablesDisabled()
            .LogToNowhere()
            .Build()
            .PerformUpgrade();
        if (!result.Successful)
        {
            throw new InvalidOperationException(
                (result.ErrorScript is { } script ? $"Script {script.Name} failed and was rolled back; the scripts before it are applied. " : "")
                + result.Error.Message
                + (result.Error is PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege }
                    ? ". Only the owner of the schema may apply scripts: run migrate as that role."
                    : ""),
                result.Error);
        }

        return new(isNewBook, [.. result.Scripts.Select(script => script.Name)]);
    }
}
