using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A pooler between the service and PostgreSQL, such as PgBouncer.</summary>
public static class Pooler
{
    private const string Refusal =
        "A pooler gives each transaction another session (transaction pooling), so that settings and prepared statements mix with those of other clients. "
        + "Use session pooling for this database (PgBouncer: pool_mode = session), or connect to PostgreSQL itself.";

    private const int Rounds = 6; // other clients may come between in one

    public const string ProcessSql = "SELECT pg_backend_pid();";

    /// <summary>
    /// Throws if a pooler gives each transaction another session. Only process ids show it. Where there is a pooler, the id that the
    /// connection got when it began is not that of its session.
    /// </summary>
    /// <param name="process">The process that the connection's session has now.</param>
    /// <param name="openAnother">Opens another connection to the same server.</param>
    /// <exception cref="NpgsqlException">A pooler does.</exception>
    public static async Task RefuseTransactionPoolingAsync(NpgsqlConnection connection, int process, Func<ValueTask<NpgsqlConnection>> openAnother)
    {
        if (process != connection.ProcessID && await IsSharedAsync(connection, process, openAnother))
        {
            throw new NpgsqlException(Refusal);
        }
    }

    /// <summary>Whether the connection gets another process when two transactions at once have given theirs back.</summary>
    private static async Task<bool> IsSharedAsync(NpgsqlConnection connection, int process, Func<ValueTask<NpgsqlConnection>> openAnother)
    {
        try
        {
            await using var another = await openAnother();
            for (var round = 0; round < Rounds; round++)
            {
                await using var own = await connection.BeginTransactionAsync();
                if (await connection.ExecuteScalarAsync<int>(ProcessSql) != process)
                {
                    return true;
                }

                await using var others = await another.BeginTransactionAsync();
                await another.ExecuteScalarAsync<int>(ProcessSql);
                // In both orders: some poolers give out first what came back last, others what came back first.
                await (round % 2 == 0 ? own : others).RollbackAsync();
                await (round % 2 == 0 ? others : own).RollbackAsync();
            }

            return await connection.ExecuteScalarAsync<int>(ProcessSql) != process;
        }
        catch (NpgsqlException exception) when (exception.Message != Refusal)
        {
            return false; // the pooler has no session left for the other: each belongs to one connection
        }
    }

    /// <summary>Whether a pooler refuses what the connection string sets. PgBouncer has one SQLSTATE for all its errors, most of which pass.</summary>
    public static bool RefusesParameter(Exception exception) =>
        exception is PostgresException { SqlState: PostgresErrorCodes.ProtocolViolation, MessageText: var text } && text.Contains("startup parameter", StringComparison.Ordinal);
}
