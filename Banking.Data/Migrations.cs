using System.Reflection;
using Dapper;
using DbUp;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Data;

/// <summary>Brings a book's schema to this build's version with the scripts of <c>sql/</c>.</summary>
public static partial class Migrations
{
    private const string LockSql = "SELECT pg_advisory_lock(hashtextextended('core-banking migrations of ' || @schema, 0));";

    private const string SchemaExistsSql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = @schema);";

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

    /// <summary>Applies the scripts that the book's journal doesn't have yet, each in a transaction of its own. Instances that start together wait for each other.</summary>
    public static async Task ApplyAsync(string connectionString, string schema, ILogger logger)
    {
        // Unpooled: the lock lasts as long as the session, and a pooled one would go on after this method.
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, SearchPath = schema };
        await using var session = new NpgsqlConnection(settings.ConnectionString);
        await session.OpenAsync();
        await session.ExecuteAsync(new CommandDefinition(LockSql, new { schema }, commandTimeout: 0));
        if (!await session.ExecuteScalarAsync<bool>(SchemaExistsSql, new { schema }))
        {
            await session.ExecuteAsync($"CREATE SCHEMA \"{schema.Replace("\"", "\"\"", StringComparison.Ordinal)}\";");
        }

        var result = DeployChanges.To
            .PostgresqlDatabase(settings.ConnectionString, schema)
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
                $"Script {result.ErrorScript?.Name} failed and was rolled back; the scripts before it are applied. {result.Error.Message}"
                + (result.Error is PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege }
                    ? " Scripts are the owner's to apply: name that role in ConnectionStrings__Migrations."
                    : ""),
                result.Error);
        }

        foreach (var script in result.Scripts)
        {
            LogApplied(logger, script.Name, schema);
        }
    }

    [LoggerMessage(LogLevel.Information, "Applied {Script} to schema {Schema}.")]
    private static partial void LogApplied(ILogger logger, string script, string schema);
}
