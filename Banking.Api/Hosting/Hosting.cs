using System.Security.Authentication;
using System.Security.Cryptography;
using Banking.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Banking.Api;

/// <summary>Puts the service together: settings, database, ledger.</summary>
internal static partial class Hosting
{
    public static void AddBanking(this IServiceCollection services)
    {
        services.AddOptionsOf<LedgerOptions>();
        services.AddOptionsOf<ServiceOptions>();
        services.AddSingleton<GracefulShutdown>();
        services.AddHostedService(provider => provider.GetRequiredService<GracefulShutdown>());
        services.AddSingleton<BookDatabase>();
        services.AddSingleton<CommittedHead>();
        services.AddSingleton(provider => Database.Connect(
            provider.GetRequiredService<BookDatabase>().ConnectionString, provider.GetRequiredService<LedgerOptions>(), provider.GetRequiredService<CommittedHead>()));
        services.AddKeyedSingleton(nameof(Ledger), (provider, _) => Database.ConnectForWrites(
            provider.GetRequiredService<BookDatabase>().ConnectionString, provider.GetRequiredService<LedgerOptions>(), provider.GetRequiredService<CommittedHead>()));
        services.AddSingleton(provider => new ReadDatabase(
            provider.GetRequiredService<BookDatabase>().ConnectionString, provider.GetRequiredService<LedgerOptions>(), provider.GetRequiredService<CommittedHead>()));
        services.AddSingleton(provider => new ReplicaReads(
            provider.GetRequiredService<ReadDatabase>(),
            provider.GetRequiredService<BookDatabase>().ReplicaConnectionString is { } replica ? ActivatorUtilities.CreateInstance<Standby>(provider, replica) : null));
        services.AddSingleton<Currencies>();
        services.AddSingleton<Accounts>();
        services.AddSingleton<AccountList>();
        services.AddSingleton<AccountEvents>();
        services.AddSingleton<Transactions>();
        services.AddSingleton<Holds>();
        services.AddSingleton<HoldList>();
        services.AddSingleton<HoldExpiry>();
        services.AddSingleton<Requests>();
        services.AddSingleton<History>();
        services.AddSingleton<Instants>();
        services.AddSingleton<PastBalances>();
        services.AddSingleton<Statements>();
        services.AddSingleton<AuditHeads>();
        services.AddSingleton<BookEvents>();
        services.AddSingleton<EventFeed>();
        services.AddSingleton<CloudEventWriter>();
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<Ledger>(provider, provider.GetRequiredKeyedService<NpgsqlDataSource>(nameof(Ledger))));
        services.AddSingleton<Readiness>();
        services.AddSingleton(provider => new CriticalLoop("ledger", provider.GetRequiredService<Ledger>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("look-up of accounts", provider.GetRequiredService<Accounts>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("look-up of transactions", provider.GetRequiredService<Transactions>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("look-up of holds", provider.GetRequiredService<Holds>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("expiry of holds", provider.GetRequiredService<HoldExpiry>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("check of the standby", provider.GetRequiredService<ReplicaReads>().RunAsync));
        services.AddSingleton(provider => new CriticalLoop("event feed", provider.GetRequiredService<EventFeed>().RunAsync));
        services.AddHostedService<CriticalLoops>();
    }

    private static void AddOptionsOf<T>(this IServiceCollection services)
        where T : class
    {
        services.AddOptions<T>()
            .Configure<IConfiguration>((_, configuration) => Settings.Check(configuration)) // before the binder, whose errors do not say what is allowed
            .BindConfiguration("Banking");
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<T>>().Value);
    }

    /// <summary>The address to use if ASP.NET's own settings name none.</summary>
    public static void ListenByDefaultOn(this WebApplicationBuilder builder, string url)
    {
        if (string.IsNullOrEmpty(builder.Configuration["urls"] ?? builder.Configuration["http_ports"] ?? builder.Configuration["https_ports"]))
        {
            builder.WebHost.UseUrls(url);
        }
    }

    /// <summary>Finds or starts the database, brings its schema up to date and serves until SIGTERM. If it cannot start, it logs the reason and returns exit code 1.</summary>
    public static async Task<int> ServeAsync(this WebApplication app, CancellationToken stop)
    {
        await using (app)
        {
            try
            {
                app.CheckAuthentication();
                app.LimitConnections();
                app.LimitShutdown();
                var database = app.Services.GetRequiredService<BookDatabase>();
                await database.FindAsync().WaitAsync(stop);
                await database.WhenItAnswersAsync(() => app.OpenBookAsync(database), stop);
                await app.RunAsync(stop);
                return Environment.ExitCode; // 0, unless a critical loop has failed
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                LogStopped(app.Logger);
                return 0;
            }
            catch (Exception exception) when (IsForTheOperator(exception))
            {
                LogCannotStart(app.Logger, ReasonOf(exception));
                return 1;
            }
        }
    }

    /// <summary>Brings the book's schema up to date, and checks that the service can work with the book.</summary>
    private static async Task OpenBookAsync(this WebApplication app, BookDatabase database)
    {
        // A wrong name of the schema must not open an empty book unseen.
        foreach (var script in (await database.MigrateAsync(mayCreate: app.Environment.IsDevelopment())).Names)
        {
            LogApplied(app.Logger, script, database.Description);
        }

        var options = app.Services.GetRequiredService<LedgerOptions>();
        var state = await Task.Run(() => BookState.Read(app.Services.GetRequiredService<NpgsqlDataSource>(), options.Schema));
        if (state.MissingRights.Length > 0)
        {
            throw new InvalidOperationException($"The database role lacks {state.MissingRights}. Run sql/roles/banking_service.sql as the owner.");
        }

        await Settings.CheckAsync(app.Services.GetRequiredService<ServiceOptions>(), app.Services.GetRequiredService<Currencies>());
        var head = await app.Services.GetRequiredService<AuditHeads>().GetAsync(CancellationToken.None);
        app.Lifetime.ApplicationStarted.Register(() =>
        {
            if (!app.Environment.IsDevelopment())
            {
                // Gives back what only the start needed: 2 MiB. An idle service may not collect for hours. In development, hundreds of
                // instances may start in one process, and each collection would halt them all.
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }

            LogReady(
                app.Logger, Commands.Version, state.ServerVersion, database.Description, head.BlockId, head.TransactionId,
                app.Urls.FirstOrDefault()?.Replace("[::]", "localhost", StringComparison.Ordinal));
        });
    }

    /// <summary>Shutdown takes at most five seconds after draining, even if something hangs: four for open requests, one for the ledger.</summary>
    private static void LimitShutdown(this WebApplication app) =>
        app.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout =
            TimeSpan.FromSeconds(app.Services.GetRequiredService<ServiceOptions>().DrainSeconds + 4);

    /// <summary>Whether the message alone tells an operator what is wrong (a setting, the database, the machine), without a stack trace.</summary>
    public static bool IsForTheOperator(Exception exception) =>
        exception is InvalidOperationException or OptionsValidationException or PostgresException or CryptographicException or UnauthorizedAccessException
        || Database.IsTransient(exception);

    /// <summary>What is wrong. Where the message does not say what to do about it, this does.</summary>
    public static string ReasonOf(Exception exception) => exception switch
    {
        PostgresException { SqlState: PostgresErrorCodes.UndefinedTable } =>
            $"{Database.ReasonOf(exception)}. Check Banking__Schema and the role's rights: run sql/roles/banking_service.sql as the owner.",
        _ when Pooler.RefusesParameter(exception) =>
            $"{Database.ReasonOf(exception)}. A pooler refuses what the connection string sets. Remove it there, or let the pooler pass it on.",
        NpgsqlException { InnerException: AuthenticationException certificate } =>
            $"The TLS connection to the database failed: {certificate.Message} With VerifyCA and VerifyFull the server's certificate must be signed by Root Certificate "
            + "and in date, and with VerifyFull it must also name the host of the connection string.",
        NpgsqlException => $"{Database.ReasonOf(exception)}.",
        CryptographicException => $"{exception.Message} Check the certificates that the connection string names.",
        _ => exception.Message,
    };

    [LoggerMessage(LogLevel.Critical, "Can't start: {Reason}")]
    private static partial void LogCannotStart(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "Applied the script {Script} to {Database}.")]
    private static partial void LogApplied(ILogger logger, string script, string database);

    [LoggerMessage(LogLevel.Information, "Stopped before it was ready, as asked.")]
    private static partial void LogStopped(ILogger logger);

    [LoggerMessage(LogLevel.Information, "Ready. Core Banking {Version} on PostgreSQL {ServerVersion}. Data: {Database}. Head: block {BlockId}, transaction {TransactionId}. Docs page: {Url}/scalar")]
    private static partial void LogReady(ILogger logger, string version, string serverVersion, string database, long blockId, long transactionId, string? url);
}
