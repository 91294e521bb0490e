using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>What decides whether the service can work with its book on the connected server.</summary>
/// <param name="MissingRights">Of those that sql/roles/banking_service.sql grants, such as <c>INSERT ON hold</c>; empty if none is missing.</param>
/// <param name="MissingScripts">Unknown, so empty, where rights are missing.</param>
public sealed record BookState(string ServerVersion, bool IsStandby, bool IsReadOnly, string MissingRights, IReadOnlyList<string> MissingScripts)
{
    private sealed record Row(int Process, string ServerVersion, bool IsStandby, bool IsReadOnly, string MissingRights);

    // A relation or column that does not exist lacks a script, which is reported instead.
    private const string ReadSql = """
        SELECT pg_backend_pid() AS process
             , current_setting('server_version') AS server_version
             , pg_is_in_recovery() AS is_standby
             , current_setting('transaction_read_only')::boolean AS is_read_only
             , COALESCE(string_agg(lacks, ', '), '') AS missing_rights
          FROM (SELECT format('USAGE ON SCHEMA %I', nspname) AS lacks
                  FROM pg_namespace
                 WHERE nspname = @schema
                   AND NOT has_schema_privilege(oid, 'USAGE')
                UNION ALL
                SELECT format('%s ON %I', privilege, relation)
                  FROM (VALUES ('SELECT', ARRAY['schema_version', 'currency', 'account', 'hold', 'transaction_log', 'account_log', 'account_entry', 'ledger_head', 'ledger_block'])
                             , ('INSERT', ARRAY['account', 'hold', 'transaction_log', 'account_log', 'ledger_block'])) AS needed (privilege, relations)
                 CROSS JOIN unnest(relations) AS each (relation)
                 WHERE NOT has_table_privilege(to_regclass(relation), privilege)
                UNION ALL
                SELECT format('UPDATE (%s) ON %I', string_agg(attname, ', ' ORDER BY attnum), relation)
                  FROM (VALUES ('account', ARRAY['owner_name', 'status', 'balance', 'held', 'overdraft_limit'])
                             , ('hold', ARRAY['captured_amount', 'status'])
                             , ('ledger_head', ARRAY['last_block_id', 'last_transaction_id', 'last_account_event_id', 'last_account_id', 'last_created_at', 'last_hash']))
                    AS needed (relation, columns)
                  JOIN pg_attribute ON attrelid = to_regclass(relation) AND attname = ANY (columns)
                 WHERE NOT has_column_privilege(attrelid, attnum, 'UPDATE')
                 GROUP BY relation
                UNION ALL
                SELECT 'EXECUTE ON FUNCTION ledger_block_hash'
                 WHERE NOT has_function_privilege(to_regproc('ledger_block_hash'), 'EXECUTE')) AS missing;
        """;

    private const string JournalSql = "SELECT scriptname FROM schema_version;";

    /// <exception cref="NpgsqlException">The database fails, or a pooler gives each transaction another session.</exception>
    public static BookState Read(NpgsqlDataSource dataSource, string schema)
    {
        using var connection = dataSource.OpenConnection();
        var row = connection.QuerySingle<Row>(ReadSql, new { schema }, commandTimeout: 1);
        Pooler.RefuseTransactionPoolingAsync(connection, row.Process, () => dataSource.OpenConnectionAsync()).GetAwaiter().GetResult(); // its setting may change
        return new(
            row.ServerVersion, row.IsStandby, row.IsReadOnly, row.MissingRights,
            row.MissingRights.Length > 0 ? [] : Migrations.Missing(connection.Query<string>(JournalSql, commandTimeout: 1)));
    }
}
