using System.Diagnostics.Metrics;
using Banking.Data;
using Npgsql;

namespace Banking.Api;

/// <summary>Whether this instance takes new work, and if not, why. It answers within a second, even while the database hangs.</summary>
internal sealed partial class Readiness(
    NpgsqlDataSource dataSource, Ledger ledger, GracefulShutdown shutdown, LedgerOptions options, ILogger<Readiness> logger)
{
    private static readonly Gauge<int> Ready = Telemetry.Meter.CreateGauge<int>(
        "banking.ready", description: "The last answer of /health/ready: 1 ready, 0 not; missing until it is first asked.");

    private const string Silent = "the database does not answer";
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(400);

    private readonly Lock asking = new();
    private Task<string?> database = Task.FromResult<string?>(null);
    private string said = "";

    /// <summary>Nothing where it is ready.</summary>
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
                // One at a time, and on a thread of its own: Npgsql waits for a database that hangs on the thread that asked it.
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
            return BookState.Read(dataSource) switch
            {
                { IsStandby: true } => "the database is a standby",
                { IsReadOnly: true } => "the database's sessions are read-only (default_transaction_read_only)",
                { MayInsert: false } => "the role may only read the book (see sql/roles)",
                { MissingScripts: [var first, ..] missing } =>
                    $"the schema is older than this build: {missing.Count} scripts are missing, the first is {first}",
                _ => null,
            };
        }
        catch (Exception exception) when (Database.IsTransient(exception))
        {
            return Silent;
        }
        catch (PostgresException exception)
        {
            return $"the database refuses this service the book (SQLSTATE {exception.SqlState})";
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

    [LoggerMessage(LogLevel.Warning, "Not ready, and asks for no new work: {Reasons}.")]
    private partial void LogUnready(string reasons);

    [LoggerMessage(LogLevel.Information, "Ready again.")]
    private partial void LogReady();
}
