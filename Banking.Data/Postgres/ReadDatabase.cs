using Npgsql;

namespace Banking.Data;

/// <summary>Too many reads are waiting.</summary>
public sealed class OverloadedException() : Exception("Too many reads are waiting. Nothing was read. Retry later.");

/// <summary>
/// The reads' own connections, and a gate that lets in as many reads at once as there are connections. A caller may leave at any
/// time; its read keeps its place until it ends by itself.
/// </summary>
public sealed class ReadDatabase(string connectionString, LedgerOptions options, bool ofStandby = false) : IAsyncDisposable
{
    private const int Loops = 4; // the look-ups of accounts, transactions and holds, and the feed of events

    // Opening a connection may take ReadSeconds, and the statement again: only a server that hangs takes longer than both.
    private readonly TimeSpan longest = TimeSpan.FromSeconds((2 * options.ReadSeconds) + 1);
    private readonly SemaphoreSlim places = new(options.ReadConnections - Loops);
    private readonly Lock replacing = new();
    private NpgsqlDataSource dataSource = Database.ConnectForReads(connectionString, options, ofStandby);
    private int asked;

    /// <summary>Runs <paramref name="read"/> when its turn comes.</summary>
    /// <exception cref="OverloadedException">Too many reads wait.</exception>
    public Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellationToken)
    {
        return InTurnAsync().WaitAsync(cancellationToken);

        async Task<T> InTurnAsync()
        {
            try
            {
                if (Interlocked.Increment(ref asked) > options.ReadLimit)
                {
                    throw new OverloadedException();
                }

                await places.WaitAsync(cancellationToken);
                try
                {
                    return await ReadAsync(read);
                }
                finally
                {
                    places.Release();
                }
            }
            finally
            {
                Interlocked.Decrement(ref asked);
            }
        }
    }

    /// <summary>Runs without waiting for a turn. For the loops: each runs one read at a time and has its own connection.</summary>
    internal async Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read)
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
            // The server or the network hangs. To cancel a command, Npgsql would block a thread of the pool on the same server. So
            // these connections are abandoned, and the next read opens a new one.
            lock (replacing)
            {
                if (dataSource == used)
                {
                    dataSource = Database.ConnectForReads(connectionString, options, ofStandby);
                }
            }

            used.Clear();
            _ = reading.ContinueWith(_ => used.Dispose(), TaskScheduler.Default);
            throw;
        }
    }

    public ValueTask DisposeAsync()
    {
        places.Dispose();
        return dataSource.DisposeAsync();
    }
}
