using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Dapper;

namespace Banking.Tests;

/// <summary>
/// Clients of one or more instances that open and freeze accounts, pay, withdraw, reverse, hold money and send batches. They repeat each
/// request with its key until its answer is final. Afterwards all answers are compared with the book.
/// </summary>
internal sealed class RetryingClients(params ServiceProcess[] instances) : IDisposable
{
    private readonly ConcurrentQueue<(Request Request, Reply Reply)> answered = [];
    private readonly ConcurrentQueue<string> wrong = [];
    private readonly SemaphoreSlim acknowledgements = new(0);
    private readonly ConcurrentDictionary<string, int> outcomes = [];
    private readonly CancellationTokenSource enough = new();
    private Task running = Task.CompletedTask;
    private long[] accounts = [];
    private long[] transactions = [];
    private long[] holds = [];
    private int sent;
    private int interrupted;
    private int unavailable;
    private int replayed;
    private int acknowledged;
    private long longest;

    /// <summary>A request, the postings that it asks for, and the event that it leaves if it is done.</summary>
    private sealed record Request(string Call, object Body, string Key, Asked[] Postings, string? Event = null);

    /// <summary>What a posting has to be. A null is not known to the client.</summary>
    private sealed record Asked(string Type, long? From, long? To, decimal Amount, long? Reverses = null, long? HoldId = null)
    {
        public bool Fits(Row row) => row.Type == Type && row.Amount == Amount && row.FromAccountId == (From ?? row.FromAccountId)
            && row.ToAccountId == (To ?? row.ToAccountId) && row.ReversesTransactionId == Reverses && row.HoldId == HoldId;
    }

    /// <summary>A posting, as the log or an answer has it.</summary>
    private sealed record Row(
        short Part, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount, decimal FromBalanceAfter, decimal ToBalanceAfter,
        long? ReversesTransactionId, long? HoldId);

    private sealed record Event(string Type, long AccountId, long? HoldId);

    public int Acknowledged => Volatile.Read(ref acknowledged);

    public string Report => string.Create(
        CultureInfo.InvariantCulture,
        $"{sent} requests sent, {interrupted} interrupted, {unavailable} answered 503, {answered.Count} keys with a final answer, "
        + $"{acknowledged} acknowledged ({replayed} of them by a replay), longest wait for one {TimeSpan.FromMilliseconds(longest).TotalSeconds:F1} s; "
        + $"{string.Join(", ", outcomes.OrderBy(outcome => outcome.Key, StringComparer.Ordinal).Select(outcome => $"{outcome.Key} {outcome.Value}"))}");

    /// <summary>Opens the accounts that all clients use, then lets so many clients send until they are stopped.</summary>
    public async Task StartAsync(int clients = 16)
    {
        for (var i = 0; i < 10; i++)
        {
            await CarryOutAsync(Opening(200));
        }

        running = Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                await CarryOutAsync(Any());
            }
        })));
    }

    /// <summary>Returns when every request has its answer.</summary>
    public async Task StopAsync()
    {
        await enough.CancelAsync();
        await running;
    }

    /// <summary>Returns when that many more requests have been acknowledged.</summary>
    public async Task AcknowledgeAsync(int number)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        var enough = Acknowledged + number;
        while (Acknowledged < enough)
        {
            await acknowledgements.WaitAsync(deadline.Token);
        }
    }

    /// <summary>Where the book and the answers differ.</summary>
    public async Task<List<string>> ContradictionsAsync(BookInspector book)
    {
        var (rows, events) = await LogsAsync(book);
        var contradictions = wrong.ToList();
        foreach (var (request, reply) in answered)
        {
            var (made, left) = (rows[request.Key].Order(Comparer<Row>.Create((one, other) => one.Part - other.Part)).ToList(), events[request.Key].ToList());
            if (!IsDone(reply) ? made.Count + left.Count > 0 : !IsTrue(request, reply, made, left))
            {
                contradictions.Add($"{request.Key}: {request.Call} {reply.Status} {reply.Text} but in the logs: {string.Join(", ", made)} {string.Join(", ", left)}");
            }
        }

        var keys = answered.Where(answer => IsDone(answer.Reply)).Select(answer => answer.Request.Key).ToHashSet();
        contradictions.AddRange(rows.Select(row => row.Key).Concat(events.Select(row => row.Key)).Where(key => !keys.Contains(key))
            .Select(key => $"{key} was never acknowledged but is in the logs."));
        return contradictions;
    }

    /// <summary>Whether the logs have exactly what the answer says, and the answer is what was asked for.</summary>
    private static bool IsTrue(Request request, Reply reply, List<Row> made, List<Event> left)
    {
        var said = Said(request, reply);
        return request.Call switch
        {
            "create_account" => left is [{ Type: "opened" } opened] && opened.AccountId == reply.Id("account_id")
                && made is [var deposit] && deposit.TransactionId == reply.Id("transaction_id") && deposit.ToAccountId == opened.AccountId && request.Postings[0].Fits(deposit),
            "place_hold" or "release_hold" or "freeze_account" or "unfreeze_account" => made.Count == 0 && left is [var change] && change == new Event(request.Event!, reply.Id("account_id"), HoldOf(reply)),
            // A capture that is final releases what it leaves.
            _ => (left.Count == 0 || (left is [{ Type: "hold_released" } release] && request.Event == release.Type && release.HoldId == request.Postings[0].HoldId))
                && made.SequenceEqual(said) && said.TrueForAll(row => request.Postings[Math.Max(0, row.Part - 1)].Fits(row)),
        };
    }

    private static long? HoldOf(Reply reply) => reply.Body.TryGetProperty("hold_id", out var id) ? id.GetInt64() : null;

    /// <summary>The postings that an answer names.</summary>
    private static List<Row> Said(Request request, Reply reply) => request.Call switch
    {
        "create_account" or "place_hold" or "release_hold" or "freeze_account" or "unfreeze_account" => [],
        "batch" when reply.Status == HttpStatusCode.Created =>
            [.. reply.Body.GetProperty("transactions").EnumerateArray().Select((row, i) => RowOf(row, i + 1))],
        "batch" =>
        [
            .. reply.Body.GetProperty("results").EnumerateArray().Select((result, i) => (Row: result.TryGetProperty("transaction", out var row) ? row : default, Part: i + 1))
                .Where(result => result.Row.ValueKind == JsonValueKind.Object).Select(result => RowOf(result.Row, result.Part)),
        ],
        _ => [RowOf(reply.Body, part: 0)],
    };

    private static Row RowOf(JsonElement row, int part)
    {
        return new(
            (short)part, Id("transaction_id")!.Value, row.GetProperty("type").GetString()!, Id("from_account_id")!.Value, Id("to_account_id")!.Value, Money("amount"),
            Money("from_balance_after"), Money("to_balance_after"), Id("reverses_transaction_id"), Id("hold_id"));

        long? Id(string member) => row.GetProperty(member) is { ValueKind: JsonValueKind.Number } id ? id.GetInt64() : null;
        decimal Money(string member) => decimal.Parse(row.GetProperty(member).GetString()!, CultureInfo.InvariantCulture);
    }

    /// <summary>Both logs by the clients' keys. The service itself only lets holds expire.</summary>
    private static async Task<(ILookup<string, Row> Rows, ILookup<string, Event> Events)> LogsAsync(BookInspector book)
    {
        const string KeySql = "CASE client_id WHEN 'anonymous' THEN idempotency_key ELSE client_id || ' ' || idempotency_key END AS key";
        const string RowsSql = $"""
            SELECT part, transaction_id, type, from_account_id, to_account_id, amount, from_balance_after, to_balance_after, reverses_transaction_id, hold_id
                 , {KeySql}
              FROM transaction_log;
            """;
        const string EventsSql = $"SELECT type, account_id, hold_id, {KeySql} FROM account_log WHERE type <> 'hold_expired';";
        await using var session = await book.SessionAsync();
        var rows = await session.QueryAsync<Row, string, (Row Row, string Key)>(RowsSql, (row, key) => (row, key), splitOn: "key");
        var events = await session.QueryAsync<Event, string, (Event Event, string Key)>(EventsSql, (one, key) => (one, key), splitOn: "key");
        return (rows.ToLookup(row => row.Key, row => row.Row), events.ToLookup(one => one.Key, one => one.Event));
    }

    private static bool IsDone(Reply reply) => reply.Status is HttpStatusCode.Created or HttpStatusCode.OK;

    public void Dispose()
    {
        enough.Cancel();
        enough.Dispose();
        acknowledgements.Dispose();
    }

    private async Task CarryOutAsync(Request request)
    {
        var since = Stopwatch.GetTimestamp();
        var reply = await FinalAsync(request);
        Interlocked.Exchange(ref longest, Math.Max(Volatile.Read(ref longest), (long)Stopwatch.GetElapsedTime(since).TotalMilliseconds));
        answered.Enqueue((request, reply));
        outcomes.AddOrUpdate($"{request.Call} {(IsDone(reply) ? "done" : reply.Code)}", 1, (_, count) => count + 1);
        if (!IsDone(reply))
        {
            return;
        }

        Interlocked.Increment(ref acknowledged);
        Interlocked.Add(ref replayed, reply.Replayed ? 1 : 0);
        lock (answered)
        {
            accounts = request.Call == "create_account" && accounts.Length < 50 ? [.. accounts, reply.Id("account_id")] : accounts;
            holds = request.Call == "place_hold" ? [.. holds.TakeLast(29), reply.Id("hold_id")] : holds;
            transactions = [.. transactions.TakeLast(29), .. Said(request, reply).Where(row => row.Type != "reversal").Select(row => row.TransactionId)];
        }

        acknowledgements.Release();
        // Now and then a client repeats a request that was answered: the answer must be the same.
        // Only what was refused of an independent batch is decided anew.
        if (Random.Shared.Next(10) == 0 && !reply.Text.Contains("\"refused\"", StringComparison.Ordinal) && await FinalAsync(request) is var again && !(again.Replayed && again.Text == reply.Text))
        {
            wrong.Enqueue($"{request.Key}: {reply.Text} and later {again.Status} {again.Text} (replayed: {again.Replayed})");
        }
    }

    private async Task<Reply> FinalAsync(Request request)
    {
        while (true)
        {
            var service = instances[Random.Shared.Next(instances.Length)];
            await service.UpAsync();
            Interlocked.Increment(ref sent);
            try
            {
                var reply = await service.PostAsync($"/api/{request.Call}", request.Body, request.Key);
                if (reply.Status == HttpStatusCode.ServiceUnavailable)
                {
                    Interlocked.Increment(ref unavailable);
                    continue;
                }

                // A hold may be due before it could be placed.
                var isExpected = IsDone(reply) || reply.Code is "insufficient_funds" or "account_frozen" or "account_not_frozen" or "already_reversed" or "reversal_amount_exceeded" or "hold_not_pending"
                    or "capture_amount_exceeded" || (request.Call == "place_hold" && reply.Code == "validation_failed");
                if (!isExpected)
                {
                    wrong.Enqueue($"{request.Key}: {reply.Status} {reply.Text}");
                }

                return reply;
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException)
            {
                Interlocked.Increment(ref interrupted);
            }
        }
    }

    private Request Any()
    {
        var (amount, part, isFinal) = (Random.Shared.Next(1, 10_000) / 100m, Random.Shared.Next(1, 2_500) / 100m, Random.Shared.Next(2) == 0);
        var (known, made, held) = (accounts, transactions, holds);
        var (one, other) = (Random.Shared.Next(known.Length), Random.Shared.Next(known.Length - 1));
        var (from, to) = (known[one], known[other >= one ? other + 1 : other]);
        return Random.Shared.Next(20) switch
        {
            0 when Random.Shared.Next(8) == 0 => new("freeze_account", new { account_id = to, reason = "Lost card" }, Key(), [], "frozen"),
            0 when Random.Shared.Next(2) == 0 => new("unfreeze_account", new { account_id = to, reason = "Found again" }, Key(), [], "unfrozen"),
            0 => Opening(amount),
            < 3 => new("deposit", new { account_id = to, amount }, Key(), [new("deposit", 840, to, amount)]),
            < 6 => new("withdraw", new { account_id = from, amount }, Key(), [new("withdrawal", from, 840, amount)]),
            < 9 when made.Length > 0 && made[Random.Shared.Next(made.Length)] is var original =>
                new("reverse_transaction", new { transaction_id = original, amount = part }, Key(), [new("reversal", null, null, part, Reverses: original)]),
            < 12 => new("place_hold", new { account_id = from, to_account_id = to, amount, expires_at = Soon() }, Key(), [], "hold_placed"),
            < 15 when held.Length > 0 && held[Random.Shared.Next(held.Length)] is var hold => new(
                "capture_hold", new { hold_id = hold, amount = part, final = isFinal }, Key(), [new("transfer", null, null, part, HoldId: hold)],
                isFinal ? "hold_released" : null),
            15 when held.Length > 0 => new("release_hold", new { hold_id = held[Random.Shared.Next(held.Length)] }, Key(), [], "hold_released"),
            16 => Batch("atomic", from, to, amount),
            17 => Batch("independent", from, to, amount),
            _ => new("transaction", new { from_account_id = from, to_account_id = to, amount }, Key(), [new("transfer", from, to, amount)]),
        };
    }

    private static Request Opening(decimal amount) =>
        new("create_account", new { owner_name = "Someone", initial_deposit = amount }, Key(), [new("deposit", 840, null, amount)], "opened");

    private static Request Batch(string mode, long from, long to, decimal amount) => new(
        "batch",
        new
        {
            mode,
            postings = new object[]
            {
                new { type = "transfer", from_account_id = from, to_account_id = to, amount },
                new { type = "withdrawal", account_id = from, amount = 0.35m },
                new { type = "deposit", account_id = to, amount },
            },
        },
        Key(),
        [new("transfer", from, to, amount), new("withdrawal", from, 840, 0.35m), new("deposit", 840, to, amount)]);

    /// <summary>When a hold expires: some do before they are captured.</summary>
    private static string Soon() => DateTime.UtcNow.AddSeconds(Random.Shared.Next(1, 30)).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static string Key() => Guid.NewGuid().ToString();
}
