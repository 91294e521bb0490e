using System.Collections.Concurrent;
using Banking.Data;
using Dapper;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Tests;

/// <summary>One running instance of the service in this process, on a real port. It serves one book; several instances may serve the same.</summary>
public sealed class BankingApp : BankingClient, IAsyncDisposable
{
    private readonly Host host;

    public BankingApp(TestDatabase database, string? schema = null, params (string Name, string Value)[] settings)
        : this(database, TimeProvider.System, schema, settings)
    {
    }

    /// <summary>With a clock of its own.</summary>
    public BankingApp(TestDatabase database, TimeProvider time, string? schema = null, params (string Name, string Value)[] settings)
        : this(database, services => services.AddSingleton(time), schema, settings)
    {
    }

    /// <summary>With something that sees each request first.</summary>
    public BankingApp(TestDatabase database, IStartupFilter first)
        : this(database, services => services.AddSingleton(first), schema: null, [])
    {
    }

    private BankingApp(TestDatabase database, Action<IServiceCollection> services, string? schema, (string Name, string Value)[] settings)
    {
        Book = new(database.ConnectionString, schema ?? $"book_{Guid.NewGuid():N}");
        host = new(
            [
                ("ConnectionStrings:Banking", database.ConnectionString),
                ("Banking:Schema", Book.Schema),
                ("Banking:DrainSeconds", "0"), // no load balancer stands before it
                .. settings,
            ],
            services,
            Complaints);
        host.UseKestrel(0);
        Http = host.CreateClient();
    }

    public BookInspector Book { get; }

    public override HttpClient Http { get; }

    public IServiceProvider Services => host.Services;

    /// <summary>What the service logged at Warning and above.</summary>
    public ConcurrentQueue<string> Complaints { get; } = [];

    /// <summary>Returns when that many requests wait for the ledger.</summary>
    public Task QueuedAsync(int requests)
    {
        var ledger = Services.GetRequiredService<Ledger>();
        return Wait.UntilAsync(() => ledger.Waiting == requests);
    }

    /// <summary>Returns when that many streams and pages wait for the next event.</summary>
    public Task FollowedAsync(int subscribers, int seconds = 30)
    {
        var feed = Services.GetRequiredService<EventFeed>();
        return Wait.UntilAsync(() => feed.Waiting == subscribers, seconds);
    }

    /// <summary>Makes every session of the service send its counters to PostgreSQL's statistics.</summary>
    public async Task ReportStatisticsAsync()
    {
        // As many at once as a pool has sessions, so that each session takes one.
        NpgsqlDataSource[] ledger = [Services.GetRequiredService<NpgsqlDataSource>(), Services.GetRequiredKeyedService<NpgsqlDataSource>(nameof(Ledger))];
        await Task.WhenAll(ledger.SelectMany(pool => Enumerable.Range(0, 3).Select(_ => pool.UseAsync(FlushAsync))));
        await Task.WhenAll(Services.GetRequiredService<ReadDatabase>().Pools.SelectMany(pool => Enumerable.Range(0, 12).Select(_ => pool.ReadAsync(FlushAsync))));

        static Task<int> FlushAsync(NpgsqlConnection session) => session.ExecuteAsync("SELECT pg_stat_force_next_flush(), pg_sleep(0.1);");
    }

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        await Book.DisposeAsync();
    }

    private sealed class Host((string Name, string Value)[] settings, Action<IServiceCollection> services, ConcurrentQueue<string> complaints) : WebApplicationFactory<Program>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder)
        {
            foreach (var (name, value) in settings)
            {
                builder.UseSetting(name, value);
            }

            builder.ConfigureServices(services);
            builder.ConfigureLogging(logging => logging.ClearProviders().AddProvider(new Listener(complaints)));
        }
    }

    private sealed class Listener(ConcurrentQueue<string> complaints) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            // Kestrel says HeartbeatSlow where the machine runs more tests at once than it has processors for.
            if (IsEnabled(logLevel) && eventId.Name != "HeartbeatSlow")
            {
                complaints.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");
            }
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>The book that tests share if each looks only at its own accounts.</summary>
public sealed class SharedBank(TestDatabase database) : IAsyncDisposable
{
    public BankingApp App { get; } = new(database, "shared_book");

    public ValueTask DisposeAsync() => App.DisposeAsync();
}
