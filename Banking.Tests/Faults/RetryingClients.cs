using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace Banking.Tests;

/// <summary>
/// Clients that open accounts, pay and withdraw. They repeat each request with its key until its answer is final. Afterwards all
/// answers are compared with the book.
/// </summary>
internal sealed class RetryingClients(ServiceProcess service) : IDisposable
{
    private readonly ConcurrentQueue<(Request Request, Reply Reply)> answered = [];
    private readonly ConcurrentQueue<string> wrong = [];
    private readonly SemaphoreSlim acknowledgements = new(0);
    private long[] accounts = [];
    private int sent;
    private int interrupted;
    private int unavailable;
    private int replayed;
    private int acknowledged;
    private long longest;

    private sealed record Request(string Type, string Path, object Body, string Key, long? From, long? To, decimal Amount);

    private int Acknowledged => Volatile.Read(ref acknowledged);

    public string Report => string.Create(
        CultureInfo.InvariantCulture,
        $"{sent} requests sent, {interrupted} interrupted, {unavailable} answered 503, {answered.Count} keys with a final answer, "
        + $"{acknowledged} acknowledged ({replayed} of them by a replay), longest wait for one {TimeSpan.FromMilliseconds(longest).TotalSeconds:F1} s");

    /// <summary>Opens the accounts that all clients use.</summary>
    public async Task OpenAsync(int number)
    {
        for (var i = 0; i < number; i++)
        {
            await CarryOutAsync(Opening(200));
        }
    }

    /// <summary>Sends until told to stop, and returns when every request has its answer.</summary>
    public Task RunAsync(int number, CancellationToken stop) => Task.WhenAll(Enumerable.Range(0, number).Select(_ => Task.Run(async () =>
    {
        while (!stop.IsCancellationRequested)
        {
            await CarryOutAsync(Any());
        }
    })));

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
        var postings = (await book.PostingsAsync()).ToLookup(posting => posting.IdempotencyKey);
        var opened = (await book.OpenedAsync()).ToLookup(account => account.IdempotencyKey);
        var contradictions = wrong.ToList();
        foreach (var (request, reply) in answered)
        {
            var (rows, openings) = (postings[request.Key].ToList(), opened[request.Key].ToList());
            var isTrue = reply.Status != HttpStatusCode.Created
                ? rows.Count == 0 && openings.Count == 0
                : request.Type == "opening"
                    ? openings is [{ ClientId: "anonymous" } account] && account.AccountId == reply.Id("account_id")
                        && rows is [{ Type: "deposit", FromAccountId: 840 } deposit] && deposit.ToAccountId == account.AccountId && deposit.Amount == request.Amount
                    : openings.Count == 0 && rows is [var row] && row.Type == request.Type && row.Amount == request.Amount
                        && row.FromAccountId == (request.From ?? 840) && row.ToAccountId == (request.To ?? 840)
                        && row.TransactionId == reply.Id("transaction_id")
                        && row.FromAccountId == reply.Id("from_account_id") && row.ToAccountId == reply.Id("to_account_id")
                        && row.Amount == Amount(reply, "amount")
                        && row.FromBalanceAfter == Amount(reply, "from_balance_after") && row.ToBalanceAfter == Amount(reply, "to_balance_after");
            if (!isTrue)
            {
                contradictions.Add($"{request.Key}: {reply.Status} {reply.Text} but in the log: {string.Join(", ", rows)} {string.Join(", ", openings)}");
            }
        }

        var keys = answered.Where(answer => answer.Reply.Status == HttpStatusCode.Created).Select(answer => answer.Request.Key).ToHashSet();
        contradictions.AddRange(postings.Where(posting => !keys.Contains(posting.Key)).Select(posting => $"{posting.Key} was never acknowledged but is in the log."));
        contradictions.AddRange(opened.Where(account => !keys.Contains(account.Key)).Select(account => $"{account.Key} was never acknowledged but opened an account."));
        return contradictions;
    }

    public void Dispose() => acknowledgements.Dispose();

    private async Task CarryOutAsync(Request request)
    {
        var since = Stopwatch.GetTimestamp();
        var reply = await FinalAsync(request);
        Interlocked.Exchange(ref longest, Math.Max(Volatile.Read(ref longest), (long)Stopwatch.GetElapsedTime(since).TotalMilliseconds));
        answered.Enqueue((request, reply));
        if (reply.Status != HttpStatusCode.Created)
        {
            return;
        }

        Interlocked.Increment(ref acknowledged);
        Interlocked.Add(ref replayed, reply.Replayed ? 1 : 0);
        if (request.Type == "opening")
        {
            lock (answered)
            {
                accounts = accounts.Length < 50 ? [.. accounts, reply.Id("account_id")] : accounts;
            }
        }

        acknowledgements.Release();
        // Now and then a client repeats a request that was answered: the answer must be the same.
        if (Random.Shared.Next(10) == 0 && await FinalAsync(request) is var again && !(again.Replayed && again.Text == reply.Text))
        {
            wrong.Enqueue($"{request.Key}: {reply.Text} and later {again.Status} {again.Text} (replayed: {again.Replayed})");
        }
    }

    private async Task<Reply> FinalAsync(Request request)
    {
        while (true)
        {
            await service.UpAsync();
            Interlocked.Increment(ref sent);
            try
            {
                var reply = await service.PostAsync(request.Path, request.Body, request.Key);
                if (reply.Status == HttpStatusCode.ServiceUnavailable)
                {
                    Interlocked.Increment(ref unavailable);
                    continue;
                }

                if (reply.Status != HttpStatusCode.Created && reply.Code != "insufficient_funds")
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
        var amount = Random.Shared.Next(1, 10_000) / 100m;
        var known = accounts;
        var (one, other) = (Random.Shared.Next(known.Length), Random.Shared.Next(known.Length - 1));
        var (from, to) = (known[one], known[other >= one ? other + 1 : other]);
        return Random.Shared.Next(10) switch
        {
            0 => Opening(amount),
            < 3 => new("deposit", "/api/deposit", new { account_id = to, amount }, Key(), From: null, to, amount),
            < 6 => new("withdrawal", "/api/withdraw", new { account_id = from, amount }, Key(), from, To: null, amount),
            _ => new("transfer", "/api/transaction", new { from_account_id = from, to_account_id = to, amount }, Key(), from, to, amount),
        };
    }

    private static Request Opening(decimal amount) =>
        new("opening", "/api/create_account", new { owner_name = "Someone", initial_deposit = amount }, Key(), From: null, To: null, amount);

    private static string Key() => Guid.NewGuid().ToString();

    private static decimal Amount(Reply reply, string member) => decimal.Parse(reply[member]!, CultureInfo.InvariantCulture);
}
