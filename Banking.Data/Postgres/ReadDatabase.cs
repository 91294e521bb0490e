using Npgsql;

namespace Banking.Data;

/// <summary>Too many reads are waiting.</summary>
public sealed class OverloadedException() : Exception("Too many reads are waiting. Nothing was read. Retry later.");

/// <summary>
/// The reads' own connections. A caller may leave at any time; its read keeps its place until it ends by itself.
/// </summary>
public sealed class ReadDatabase : IAsyncDisposable
{
    private const int MostLoops = 4; // the look-ups of accounts, transactions and holds, and the feed of events

    private readonly string connectionString;
    private readonly LedgerOptions options;
    private readonly CommittedHead? head;
    private readonly List<AbandonableReads> pools = [];
    private readonly AbandonableReads inTurn;
    private int asked;

    /// <param name="head">What the primary must have; null for a standby.</param>
    public ReadDatabase(string connectionString, LedgerOptions options, CommittedHead? head)
    {
        (this.connectionString, this.options, this.head) = (connectionString, options, head);
        inTurn = Pool(options.ReadConnections - MostLoops, head is null ? "replica reads" : "reads");
    }

    /// <summary>A read has ended well.</summary>
    public event Action? Answered;

    /// <summary>All connections, by their pools.</summary>
    internal IEnumerable<AbandonableReads> Pools => pools;

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

                return await inTurn.ReadAsync(read, cancellationToken);
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
    internal AbandonableReads ForLoop(string name) => Pool(connections: 1, name);

    private AbandonableReads Pool(int connections, string name)
    {
        var reads = new AbandonableReads(connectionString, options, connections, name, head);
        reads.Answered += () => Answered?.Invoke();
        head?.SessionReplaced += reads.StartAnew;
        pools.Add(reads);
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
