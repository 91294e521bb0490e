using System.Diagnostics;
using System.Threading.Channels;
using Dapper;

namespace Banking.Data;

/// <summary>
/// Finds rows by id. Ids that arrive while a look-up is at the database wait and share the next one, where each costs a fraction of
/// its own look-up. A row is always read after the caller asked, so a caller who has a posting's answer sees the posting.
/// </summary>
/// <param name="name">What it finds. Metrics, traces and the DBA's list of sessions show it.</param>
/// <param name="sql">Reads the rows with the ids in <c>@ids</c>.</param>
internal sealed class Lookup<TRow>(ReadDatabase database, LedgerOptions options, string name, string sql, Func<TRow, long> idOf)
    where TRow : class
{
    private const int MostAtATime = 1_000;

    private readonly AbandonableReads reads = database.ForLoop(name);
    private readonly LinkedList<Asked> waiting = [];
    private readonly Channel<bool> someWait =
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    /// <summary>The row, or null if there is none with this id.</summary>
    /// <exception cref="OverloadedException">Too many callers wait.</exception>
    public async Task<TRow?> FindAsync(long id, CancellationToken cancellationToken)
    {
        var asked = new LinkedListNode<Asked>(new(id));
        lock (waiting)
        {
            if (waiting.Count >= options.QueueLimit)
            {
                throw new OverloadedException();
            }

            waiting.AddLast(asked);
        }

        someWait.Writer.TryWrite(true);
        try
        {
            return await asked.Value.Answer.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (waiting)
            {
                if (asked.List is not null)
                {
                    waiting.Remove(asked);
                }
            }

            throw;
        }
    }

    /// <summary>Answers callers until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        await foreach (var _ in someWait.Reader.ReadAllAsync(stop))
        {
            while (Next() is { Count: > 0 } together)
            {
                await AnswerAsync(together);
            }
        }
    }

    private List<Asked> Next()
    {
        lock (waiting)
        {
            var next = waiting.Take(MostAtATime).ToList();
            next.ForEach(_ => waiting.RemoveFirst());
            return next;
        }
    }

    private async Task AnswerAsync(List<Asked> together)
    {
        using var span = Telemetry.StartShared("look-up", together.Select(asked => asked.Span));
        try
        {
            var ids = together.Select(asked => asked.Id).Distinct().ToArray();
            var rows = (await reads.ReadAsync(connection => connection.QueryAsync<TRow>(sql, new { ids }))).ToDictionary(idOf);
            together.ForEach(asked => asked.Answer.SetResult(rows.GetValueOrDefault(asked.Id)));
        }
        catch (Exception exception) // whatever it is, each caller gets it
        {
            span?.SetStatus(ActivityStatusCode.Error);
            together.ForEach(asked => asked.Answer.SetException(exception));
        }
    }

    private sealed record Asked(long Id)
    {
        /// <summary>The span of the HTTP request.</summary>
        public Activity? Span { get; } = Activity.Current;

        public TaskCompletionSource<TRow?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
