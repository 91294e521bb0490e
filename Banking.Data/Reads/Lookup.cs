using System.Diagnostics;
using System.Threading.Channels;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// Finds rows by their ids. Those asked for while a look-up is at the database go together in the next one, where each costs a
/// fraction of a look-up of its own. A row is read after it was asked for, never before: whoever has a posting's answer sees it.
/// </summary>
internal sealed class Lookup<TRow>
    where TRow : class
{
    private const int MostAtATime = 1_000;

    private readonly NpgsqlDataSource dataSource;
    private readonly LedgerOptions options;
    private readonly string sql;
    private readonly Func<TRow, long> idOf;
    private readonly Channel<Asked> queue = Channel.CreateUnbounded<Asked>(new() { SingleReader = true });

    /// <param name="sql">Reads the rows with the ids in <c>@ids</c>.</param>
    public Lookup(NpgsqlDataSource dataSource, LedgerOptions options, string sql, Func<TRow, long> idOf)
    {
        (this.dataSource, this.options, this.sql, this.idOf) = (dataSource, options, sql, idOf);
        using (ExecutionContext.SuppressFlow()) // it works for all, not for the request that happened to make it
        {
            _ = Task.Run(AnswerAsync);
        }
    }

    /// <summary>The row, or null where there is none with that id.</summary>
    public Task<TRow?> FindAsync(long id, CancellationToken cancellationToken)
    {
        var asked = new Asked(id);
        queue.Writer.TryWrite(asked);
        return asked.Answer.Task.WaitAsync(cancellationToken);
    }

    private async Task AnswerAsync()
    {
        while (await queue.Reader.WaitToReadAsync())
        {
            var together = new List<Asked>();
            while (together.Count < MostAtATime && queue.Reader.TryRead(out var asked))
            {
                together.Add(asked);
            }

            using var span = Telemetry.StartShared("look-up", together.Select(asked => asked.Span));
            try
            {
                var rows = await ReadAsync([.. together.Select(asked => asked.Id).Distinct()]);
                together.ForEach(asked => asked.Answer.SetResult(rows.GetValueOrDefault(asked.Id)));
            }
            catch (Exception exception) // whatever it is, it is the answer of each of them
            {
                span?.SetStatus(ActivityStatusCode.Error);
                together.ForEach(asked => asked.Answer.SetException(exception));
            }
        }
    }

    private async Task<Dictionary<long, TRow>> ReadAsync(long[] ids)
    {
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(options.ReadSeconds));
        try
        {
            var rows = await dataSource.ReadAsync(
                (connection, cancellation) => connection.QueryAsync<TRow>(
                    new CommandDefinition(sql, new { ids }, commandTimeout: 0, cancellationToken: cancellation)),
                late.Token);
            return rows.ToDictionary(idOf);
        }
        catch (OperationCanceledException exception)
        {
            throw new TimeoutException("The database did not answer a look-up in time.", exception);
        }
    }

    private sealed record Asked(long Id)
    {
        /// <summary>The span of the HTTP request.</summary>
        public Activity? Span { get; } = Activity.Current;

        public TaskCompletionSource<TRow?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
