using Dapper;
using Npgsql;

namespace Banking.Tests;

/// <summary>A book as its DBA sees it.</summary>
public sealed class BookInspector(string connectionString, string schema) : IAsyncDisposable
{
    private readonly NpgsqlDataSource sql = NpgsqlDataSource.Create(
        new NpgsqlConnectionStringBuilder(connectionString) { SearchPath = schema, MaxPoolSize = 5 });

    static BookInspector() => DefaultTypeMap.MatchNamesWithUnderscores = true;

    /// <summary>One posting of the log, by its key.</summary>
    public sealed record Posting(
        string IdempotencyKey, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount, decimal FromBalanceAfter, decimal ToBalanceAfter);

    /// <summary>The opening of an account, by its caller and key.</summary>
    public sealed record Opened(string ClientId, string IdempotencyKey, long AccountId);

    public string Schema => schema;

    /// <summary>Locks the ledger's head until the result is disposed. Every write waits for it.</summary>
    public Task<Held> HoldHeadAsync() => HoldAsync("SELECT FROM ledger_head FOR UPDATE;");

    /// <summary>Locks the rows of a query until the result is disposed.</summary>
    public async Task<Held> HoldAsync(string query, object? parameters = null)
    {
        var session = await SessionAsync();
        var transaction = await session.BeginTransactionAsync();
        await session.ExecuteAsync(query, parameters, transaction);
        return new(this, session, transaction);
    }

    /// <summary>A session that the test keeps open.</summary>
    public Task<NpgsqlConnection> SessionAsync() => sql.OpenConnectionAsync().AsTask();

    public async Task<T?> ScalarAsync<T>(string query, object? parameters = null)
    {
        await using var connection = await sql.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<T>(query, parameters);
    }

    public async Task ExecuteAsync(string statement, object? parameters = null)
    {
        await using var connection = await sql.OpenConnectionAsync();
        await connection.ExecuteAsync(statement, parameters);
    }

    public Task<List<Posting>> PostingsAsync() => RowsAsync<Posting>("""
        SELECT idempotency_key, transaction_id, type, from_account_id, to_account_id, amount, from_balance_after, to_balance_after
          FROM transaction_log
         ORDER BY transaction_id;
        """);

    public Task<List<Opened>> OpenedAsync() => RowsAsync<Opened>("""
        SELECT client_id, idempotency_key, account_id
          FROM account_log
         WHERE type = 'opened'
         ORDER BY account_event_id;
        """);

    /// <summary>Runs the queries of sql/checks and returns what they found.</summary>
    public async Task<List<string>> FailedChecksAsync()
    {
        var failed = new List<string>();
        await using var connection = await sql.OpenConnectionAsync();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Folder, "sql", "checks"), "*.sql").Order())
        {
            var rows = await connection.QueryAsync(await File.ReadAllTextAsync(file));
            failed.AddRange(rows.Select(row => $"{Path.GetFileName(file)}: {row}"));
        }

        return failed;
    }

    public ValueTask DisposeAsync() => sql.DisposeAsync();

    public async Task<List<T>> RowsAsync<T>(string query)
    {
        await using var connection = await sql.OpenConnectionAsync();
        return (await connection.QueryAsync<T>(query)).AsList();
    }

    /// <summary>Rows that a session of the test keeps locked.</summary>
    public sealed class Held(BookInspector book, NpgsqlConnection session, NpgsqlTransaction transaction) : IAsyncDisposable
    {
        public int ProcessId => session.ProcessID;

        /// <summary>Returns the process id of another session as soon as one waits for these rows.</summary>
        public async Task<int> BlocksAsync(int except = 0)
        {
            int? waiter = null;
            await Wait.UntilAsync(async () => (waiter = await book.ScalarAsync<int?>(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND @holder = ANY (pg_blocking_pids(pid)) AND pid <> @except;",
                new { holder = session.ProcessID, except })) is not null);
            return waiter!.Value;
        }

        public async ValueTask DisposeAsync()
        {
            await transaction.DisposeAsync();
            await session.DisposeAsync();
        }
    }
}
