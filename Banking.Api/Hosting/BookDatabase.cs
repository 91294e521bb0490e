using System.Diagnostics;
using Banking.Data;
using Npgsql;

namespace Banking.Api;

/// <summary>The database of this process's book: the one that the settings name or, in Development without one, a PostgreSQL of its own.</summary>
internal sealed partial class BookDatabase(
    IConfiguration configuration, IHostEnvironment environment, LedgerOptions ledgerOptions, ServiceOptions options, ILogger<BookDatabase> logger) : IAsyncDisposable
{
    private static readonly TimeSpan TrialEvery = TimeSpan.FromSeconds(1);
    private const int TrialsPerWarning = 5;

    private PrivateCluster? cluster;

    public string ConnectionString { get; private set; } = "";

    public string Description { get; private set; } = "";

    /// <summary>Reads the settings, or starts the private PostgreSQL.</summary>
    public async Task FindAsync()
    {
        if (Settings.ConnectionString(configuration, "Banking") is { } configured)
        {
            var named = new NpgsqlConnectionStringBuilder(configured);
            (ConnectionString, Description) = (configured, $"schema {ledgerOptions.Schema} of {named.Database} at {named.Host}:{named.Port}");
        }
        else if (environment.IsDevelopment())
        {
            cluster = await PrivateCluster.StartAsync(options.DataFolder ?? PrivateCluster.DefaultFolder);
            (ConnectionString, Description) = (cluster.ConnectionString, $"{cluster.Folder} (an embedded PostgreSQL {cluster.Version})");
        }
        else
        {
            throw new InvalidOperationException(
                "No database: set ConnectionStrings__Banking, such as Host=db;Database=banking;Username=banking;Password=... "
                + "(only in Development is one started without it).");
        }
    }

    /// <summary>Applies the scripts that are missing, as the owner where ConnectionStrings__Migrations names one, and gives their names.</summary>
    public Task<IReadOnlyList<string>> MigrateAsync() => Migrations.ApplyAsync(
        OwnersConnectionString, ledgerOptions.Schema, TimeSpan.FromSeconds(options.StartSeconds), holder => LogWaitingForLock(holder, options.StartSeconds));

    /// <summary>The scripts that are missing.</summary>
    public Task<IReadOnlyList<Script>> PendingAsync() => Migrations.PendingAsync(OwnersConnectionString, ledgerOptions.Schema);

    /// <summary>Does the work, once a database that can't be reached or isn't up yet answers. What waiting doesn't mend fails at once.</summary>
    public async Task WhenItAnswersAsync(Func<Task> work)
    {
        var since = Stopwatch.GetTimestamp();
        for (var trial = 0; ; trial++)
        {
            try
            {
                await work();
                return;
            }
            catch (Exception exception) when (Database.IsTransient(exception))
            {
                var reason = exception.InnerException is { } inner ? $"{exception.Message}: {inner.Message}" : exception.Message;
                if (Stopwatch.GetElapsedTime(since).TotalSeconds >= options.StartSeconds)
                {
                    throw new InvalidOperationException($"The database did not answer within {options.StartSeconds} s. {reason}.", exception);
                }

                if (trial % TrialsPerWarning == 0)
                {
                    LogWaiting(reason, options.StartSeconds);
                }

                await Task.Delay(TrialEvery);
            }
        }
    }

    private string OwnersConnectionString => Settings.ConnectionString(configuration, "Migrations") ?? ConnectionString;

    [LoggerMessage(LogLevel.Warning, "The database does not answer yet: {Reason}. It is tried again every second, for {Seconds} s in all.")]
    private partial void LogWaiting(string reason, int seconds);

    [LoggerMessage(LogLevel.Warning, "Scripts are pending, and another session has the migration lock: {Holder}. Waiting for it, for {Seconds} s in all.")]
    private partial void LogWaitingForLock(string holder, int seconds);

    public ValueTask DisposeAsync() => cluster?.DisposeAsync() ?? ValueTask.CompletedTask;
}
