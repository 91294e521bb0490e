using System.Diagnostics;
using Banking.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Banking.Api;

/// <summary>Puts the service together: settings, database, ledger.</summary>
internal static partial class Hosting
{
    public static void AddBanking(this IServiceCollection services)
    {
        services.AddOptions<BankingOptions>()
            .Configure<IConfiguration>((_, configuration) => Settings.Check(configuration)) // first, as the binder's own words name no rule
            .BindConfiguration("Banking");
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<BankingOptions>>().Value);
        services.AddSingleton<Draining>();
        services.AddHostedService(provider => provider.GetRequiredService<Draining>());
        services.AddSingleton<BookDatabase>();
        services.AddSingleton(provider => Database.Connect(
            provider.GetRequiredService<BookDatabase>().ConnectionString, provider.GetRequiredService<BankingOptions>()));
        services.AddSingleton(provider => Currencies.Load(provider.GetRequiredService<NpgsqlDataSource>()));
        services.AddSingleton<Accounts>();
        services.AddSingleton<Transactions>();
        services.AddSingleton<History>();
        services.AddSingleton<AuditHeads>();
        services.AddSingleton<Ledger>();
        services.AddSingleton<Readiness>();
    }

    /// <summary>The address where none is set by ASP.NET's own settings.</summary>
    public static void ListenByDefaultOn(this WebApplicationBuilder builder, string url)
    {
        if (string.IsNullOrEmpty(builder.Configuration["urls"] ?? builder.Configuration["http_ports"] ?? builder.Configuration["https_ports"]))
        {
            builder.WebHost.UseUrls(url);
        }
    }

    /// <summary>Finds or starts the database, brings its schema up to date and serves until told to stop. The exit code is 1 where it can't, with the reason in the log.</summary>
    public static async Task<int> ServeAsync(this WebApplication app)
    {
        await using (app)
        {
            try
            {
                app.CheckIdentity();
                app.LimitConnections();
                app.LimitShutdown();
                var database = app.Services.GetRequiredService<BookDatabase>();
                await database.FindAsync();
                await database.WhenItAnswersAsync(async () =>
                {
                    foreach (var script in await database.MigrateAsync())
                    {
                        LogApplied(app.Logger, script, database.Description);
                    }

                    Settings.Check(app.Services.GetRequiredService<BankingOptions>(), app.Services.GetRequiredService<Currencies>());
                    _ = app.Services.GetRequiredService<Ledger>();
                });
                app.Lifetime.ApplicationStarted.Register(() =>
                    LogReady(app.Logger, database.Description, app.Urls.FirstOrDefault()?.Replace("[::]", "localhost", StringComparison.Ordinal)));
                await app.RunAsync();
                return 0;
            }
            catch (Exception exception) when (IsForTheOperator(exception))
            {
                LogCannotStart(app.Logger, exception.Message);
                return 1;
            }
        }
    }

    /// <summary>Whatever hangs, draining is followed by five seconds at most: four for those who still wait, one for the ledger.</summary>
    private static void LimitShutdown(this WebApplication app) =>
        app.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout =
            TimeSpan.FromSeconds(app.Services.GetRequiredService<BankingOptions>().DrainSeconds + 4);

    /// <summary>A reason not to start that its message alone explains: a setting, the database, the machine.</summary>
    public static bool IsForTheOperator(Exception exception) =>
        exception is InvalidOperationException or OptionsValidationException or PostgresException || Database.IsTransient(exception);

    [LoggerMessage(LogLevel.Critical, "Can't start: {Reason}")]
    private static partial void LogCannotStart(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "Applied {Script} to {Database}.")]
    private static partial void LogApplied(ILogger logger, string script, string database);

    [LoggerMessage(LogLevel.Information, "Ready. The data is in {Database}; the docs page is at {Url}/scalar")]
    private static partial void LogReady(ILogger logger, string database, string? url);
}

/// <summary>The database of this process's book: the one that the settings name or, in Development without one, a PostgreSQL of its own.</summary>
internal sealed partial class BookDatabase(
    IConfiguration configuration, IHostEnvironment environment, BankingOptions options, ILogger<BookDatabase> logger) : IAsyncDisposable
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
            (ConnectionString, Description) = (configured, $"schema {options.Schema} of {named.Database} at {named.Host}:{named.Port}");
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
    public Task<IReadOnlyList<string>> MigrateAsync() => Migrations.ApplyAsync(OwnersConnectionString, options.Schema);

    /// <summary>The scripts that are missing.</summary>
    public Task<IReadOnlyList<Script>> PendingAsync() => Migrations.PendingAsync(OwnersConnectionString, options.Schema);

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

    public ValueTask DisposeAsync() => cluster?.DisposeAsync() ?? ValueTask.CompletedTask;
}
