using System.Diagnostics;
using System.Reflection;
using Dapper;

namespace Banking.Data;

/// <summary>What a check found: the number of rows (0 if the book is right), the first of them as text, and how long it took.</summary>
public sealed record CheckResult(string Check, long Rows, IReadOnlyList<string> Findings, double Seconds)
{
    public bool Passed => Rows == 0;
}

/// <summary>Runs the queries of <c>sql/checks</c>, the same files that a DBA runs, and checks a kept head. Several may run at once.</summary>
public sealed class Verification(string connectionString, LedgerOptions options)
{
    /// <summary>How many runs fit into the memory at once.</summary>
    public const int AtOnce = 2;

    private const int FindingsShown = 5;
    private const int WorkersEach = 1; // beside the leader
    private const int SortsEach = 3; // and hashes that one process of a check may hold in memory at once

    // The checks read whole tables, so they use PostgreSQL's default planner and get memory to sort in. They cannot write. A name means
    // PostgreSQL's own object first, then the book's; a temporary table cannot take its place.
    private const string SessionSql = """
        SELECT set_config('default_transaction_read_only', 'on', false)
             , set_config('search_path', format('pg_catalog, %I, pg_temp', @schema), false)
             , set_config('max_parallel_workers_per_gather', @workers::text, false)
             , set_config('hash_mem_multiplier', '1', false)
             , set_config('work_mem', @work_mem || 'kB', false);
        """;

    private object Session => new
    {
        schema = options.Schema,
        workers = WorkersEach,
        work_mem = options.VerifyMemory * 1024 / (AtOnce * (1 + WorkersEach) * SortsEach),
    };

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

    /// <summary>Whether a kept head is still on the chain. If the chain is intact too, everything up to that head is unchanged.</summary>
    public Task<CheckResult> AgainstAsync(long blockId, string hash) =>
        QueryAsync("kept_head_is_on_the_chain", KeptHeadSql, new { block_id = blockId, hash });

    private async Task<CheckResult> QueryAsync(string check, string sql, object? parameters)
    {
        var started = Stopwatch.GetTimestamp();
        var settings = Database.SettingsFor(connectionString, "verify");
        (settings.Pooling, settings.CommandTimeout) = (false, 0);
        await using var database = Database.Build(settings, "verify", SessionSql, Session);
        await using var connection = await database.OpenConnectionAsync();
        var rows = 0L;
        var findings = new List<string>();
        foreach (var row in connection.Query(sql, parameters, buffered: false).Cast<IDictionary<string, object?>>())
        {
            if (rows++ < FindingsShown)
            {
                findings.Add(string.Join(", ", row.Select(column => $"{column.Key} {column.Value ?? "null"}")));
            }
        }

        return new(check, rows, findings, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }
}
