using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A pooler between the service and PostgreSQL, such as PgBouncer.</summary>
public static class Pooler
{
    private const string Refusal =
        "A pooler gives each transaction another session (transaction pooling), so that settings and prepared statements mix with those of other clients. "
        + "Use session pooling for this database (PgBouncer: pool_mode = session), or connect to PostgreSQL itself.";

    public const string ProcessSql = "SELECT pg_backend_pid();";

    /// <summary>
    /// Throws if a pooler gives each transaction another session. Only process ids show it. Where there is a pooler, the id that the
    /// connection got when it began is not that of the session.
    /// </summary>
    /// <param name="openAnother">Opens another connection to the same server.</param>
    /// <exception cref="NpgsqlException">A pooler does.</exception>
    public static async Task RefuseTransactionPoolingAsync(NpgsqlConnection connection, int process, Func<ValueTask<NpgsqlConnection>> openAnother)
    {
        if (process != connection.ProcessID
            && (await AnotherProcessAsync(openAnother) == process || await connection.ExecuteScalarAsync<int>(ProcessSql) != process))
        {
            throw new NpgsqlException(Refusal);
        }
    }

    /// <summary>The process that serves another connection's transaction. With transaction pooling it is the one of this connection, which is in no transaction.</summary>
    private static async Task<int?> AnotherProcessAsync(Func<ValueTask<NpgsqlConnection>> openAnother)
    {
        try
        {
            await using var another = await openAnother();
            await using var transaction = await another.BeginTransactionAsync();
            return await another.ExecuteScalarAsync<int>(ProcessSql);
        }
        catch (NpgsqlException exception) when (exception.Message != Refusal)
        {
            return null; // the pooler has no session left for it: each belongs to one connection
        }
    }

    /// <summary>Whether a pooler refuses what the connection string sets. PgBouncer has one SQLSTATE for all its errors, most of which pass.</summary>
    public static bool RefusesParameter(Exception exception) =>
        exception is PostgresException { SqlState: PostgresErrorCodes.ProtocolViolation, MessageText: var text } && text.Contains("startup parameter", StringComparison.Ordinal);
}
