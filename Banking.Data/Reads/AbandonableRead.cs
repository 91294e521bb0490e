using Npgsql;

namespace Banking.Data;

/// <summary>Reads that whoever asked for them can walk away from at once, also from a database that hangs.</summary>
internal static class AbandonableRead
{
    /// <summary>What <paramref name="read"/> gives on a connection of its own. Its command has no timeout: the token ends it.</summary>
    public static async Task<T> ReadAsync<T>(
        this NpgsqlDataSource dataSource, Func<NpgsqlConnection, CancellationToken, Task<T>> read, CancellationToken cancellationToken)
    {
        var cancel = new CancellationTokenSource();
        var reading = ReadAsync();
        try
        {
            return await reading.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Npgsql asks the server to cancel, and waits for it without a limit on the thread that says so: a thread of the pool
            // would be missing elsewhere.
            new Thread(cancel.Cancel) { IsBackground = true }.Start();
            _ = reading.ContinueWith(abandoned => abandoned.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            throw;
        }

        async Task<T> ReadAsync()
        {
            await using var connection = await dataSource.OpenConnectionAsync(cancel.Token);
            return await read(connection, cancel.Token);
        }
    }
}
