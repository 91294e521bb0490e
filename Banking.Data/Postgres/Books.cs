using System.Data;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A book of a database: its schema, its end, and how many of this build's scripts it lacks; or why it cannot be read.</summary>
public sealed record BookEntry(string Schema, AuditHead? Head, int PendingScripts, string? Fault = null);

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
            yield return await ReadAsync(session, schema);
        }
    }

    // One that is damaged, or no book at all, must not hide the others.
    private static async Task<BookEntry> ReadAsync(NpgsqlConnection session, string schema)
    {
        await session.ExecuteAsync(Migrations.SessionSql, new { schema });
        try
        {
            return await session.QuerySingleOrDefaultAsync<AuditHead>(AuditHeads.GetSql) is { } head
                ? new(schema, head, (await Migrations.PendingAsync(session, schema)).Count)
                : new(schema, null, 0, "it has no head");
        }
        catch (PostgresException exception) when (session.State == ConnectionState.Open)
        {
            return new(schema, null, 0, Database.ReasonOf(exception));
        }
    }
}
