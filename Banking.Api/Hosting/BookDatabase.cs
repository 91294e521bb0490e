using System.Diagnostics;
using Banking.Data;
using Npgsql;

namespace Banking.Api;

/// <summary>The database of this process's book: the one in the settings. In Development without one, a private PostgreSQL.</summary>
internal sealed partial class BookDatabase(
    IConfiguration configuration, IHostEnvironment environment, LedgerOptions ledgerOptions, ServiceOptions options, ILogger<BookDatabase> logger) : IAsyncDisposable
{
    private static readonly TimeSpan TrialEvery = TimeSpan.FromSeconds(1);
    private const int TrialsPerWarning = 5;

    private PrivateCluster? cluster;

    public string ConnectionString { get; private set; } = "";

    public string Description { get; private set; } = "";

    /// <summary>Of the standby that serves some of the reads; null if there is none.</summary>
    public string? ReplicaConnectionString { get; private set; }

    /// <summary>Reads the settings, or starts the private PostgreSQL.</summary>
    public async Task FindAsync()
    {
        ReplicaConnectionString = Settings.ConnectionString(configuration, "Replica");
        if (Settings.ConnectionString(configuration, "Banking") is { } configured)
        {
            var named = new NpgsqlConnectionStringBuilder(configured);
            (ConnectionString, Description) = (configured, $"schema {ledgerOptions.Schema} of {named.Database} at {named.Host}:{named.Port}");
        }
        else if (environment.IsDevelopment())
        {
            cluster = await PrivateCluster.StartAsync(options.DataFolder ?? PrivateCluster.DefaultFolder);
            (ConnectionString, Description) = (cluster.ConnectionString, $"{cluster.Folder} (a private PostgreSQL {cluster.Version})");
        }
        else
        {
            throw new InvalidOperationException(
                "No database is configured. Set ConnectionStrings__Banking, such as Host=db;Database=banking;Username=banking;Password=... "
                + "Only in Development (ASPNETCORE_ENVIRONMENT) does the service start a PostgreSQL of its own.");
        }
    }

    /// <summary>Applies the missing scripts, as the role in ConnectionStrings__Migrations if it is set.</summary>
    /// <param name="mayCreate">Whether it makes a new book where there is none.</param>
    public Task<AppliedScripts> MigrateAsync(bool mayCreate) => Migrations.ApplyAsync(
        OwnersConnectionString, ledgerOptions.Schema, mayCreate, TimeSpan.FromSeconds(options.StartSeconds), holder => LogWaitingForLock(holder, options.StartSeconds));

    /// <summary>Gives the role that the service runs as its rights.</summary>
    public Task GrantAsync(string role) => Migrations.GrantAsync(OwnersConnectionString, ledgerOptions.Schema, role);

    /// <summary>The books of the database.</summary>
    public IAsyncEnumerable<BookEntry> ListAsync() => Books.ListAsync(OwnersConnectionString);

    /// <summary>The missing scripts.</summary>
    public Task<IReadOnlyList<Script>> PendingAsync() => Migrations.PendingAsync(OwnersConnectionString, ledgerOptions.Schema);

    /// <summary>Does the work as soon as the database answers. A fault that waiting cannot fix, such as a wrong password, is thrown at once.</summary>
    public async Task WhenItAnswersAsync(Func<Task> work, CancellationToken stop)
    {
        var since = Stopwatch.GetTimestamp();
        for (var trial = 0; ; trial++)
        {
            try
            {
                await work().WaitAsync(stop); // Npgsql may take many seconds to give up
                return;
            }
            catch (Exception exception) when (Database.MayComeUp(exception))
            {
                var reason = Database.ReasonOf(exception);
                if (Stopwatch.GetElapsedTime(since).TotalSeconds >= options.StartSeconds)
                {
                    throw new InvalidOperationException($"The database did not answer within {options.StartSeconds} s. {reason}. Check ConnectionStrings__Banking and that the database is up.", exception);
                }

                if (trial % TrialsPerWarning == 0)
                {
                    LogWaiting(reason, options.StartSeconds);
                }

                await Task.Delay(TrialEvery, stop);
            }
        }
    }

    private string OwnersConnectionString => Settings.ConnectionString(configuration, "Migrations") ?? ConnectionString;

    [LoggerMessage(LogLevel.Warning, "The database does not answer yet: {Reason}. The service retries every second, for {Seconds} s in total (Banking__StartSeconds).")]
    private partial void LogWaiting(string reason, int seconds);

    [LoggerMessage(LogLevel.Warning, "Scripts are pending, but another session has the migration lock: {Holder}. Waiting for it for up to {Seconds} s (Banking__StartSeconds).")]
    private partial void LogWaitingForLock(string holder, int seconds);

    public ValueTask DisposeAsync() => cluster?.DisposeAsync() ?? ValueTask.CompletedTask;
}
