using Npgsql;

namespace Banking.Data;

/// <summary>Too many reads are waiting.</summary>
public sealed class OverloadedException() : Exception("Too many reads are waiting. Nothing was read. Retry later.");

/// <summary>
/// The reads' own connections. A caller may leave at any time; its read keeps its place until it ends by itself.
/// </summary>
public sealed class ReadDatabase(string connectionString, LedgerOptions options, bool ofStandby = false) : IAsyncDisposable
{
    private const int MostLoops = 4; // the look-ups of accounts, transactions and holds, and the feed of events

    private readonly AbandonableReads inTurn = new(
        connectionString, options, options.ReadConnections - MostLoops, ofStandby ? "replica reads" : "reads", ofStandby);
    private readonly List<AbandonableReads> ofLoops = [];
    private int asked;

    /// <summary>A read has ended well.</summary>
    public event Action? Answered;

    /// <summary>All connections, by their pools.</summary>
    internal IEnumerable<AbandonableReads> Pools => [inTurn, .. ofLoops];

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

                var found = await inTurn.ReadAsync(read, cancellationToken);
                Answered?.Invoke();
                return found;
            }
            finally
            {
                Interlocked.Decrement(ref asked);
            }
        }
    }

    /// <summary>
    /// A connection for a loop that runs one read at a time. It never waits for a turn. In the pool of all reads, each of its reads would
    /// run on the session that has rested longest, whose caches are the coldest.
    /// </summary>
    internal AbandonableReads ForLoop(string name)
    {
        var reads = new AbandonableReads(connectionString, options, connections: 1, name, ofStandby);
        ofLoops.Add(reads);
        return reads;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var pool in Pools)
        {
            await pool.DisposeAsync();
        }
    }
}
