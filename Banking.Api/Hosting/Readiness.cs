using System.Diagnostics.Metrics;
using Banking.Data;
using Npgsql;

namespace Banking.Api;

/// <summary>Whether this instance takes new work, and if not, why. Answers within a second, even while the database hangs.</summary>
internal sealed partial class Readiness(
    NpgsqlDataSource dataSource, Ledger ledger, GracefulShutdown shutdown, LedgerOptions options, ILogger<Readiness> logger)
{
    private static readonly Gauge<int> Ready = Telemetry.Meter.CreateGauge<int>(
        "banking.ready", description: "The last answer of /health/ready: 1 ready, 0 not ready. Missing until the first request to it.");

    private const string Silent = "the database does not answer";
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(400);

    private readonly Lock asking = new();
    private Task<string?> database = Task.FromResult<string?>(null);
    private string said = "";

    /// <summary>Empty if it is ready.</summary>
    public async Task<IReadOnlyList<string>> ReasonsAgainstAsync()
    {
        string?[] reasons =
        [
            shutdown.HasBegun ? "the service is shutting down" : null,
            ledger.Waiting >= options.QueueLimit ? "the queue is full" : null,
            await AskDatabaseAsync(),
        ];
        var against = reasons.OfType<string>().ToList();
        Say(string.Join("; ", against));
        return against;
    }

    private async Task<string?> AskDatabaseAsync()
    {
        Task<string?> answer;
        lock (asking)
        {
            if (database.IsCompleted)
            {
                // One at a time, on a thread of its own: while the database hangs, Npgsql blocks the calling thread.
                database = Task.Factory.StartNew(Ask, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }

            answer = database;
        }

        try
        {
            return await answer.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            return Silent;
        }
    }

    private string? Ask()
    {
        try
        {
            return BookState.Read(dataSource, options.Schema) switch
            {
                { IsStandby: true } => "the database is a standby",
                { IsReadOnly: true } => "database sessions are read-only (default_transaction_read_only)",
                { MissingRights: { Length: > 0 } rights } => $"the database role lacks {rights}; run sql/roles/banking_service.sql as the owner",
                { MissingScripts: [var first, ..] missing } =>
                    $"the schema lacks {missing.Count} of this build's scripts, first {first}; run migrate",
                _ => null,
            };
        }
        catch (Exception exception) when (Database.IsTransient(exception))
        {
            return Database.MayComeUp(exception) ? Silent : $"the database cannot be used: {Hosting.ReasonOf(exception)}";
        }
        catch (PostgresException exception)
        {
            return $"the book cannot be read (SQLSTATE {exception.SqlState})";
        }
    }

    private void Say(string against)
    {
        Ready.Record(against.Length == 0 ? 1 : 0);
        if (Interlocked.Exchange(ref said, against) == against)
        {
            return;
        }

        if (against.Length > 0)
        {
            LogUnready(against);
        }
        else
        {
            LogReady();
        }
    }

    [LoggerMessage(LogLevel.Warning, "Not ready: {Reasons}. /health/ready now answers 503. docs/operate.md, \"Health and readiness\", says what to do.")]
    private partial void LogUnready(string reasons);

    [LoggerMessage(LogLevel.Information, "Ready again: /health/ready answers 200.")]
    private partial void LogReady();
}
