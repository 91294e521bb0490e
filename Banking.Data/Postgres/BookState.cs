using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>What decides whether the service can work with its book on the connected server.</summary>
public sealed record BookState(bool IsStandby, bool IsReadOnly, bool MayInsert, IReadOnlyList<string> MissingScripts)
{
    private sealed record Row(bool IsStandby, bool IsReadOnly, bool MayInsert, string Journal);

    // A role may read without the right to insert. If there is no log yet, its script is missing, which is reported instead.
    private const string ReadSql = """
        SELECT pg_is_in_recovery() AS is_standby
             , current_setting('transaction_read_only')::boolean AS is_read_only
             , COALESCE(has_table_privilege(to_regclass('transaction_log'), 'INSERT'), true) AS may_insert
             , (SELECT COALESCE(string_agg(scriptname, chr(10)), '')
                  FROM schema_version) AS journal;
        """;

    public static BookState Read(NpgsqlDataSource dataSource)
    {
        using var connection = dataSource.OpenConnection();
        var row = connection.QuerySingle<Row>(ReadSql, commandTimeout: 1);
        return new(row.IsStandby, row.IsReadOnly, row.MayInsert, Migrations.Missing(row.Journal.Split('\n')));
    }
}
