using System.Diagnostics;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// Reads on connections of their own, as many at once as there are connections. These are abandoned if the server or the network hangs.
/// </summary>
internal sealed class AbandonableReads(string connectionString, LedgerOptions options, int connections, string name, CommittedHead? head) : IAsyncDisposable
{
    // Opening a connection may take ReadSeconds, and the statement again: only a server that hangs takes longer than both.
    private readonly TimeSpan longest = TimeSpan.FromSeconds((2 * options.ReadSeconds) + 1);
    private readonly TimeSpan patience = TimeSpan.FromSeconds(options.ReadSeconds);
    private readonly TimeSpan restOfPlace = TimeSpan.FromSeconds(Math.Min(1, options.ReadSeconds / 5.0));
    private readonly SemaphoreSlim places = new(connections);
    private readonly Lock replacing = new();
    private NpgsqlDataSource dataSource = Database.ConnectForReads(connectionString, options, connections, name, head);

    /// <summary>A read has ended well.</summary>
    public event Action? Answered;

    /// <summary>Runs <paramref name="read"/> when there is a place for it.</summary>
    /// <param name="cancellationToken">Ends the wait for a place. A read that has begun goes on.</param>
    public async Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellationToken = default)
    {
        for (var since = Stopwatch.GetTimestamp(); ;)
        {
            await places.WaitAsync(cancellationToken);
            var hasConnection = true;
            try
            {
                var found = await ReadInPlaceAsync(read);
                Answered?.Invoke();
                return found;
            }
            catch (PostgresException exception) when (
                exception.SqlState == PostgresErrorCodes.TooManyConnections && head is not null && Stopwatch.GetElapsedTime(since) + restOfPlace < patience)
            {
                // The read waits in line again, for a connection of another read. Its place stays empty for a moment, as each try costs
                // the server a process and Npgsql its idle connections. It fails before the caller's time is up, so the log has the
                // reason. A read of the standby does not wait: the primary can answer it.
                hasConnection = false;
            }
            finally
            {
                _ = LeaveAsync(hasConnection);
            }
        }
    }

    /// <summary>Closes the connections, those in use after their read, and forgets which host was the primary.</summary>
    public void StartAnew() => Database.StartAnew(dataSource);

    public ValueTask DisposeAsync() => dataSource.DisposeAsync();

    private async Task LeaveAsync(bool hasConnection)
    {
        if (!hasConnection)
        {
            await Task.Delay(restOfPlace);
        }

        places.Release();
    }

    private async Task<T> ReadInPlaceAsync<T>(Func<NpgsqlConnection, Task<T>> read)
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
                    dataSource = Database.ConnectForReads(connectionString, options, connections, name, head);
                }
            }

            used.Clear();
            _ = reading.ContinueWith(_ => used.Dispose(), TaskScheduler.Default);
            throw;
        }
    }
}
