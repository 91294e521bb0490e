using Npgsql;

namespace Banking.Data;

/// <summary>Reads on connections of their own, which are abandoned if the server or the network hangs.</summary>
internal sealed class AbandonableReads(string connectionString, LedgerOptions options, int connections, string name, bool ofStandby) : IAsyncDisposable
{
    // Opening a connection may take ReadSeconds, and the statement again: only a server that hangs takes longer than both.
    private readonly TimeSpan longest = TimeSpan.FromSeconds((2 * options.ReadSeconds) + 1);
    private readonly Lock replacing = new();
    private NpgsqlDataSource dataSource = Database.ConnectForReads(connectionString, options, connections, name, ofStandby);

    public async Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read)
    {
        try
        {
            return await ReadOnceAsync(read);
        }
        catch (PostgresException exception) when (Database.IsStalePlan(exception))
        {
            return await ReadOnceAsync(read);
        }
    }

    public ValueTask DisposeAsync() => dataSource.DisposeAsync();

    private async Task<T> ReadOnceAsync<T>(Func<NpgsqlConnection, Task<T>> read)
    {
        var used = dataSource;
        var reading = used.UseAsync(read);
        try
        {
            return await reading.WaitAsync(longest);
        }
        catch (TimeoutException) when (!reading.IsCompleted)
        {
            // To cancel a command, Npgsql would block a thread of the pool on the same server. So these connections are abandoned, and
            // the next read opens a new one.
            lock (replacing)
            {
                if (dataSource == used)
                {
                    dataSource = Database.ConnectForReads(connectionString, options, connections, name, ofStandby);
                }
            }

            used.Clear();
            _ = reading.ContinueWith(_ => used.Dispose(), TaskScheduler.Default);
            throw;
        }
    }
}
