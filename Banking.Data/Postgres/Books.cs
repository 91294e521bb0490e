using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A book of a database: its schema, its end, and how many of this build's scripts it lacks.</summary>
public sealed record BookEntry(string Schema, AuditHead Head, int PendingScripts);

/// <summary>The books of a database.</summary>
public static class Books
{
    private const string SchemasSql = """
        SELECT nspname
          FROM pg_class
          JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = 'ledger_head'
           AND has_schema_privilege(pg_namespace.oid, 'USAGE')
           AND has_table_privilege(pg_class.oid, 'SELECT')
         ORDER BY nspname;
        """;

    /// <summary>The schemas that hold a book which this role may read.</summary>
    internal static async Task<IReadOnlyList<string>> SchemasAsync(NpgsqlConnection session) => [.. await session.QueryAsync<string>(SchemasSql)];

    /// <summary>All books that this role may read, by schema.</summary>
    public static async IAsyncEnumerable<BookEntry> ListAsync(string connectionString)
    {
        await using var database = Migrations.Connect(connectionString, "");
        await using var session = await database.OpenConnectionAsync();
        foreach (var schema in await SchemasAsync(session))
        {
            await session.ExecuteAsync(Migrations.SessionSql, new { schema });
            yield return new(
                schema, await session.QuerySingleAsync<AuditHead>(AuditHeads.GetSql), (await Migrations.PendingAsync(session, schema)).Count);
        }
    }
}
