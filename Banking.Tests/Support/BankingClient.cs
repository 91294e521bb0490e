using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Banking.Tests;

/// <summary>What the service answered: status, headers and JSON body.</summary>
public sealed record Reply(HttpStatusCode Status, HttpResponseHeaders Headers, string? ContentType, string Text)
{
    public JsonElement Body => JsonDocument.Parse(Text).RootElement;

    /// <summary>The stable code of a problem document.</summary>
    public string? Code => Body is { ValueKind: JsonValueKind.Object } body && body.TryGetProperty("code", out var code) ? code.GetString() : null;

    public bool Replayed => Headers.TryGetValues("Idempotency-Replayed", out var values) && values.Single() == "true";

    /// <summary>The trace that the header <c>traceresponse</c> names.</summary>
    public string? TraceId => Headers.TryGetValues("traceresponse", out var values) ? values.Single().Split('-')[1] : null;

    public string? this[string member] => Body.GetProperty(member).ToString();

    public long Id(string member) => Body.GetProperty(member).GetInt64();
}

/// <summary>The calls that a client of one running service makes.</summary>
public abstract class BankingClient
{
    public abstract HttpClient Http { get; }

    public async Task<Reply> SendAsync(HttpRequestMessage request)
    {
        using (request)
        {
            using var response = await Http.SendAsync(request);
            return new(response.StatusCode, response.Headers, response.Content.Headers.ContentType?.MediaType, await response.Content.ReadAsStringAsync());
        }
    }

    public Task<Reply> GetAsync(string pathAndQuery, string? traceParent = null) =>
        SendAsync(With(new(HttpMethod.Get, new Uri(pathAndQuery, UriKind.Relative)), ("traceparent", traceParent)));

    /// <summary>Sends JSON text as it is, or an object as JSON.</summary>
    public Task<Reply> PostAsync(string path, object body, string? key = null, string? traceParent = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative))
        {
            Content = new StringContent(body as string ?? JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"),
        };
        return SendAsync(With(request, ("Idempotency-Key", key), ("traceparent", traceParent)));
    }

    /// <summary>Opens an account with money in it and returns its id.</summary>
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

    /// <summary>Changes the given members. A null changes nothing.</summary>
    public Task<Reply> ChangeAsync(long accountId, string? ownerName = null, string? overdraftLimit = null, string? reason = null, string? key = null) =>
        PostAsync("/api/change_account", new { account_id = accountId, owner_name = ownerName, overdraft_limit = overdraftLimit, reason }, key);

    public Task<Reply> FreezeAsync(long accountId, string blocks = "all", string? key = null) =>
        PostAsync("/api/freeze_account", new { account_id = accountId, blocks, reason = "because" }, key);

    public Task<Reply> UnfreezeAsync(long accountId, string? key = null) =>
        PostAsync("/api/unfreeze_account", new { account_id = accountId, reason = "because" }, key);

    public Task<Reply> CloseAsync(long accountId, string? key = null) =>
        PostAsync("/api/close_account", new { account_id = accountId, reason = "because" }, key);

    /// <summary>Reverses what is left of a transaction, or a part of it.</summary>
    public Task<Reply> ReverseAsync(long transactionId, string? amount = null, string? key = null) =>
        PostAsync("/api/reverse_transaction", Given(("transaction_id", transactionId), ("amount", amount)), key);

    /// <summary>Places a hold, and gives its id.</summary>
    public async Task<long> HoldAsync(long accountId, string amount, long? toAccountId = null, DateTime? expiresAt = null)
    {
        var reply = await PlaceHoldAsync(accountId, amount, toAccountId, expiresAt);
        return reply.Status == HttpStatusCode.Created ? reply.Id("hold_id") : throw new InvalidOperationException(reply.Text);
    }

    public Task<Reply> PlaceHoldAsync(long accountId, string amount, long? toAccountId = null, DateTime? expiresAt = null, string? key = null) => PostAsync(
        "/api/place_hold",
        Given(("account_id", accountId), ("amount", amount), ("to_account_id", toAccountId), ("expires_at", expiresAt?.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'"))),
        key);

    public Task<Reply> CaptureAsync(long holdId, string? amount = null, bool? final = null, string? key = null) =>
        PostAsync("/api/capture_hold", Given(("hold_id", holdId), ("amount", amount), ("final", final)), key);

    public Task<Reply> ReleaseAsync(long holdId, string? key = null) => PostAsync("/api/release_hold", new { hold_id = holdId }, key);

    public Task<Reply> OneHoldAsync(long holdId) => GetAsync($"/api/get_one_hold?hold_id={holdId}");

    public Task<Reply> BatchAsync(string mode, IReadOnlyList<object> postings, string? key = null, bool? dryRun = null) =>
        PostAsync("/api/batch", Given(("mode", mode), ("postings", postings), ("dry_run", dryRun)), key);

    public Task<Reply> AccountAsync(long accountId) => GetAsync($"/api/get_one_account?account_id={accountId}");

    public async Task<string?> BalanceAsync(long accountId) => (await GetAsync($"/api/get_one_account?account_id={accountId}"))["balance"];

    /// <summary>All of an account's entries, newest first, read page by page.</summary>
    public async Task<List<JsonElement>> HistoryAsync(long accountId, int limit = 500)
    {
        var entries = new List<JsonElement>();
        for (var cursor = ""; cursor is not null;)
        {
            var page = await GetAsync($"/api/transaction_history?account_id={accountId}&limit={limit}{cursor}");
            entries.AddRange(page.Body.GetProperty("transactions").EnumerateArray());
            cursor = page.Body.GetProperty("next_cursor").GetString() is { } next ? $"&cursor={next}" : null;
        }

        return entries;
    }

    /// <summary>A statement from an instant (inclusive) to another (exclusive).</summary>
    public Task<Reply> StatementAsync(long accountId, DateTime from, DateTime to, string? format = null) => GetAsync(StatementPath(accountId, from, to, format));

    public static string StatementPath(long accountId, DateTime from, DateTime to, string? format = null) => string.Create(
        CultureInfo.InvariantCulture,
        $"/api/statement?account_id={accountId}&from={from:yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'}&to={to:yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'}{(format is null ? "" : $"&format={format}")}");

    /// <summary>The head of the chain, in the form that <c>verify --against</c> takes.</summary>
    public async Task<string> HeadAsync()
    {
        var head = await GetAsync("/api/audit_head");
        return $"{head.Id("block_id")}:{head["hash"]}";
    }

    /// <summary>The members that have a value.</summary>
    private static Dictionary<string, object> Given(params (string Name, object? Value)[] members) =>
        members.Where(member => member.Value is not null).ToDictionary(member => member.Name, member => member.Value!);

    private static HttpRequestMessage With(HttpRequestMessage request, params (string Name, string? Value)[] headers)
    {
        foreach (var (name, value) in headers.Where(header => header.Value is not null))
        {
            request.Headers.Add(name, value);
        }

        return request;
    }
}
