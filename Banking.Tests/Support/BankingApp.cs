using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Dapper;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Tests;

/// <summary>What the service answered: status, headers and JSON body.</summary>
public sealed record Reply(HttpStatusCode Status, HttpResponseHeaders Headers, string? ContentType, string Text)
{
    public JsonElement Body => JsonDocument.Parse(Text).RootElement;

    /// <summary>The stable code of a problem document.</summary>
    public string? Code => Body.TryGetProperty("code", out var code) ? code.GetString() : null;

    public bool Replayed => Headers.TryGetValues("Idempotency-Replayed", out var values) && values.Single() == "true";

    public string? this[string member] => Body.GetProperty(member).ToString();

    public long Id(string member) => Body.GetProperty(member).GetInt64();
}

/// <summary>
/// One running instance of the service, on a real port, with the verbs of its clients. It serves one book; several instances
/// may serve the same.
/// </summary>
public sealed class BankingApp : WebApplicationFactory<Program>
{
    private readonly string connectionString;
    private readonly IReadOnlyDictionary<string, string> settings;
    private readonly NpgsqlDataSource sql;

    public BankingApp(TestDatabase database, string? book = null, params (string Name, string Value)[] settings)
    {
        Book = book ?? $"book_{Guid.NewGuid():N}";
        connectionString = database.ConnectionString;
        this.settings = settings.ToDictionary(setting => setting.Name, setting => setting.Value);
        sql = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString) { SearchPath = Book, MaxPoolSize = 5 });
        UseKestrel(0);
        Http = CreateClient();
    }

    public string Book { get; }

    public HttpClient Http { get; }

    /// <summary>What the service logged at Warning and above.</summary>
    public ConcurrentQueue<string> Complaints { get; } = [];

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("ConnectionStrings:Banking", connectionString);
        builder.UseSetting("Banking:Schema", Book);
        foreach (var (name, value) in settings)
        {
            builder.UseSetting(name, value);
        }

        builder.ConfigureLogging(logging => logging.ClearProviders().AddProvider(new Listener(Complaints)));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await sql.DisposeAsync();
    }

    public async Task<Reply> SendAsync(HttpRequestMessage request)
    {
        using (request)
        {
            using var response = await Http.SendAsync(request);
            return new(response.StatusCode, response.Headers, response.Content.Headers.ContentType?.MediaType, await response.Content.ReadAsStringAsync());
        }
    }

    public Task<Reply> GetAsync(string pathAndQuery) =>
        SendAsync(new(HttpMethod.Get, new Uri(pathAndQuery, UriKind.Relative)));

    /// <summary>Sends a body as it is: JSON text, or an object to be written as JSON.</summary>
    public Task<Reply> PostAsync(string path, object body, string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative))
        {
            Content = new StringContent(body as string ?? JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"),
        };
        if (key is not null)
        {
            request.Headers.Add("Idempotency-Key", key);
        }

        return SendAsync(request);
    }

    /// <summary>Opens an account with money in it, and gives its id.</summary>
    public async Task<long> OpenAsync(string initialDeposit = "0", string currency = "USD", string overdraftLimit = "0")
    {
        var reply = await PostAsync("/api/create_account", new { owner_name = "Someone", currency, initial_deposit = initialDeposit, overdraft_limit = overdraftLimit });
        return reply.Status == HttpStatusCode.Created ? reply.Id("account_id") : throw new InvalidOperationException(reply.Text);
    }

    public Task<Reply> DepositAsync(long accountId, string amount, string? key = null) =>
        PostAsync("/api/deposit", new { account_id = accountId, amount }, key);

    public Task<Reply> WithdrawAsync(long accountId, string amount, string? key = null) =>
        PostAsync("/api/withdraw", new { account_id = accountId, amount }, key);

    public Task<Reply> TransferAsync(long from, long to, string amount, string? key = null) =>
        PostAsync("/api/transaction", new { from_account_id = from, to_account_id = to, amount }, key);

    public async Task<string?> BalanceAsync(long accountId) => (await GetAsync($"/api/get_one_account?account_id={accountId}"))["balance"];

    /// <summary>All of an account's entries, newest first, read page by page.</summary>
    public async Task<List<JsonElement>> HistoryAsync(long accountId, int limit = 500)
    {
        var entries = new List<JsonElement>();
        for (string? cursor = ""; cursor is not null;)
        {
            var page = await GetAsync($"/api/transaction_history?account_id={accountId}&limit={limit}{cursor}");
            entries.AddRange(page.Body.GetProperty("transactions").EnumerateArray());
            cursor = page.Body.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
        }

        return entries;
    }

    public async Task<T?> ScalarAsync<T>(string query, object? parameters = null)
    {
        await using var connection = await sql.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<T>(query, parameters);
    }

    public async Task ExecuteAsync(string statement, object? parameters = null)
    {
        await using var connection = await sql.OpenConnectionAsync();
        await connection.ExecuteAsync(statement, parameters);
    }

    /// <summary>A session of the test's own on the book, for what has to stay open.</summary>
    public Task<NpgsqlConnection> SessionAsync() => sql.OpenConnectionAsync().AsTask();

    public Task<List<string>> FailedChecksAsync() => Repository.FailedChecksAsync(sql);

    private sealed class Listener(ConcurrentQueue<string> complaints) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                complaints.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");
            }
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>The book that tests share where each looks only at accounts of its own.</summary>
public sealed class SharedBank(TestDatabase database) : IAsyncDisposable
{
    public BankingApp App { get; } = new(database, "shared_book");

    public ValueTask DisposeAsync() => App.DisposeAsync();
}

/// <summary>Where the repository's own files are.</summary>
internal static class Repository
{
    public static string Folder { get; } = Find();

    /// <summary>Runs the queries of sql/checks on a book: what they found.</summary>
    public static async Task<List<string>> FailedChecksAsync(NpgsqlDataSource sql)
    {
        var failed = new List<string>();
        await using var connection = await sql.OpenConnectionAsync();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Folder, "sql", "checks"), "*.sql").Order())
        {
            var rows = await connection.QueryAsync(await File.ReadAllTextAsync(file));
            failed.AddRange(rows.Select(row => $"{Path.GetFileName(file)}: {row}"));
        }

        return failed;
    }

    private static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "CoreBanking.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("The tests run inside the repository.");
        }

        return folder;
    }
}
