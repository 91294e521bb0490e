using System.Reflection;
using Dapper;
using DbUp;
using DbUp.Postgresql;
using Npgsql;

namespace Banking.Data;

/// <summary>A script of <c>sql/</c>.</summary>
public sealed record Script(string Name, string Sql);

/// <summary>Brings a book's schema to this build's version with the scripts of <c>sql/</c>.</summary>
public static class Migrations
{
    private const string LockSql = "SELECT pg_try_advisory_lock(hashtextextended('core-banking migrations of ' || @schema, 0));";

    private const string SchemaExistsSql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = @schema);";

    private const string JournalExistsSql = "SELECT to_regclass(quote_ident(@schema) || '.schema_version') IS NOT NULL;";

    private const string JournalSql = "SELECT scriptname FROM schema_version;";

    /// <summary>The scripts of this build, in order.</summary>
    private static IEnumerable<string> Scripts => Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(IsScript).Order(StringComparer.Ordinal);

    private static bool IsScript(string resource) => !resource.Contains('/', StringComparison.Ordinal);

    /// <summary>This build's scripts that the book's journal doesn't have. Those that only a later build knows are no matter: they say themselves whether this one works beside it.</summary>
    public static IReadOnlyList<string> Missing(NpgsqlDataSource dataSource)
    {
        using var connection = dataSource.OpenConnection();
        return [.. Scripts.Except(connection.Query<string>(JournalSql, commandTimeout: 1))];
    }

    /// <summary>The scripts that <see cref="ApplyAsync"/> would apply, in order. Nothing is changed, and no owner's rights are needed.</summary>
    public static async Task<IReadOnlyList<Script>> PendingAsync(string connectionString, string schema)
    {
        await using var database = Connect(connectionString, schema);
        await using var session = await database.OpenConnectionAsync();
        var applied = await session.ExecuteScalarAsync<bool>(JournalExistsSql, new { schema }) ? await session.QueryAsync<string>(JournalSql) : [];
        return [.. Scripts.Except(applied).Select(name => new Script(name, TextOf(name)))];
    }

    private static string TextOf(string script)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream(script)!);
        return reader.ReadToEnd();
    }

    // Unpooled: the lock lasts as long as the session, and a pooled one would go on after its disposal.
    private static NpgsqlDataSource Connect(string connectionString, string schema, bool isPatient = false)
    {
        var builder = new NpgsqlDataSourceBuilder(connectionString) { Name = "migrations" }; // in metrics, in place of the connection string
        builder.ConnectionStringBuilder.Pooling = false;
        builder.ConnectionStringBuilder.SearchPath = schema;
        if (isPatient)
        {
            builder.ConnectionStringBuilder.CommandTimeout = 0;
        }

        return builder.Build();
    }

    /// <summary>
    /// Applies the scripts that the book's journal doesn't have yet, each in a transaction of its own, and gives their names.
    /// Instances that start together wait for each other.
    /// </summary>
    /// <exception cref="InvalidOperationException">A script failed; the message says which and why.</exception>
    public static async Task<IReadOnlyList<string>> ApplyAsync(string connectionString, string schema)
    {
        await using var database = Connect(connectionString, schema);
        await using var session = await database.OpenConnectionAsync();
        // Asked for again and again: a statement that waits would hang where the database does, and hold a snapshot meanwhile.
        while (!await session.ExecuteScalarAsync<bool>(LockSql, new { schema }))
        {
            await Task.Delay(200);
        }

        if (!await session.ExecuteScalarAsync<bool>(SchemaExistsSql, new { schema }))
        {
            await session.ExecuteAsync($"CREATE SCHEMA \"{schema.Replace("\"", "\"\"", StringComparison.Ordinal)}\";");
        }

        await using var patient = Connect(connectionString, schema, isPatient: true); // a script takes as long as it takes
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
                    ? ". Scripts are the owner's to apply: name that role in ConnectionStrings__Migrations."
                    : ""),
                result.Error);
        }

        return [.. result.Scripts.Select(script => script.Name)];
    }
}
