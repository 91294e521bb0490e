using Dapper;
using Npgsql;

namespace Banking.Tests;

/// <summary>A book as its DBA sees it.</summary>
internal sealed class BookInspector(string connectionString, string schema) : IAsyncDisposable
{
    public const string HeadSql = "SELECT FROM ledger_head FOR UPDATE;";

    private readonly NpgsqlDataSource sql = NpgsqlDataSource.Create(
        new NpgsqlConnectionStringBuilder(connectionString) { SearchPath = schema, MaxPoolSize = 5 });

    static BookInspector() => DefaultTypeMap.MatchNamesWithUnderscores = true;

    /// <summary>One posting of the log, by its key.</summary>
    public sealed record Posting(
        string IdempotencyKey, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount, decimal FromBalanceAfter, decimal ToBalanceAfter);

    /// <summary>One account that was opened, by its key.</summary>
    public sealed record Opened(string IdempotencyKey, long AccountId);

    /// <summary>Locks the rows of a query until the answer is disposed.</summary>
    public async Task<Held> HoldAsync(string query, object? parameters = null)
    {
        var session = await sql.OpenConnectionAsync();
        var transaction = await session.BeginTransactionAsync();
        await session.ExecuteAsync(query, parameters, transaction);
        return new(session, transaction);
    }

    public async Task<T?> ScalarAsync<T>(string query, object? parameters = null)
    {
        await using var connection = await sql.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<T>(query, parameters);
    }

    public Task<List<Posting>> PostingsAsync() => RowsAsync<Posting>("""
        SELECT idempotency_key, transaction_id, type, from_account_id, to_account_id, amount, from_balance_after, to_balance_after
          FROM transaction_log
         ORDER BY transaction_id;
        """);

    public Task<List<Opened>> OpenedAsync() => RowsAsync<Opened>("""
        SELECT idempotency_key, account_id
          FROM account
         WHERE kind = 'customer';
        """);

    public Task<List<string>> FailedChecksAsync() => Repository.FailedChecksAsync(sql);

    public ValueTask DisposeAsync() => sql.DisposeAsync();

    private async Task<List<T>> RowsAsync<T>(string query)
    {
        await using var connection = await sql.OpenConnectionAsync();
        return (await connection.QueryAsync<T>(query)).AsList();
    }

    /// <summary>Rows that a session of the test's own keeps locked.</summary>
    public sealed class Held(NpgsqlConnection session, NpgsqlTransaction transaction) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await transaction.DisposeAsync();
            await session.DisposeAsync();
        }
    }
}
