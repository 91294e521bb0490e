using System.Diagnostics;
using System.Reflection;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>What a check found: how many rows, which are none in a book that is right, the first of them as text, and how long it took.</summary>
public sealed record CheckResult(string Check, long Rows, IReadOnlyList<string> Findings, double Seconds)
{
    public bool Passed => Rows == 0;
}

/// <summary>Runs the queries of <c>sql/checks</c>, the same files that a DBA runs, and compares a head that somebody kept.</summary>
public sealed class Verification(string connectionString, string schema)
{
    private const int FindingsShown = 5;

    // The checks read whole tables: they get a planner of their own, with memory to sort in, and can't write.
    private const string SessionSql = """
        SET default_transaction_read_only = on;
        SET work_mem = '256MB';
        SET hash_mem_multiplier = 4;
        """;

    /// <summary>The names of all checks.</summary>
    public static IReadOnlyList<string> Checks { get; } =
    [
        .. Assembly.GetExecutingAssembly().GetManifestResourceNames()
            .Where(name => name.StartsWith("checks/", StringComparison.Ordinal))
            .Select(name => Path.GetFileNameWithoutExtension(name))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>Runs one check.</summary>
    public async Task<CheckResult> RunAsync(string check)
    {
        await using var file = Assembly.GetExecutingAssembly().GetManifestResourceStream($"checks/{check}.sql")!;
        using var reader = new StreamReader(file);
        return await QueryAsync(check, await reader.ReadToEndAsync(), parameters: null);
    }

    private const string KeptHeadSql = """
        SELECT @block_id AS block_id
             , @hash AS hash_kept
             , (SELECT pg_catalog.encode(hash, 'hex')
                  FROM ledger_block
                 WHERE block_id = @block_id) AS hash_found
         WHERE NOT EXISTS (SELECT
                             FROM ledger_block
                            WHERE block_id = @block_id
                              AND hash = pg_catalog.decode(@hash, 'hex'))
           AND NOT (@block_id = 0 AND pg_catalog.sha256('') = pg_catalog.decode(@hash, 'hex'));
        """;

    /// <summary>Whether a head that was kept outside still stands on the chain; with an intact chain, all before it is as it was then.</summary>
    public Task<CheckResult> AgainstAsync(long blockId, string hash) =>
        QueryAsync("kept_head_is_on_the_chain", KeptHeadSql, new { block_id = blockId, hash });

    private async Task<CheckResult> QueryAsync(string check, string sql, object? parameters)
    {
        var started = Stopwatch.GetTimestamp();
        var settings = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, SearchPath = schema, CommandTimeout = 0 };
        await using var connection = new NpgsqlConnection(settings.ConnectionString);
        await connection.OpenAsync();
        await connection.ExecuteAsync(SessionSql);
        var rows = 0L;
        var findings = new List<string>();
        foreach (IDictionary<string, object?> row in connection.Query(sql, parameters, buffered: false))
        {
            if (rows++ < FindingsShown)
            {
                findings.Add(string.Join(", ", row.Select(column => $"{column.Key} {column.Value ?? "null"}")));
            }
        }

        return new(check, rows, findings, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }
}
