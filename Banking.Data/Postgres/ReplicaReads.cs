using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// Reads that may be some seconds old: history, lists and statements. They run on the standby if there is one and it may be used,
/// else on the primary. If the standby fails, the primary answers.
/// </summary>
public sealed class ReplicaReads(ReadDatabase primary, Standby? standby) : IAsyncDisposable
{
    private const string HasSql = """
        SELECT last_transaction_id >= @transactionId AND last_account_event_id >= @accountEventId
          FROM ledger_head
         WHERE only_row;
        """;

    /// <summary>
    /// Runs <paramref name="read"/>, perhaps twice, and the first run may go on during the second: it must do nothing but read and
    /// return what it has read. If it finds nothing (null) on the standby, it runs on the primary.
    /// </summary>
    /// <param name="transactionId">
    /// A standby without this transaction is not asked. A page that continues another needs it: the page before may come from the
    /// primary, and rows that the standby lacks would be left out between the two.
    /// </param>
    /// <param name="accountEventId">The same for the log of accounts.</param>
    /// <exception cref="OverloadedException">Too many reads wait.</exception>
    public async Task<T> ReadAsync<T>(
        Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellationToken, long transactionId = 0, long accountEventId = 0)
    {
        if (standby?.Use is { } use)
        {
            try
            {
                using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, use.Token);
                var (has, found) = await standby.Reads.ReadAsync(ReadThereAsync, leaving.Token);
                if (has && found is not null)
                {
                    return found;
                }
            }
            catch (Exception exception) when (exception is not OverloadedException && !cancellationToken.IsCancellationRequested)
            {
                // Whatever it is, the primary has the last word. But what is too much for the standby stays away from the primary, which
                // needs its strength for postings.
                Telemetry.ReplicaFailures.Add(1);
                if (exception is not PostgresException && Database.IsTransient(exception))
                {
                    standby.Leave(use);
                }
            }
        }

        return await primary.ReadAsync(read, cancellationToken);

        async Task<(bool Has, T? Found)> ReadThereAsync(NpgsqlConnection connection) =>
            (transactionId == 0 && accountEventId == 0) || await connection.ExecuteScalarAsync<bool>(HasSql, new { transactionId, accountEventId })
                ? (true, await read(connection))
                : (false, default);
    }

    /// <summary>Judges the standby until it is stopped. Returns at once if there is none.</summary>
    public Task RunAsync(CancellationToken stop) => standby?.RunAsync(stop) ?? Task.CompletedTask;

    public ValueTask DisposeAsync() => standby?.DisposeAsync() ?? ValueTask.CompletedTask;
}
