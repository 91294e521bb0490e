using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A book of a database: its schema, its last block and transaction, when the block was written, and this build's scripts that it lacks.</summary>
public sealed record BookEntry(string Schema, long BlockId, long TransactionId, DateTime CreatedAt, int PendingScripts);

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

    private const string UseSql = "SELECT set_config('search_path', @schema, false);";

    private const string HeadSql = """
        SELECT last_block_id
             , last_transaction_id
             , last_created_at
          FROM ledger_head
         WHERE only_row;
        """;

    private sealed record HeadRow(long LastBlockId, long LastTransactionId, DateTime LastCreatedAt);

    /// <summary>The schemas that hold a book which this role may read.</summary>
    internal static async Task<IReadOnlyList<string>> SchemasAsync(NpgsqlConnection session) => [.. await session.QueryAsync<string>(SchemasSql)];

    /// <summary>All books that this role may read, by schema.</summary>
    public static async IAsyncEnumerable<BookEntry> ListAsync(string connectionString)
    {
        await using var database = Migrations.Connect(connectionString, "");
        await using var session = await database.OpenConnectionAsync();
        foreach (var schema in await SchemasAsync(session))
        {
            await session.ExecuteAsync(UseSql, new { schema });
            var head = await session.QuerySingleAsync<HeadRow>(HeadSql);
            yield return new(
                schema, head.LastBlockId, head.LastTransactionId, head.LastCreatedAt, (await Migrations.PendingAsync(session, schema)).Count);
        }
    }
}
