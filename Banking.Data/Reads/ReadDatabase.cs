using Npgsql;

namespace Banking.Data;

/// <summary>More reads wait than the service takes.</summary>
public sealed class OverloadedException() : Exception("Too many reads are waiting. Retry later.");

/// <summary>
/// The reads' own way to the database: connections that they take from nobody else, and a gate that lets in as many reads at
/// once as there are connections. A caller may leave at any moment; its read ends by itself and keeps its place until then.
/// </summary>
public sealed class ReadDatabase(string connectionString, LedgerOptions options) : IAsyncDisposable
{
    private const int LookupLoops = 3; // of accounts, transactions and holds

    // Longer than the server lets a statement run, after a connection that took as long to open.
    private readonly TimeSpan longest = TimeSpan.FromSeconds((2 * options.ReadSeconds) + 1);
    private readonly SemaphoreSlim places = new(options.ReadConnections - LookupLoops);
    private readonly Lock replacing = new();
    private NpgsqlDataSource dataSource = Database.ConnectForReads(connectionString, options);
    private int asked;

    /// <summary>What <paramref name="read"/> gives, when it is its turn.</summary>
    /// <exception cref="OverloadedException">Too many wait for theirs.</exception>
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

    /// <summary>Without waiting for a turn: for the look-up loops, which run one read at a time and have a connection each.</summary>
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
            // The server or the way to it hangs. To cancel a command, Npgsql would wait on a thread of the pool for the same server,
            // so these connections are left as they are, and the next read opens one.
            lock (replacing)
            {
                if (dataSource == used)
                {
                    dataSource = Database.ConnectForReads(connectionString, options);
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
