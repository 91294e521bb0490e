using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>Another session holds a lock. Requests that need it wait, the others go on, and the service stays small.</summary>
public sealed class StallTests(TestDatabase database)
{
    [Fact]
    public async Task A_locked_account_is_busy_and_traffic_of_other_accounts_goes_on() => await HeldAccountAsync(seconds: 3);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_locked_account_slows_down_no_other_account()
    {
        var latencies = await HeldAccountAsync(seconds: 20);
        latencies[(int)(latencies.Count * 0.99)].Should().BeLessThan(TimeSpan.FromMilliseconds(100));
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Five_thousand_clients_that_wait_for_the_head_fit_in_memory_and_are_all_answered()
    {
        const int Clients = 5_000;
        const int QueueLimit = 4_000;
        var schema = $"book_{Guid.NewGuid():N}";
        await using var book = new BookInspector(database.ConnectionString, schema);
        await using var service = new ServiceProcess(
            database.ConnectionString, schema, ("Banking__QueueLimit", $"{QueueLimit}"), ("Banking__RetrySeconds", "120"));
        await service.StartAsync();
        var account = await service.OpenAsync();
        var idle = service.Megabytes("VmRSS");
        await using var head = await book.HoldHeadAsync();

        var sent = new ConcurrentQueue<Task<string>>();
        await Parallel.ForEachAsync(Enumerable.Range(0, Clients), new ParallelOptions { MaxDegreeOfParallelism = 50 }, async (i, _) =>
        {
            var client = await RawClient.ConnectAsync(service);
            await client.SendAsync(
                RawClient.Post("deposit", $$"""{"account_id":{{account}},"amount":"1"}""", "Connection: close", $"Idempotency-Key: key-{i}"));
            sent.Enqueue(AnswerAsync(client));
        });
        var refused = new List<string>();
        await foreach (var answer in Task.WhenEach(sent).Take(Clients - QueueLimit))
        {
            refused.Add(await answer);
        }

        refused.Should().OnlyContain(answer => answer.StartsWith("HTTP/1.1 503") && answer.Contains("\"overloaded\"") && answer.Contains("Retry-After"));
        sent.Count(answer => !answer.IsCompleted).Should().Be(QueueLimit);
        var waiting = service.Megabytes("VmRSS");
        await head.DisposeAsync();
        var released = Stopwatch.GetTimestamp();
        var answers = await Task.WhenAll(sent);
        var (took, peak) = (Stopwatch.GetElapsedTime(released), service.Megabytes("VmHWM"));

        Report.Write($"{Clients} clients: {idle} MB before, {waiting} MB while they wait, {peak} MB at most; all answered {took.TotalSeconds:F1} s after the release.");
        answers.Count(answer => answer.StartsWith("HTTP/1.1 201", StringComparison.Ordinal)).Should().Be(QueueLimit);
        (await book.PostingsAsync()).Should().HaveCount(QueueLimit);
        peak.Should().BeLessThan(300);
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory]
    [InlineData(SslMode.Disable, GssEncryptionMode.Disable)]
    [InlineData(SslMode.Prefer, GssEncryptionMode.Prefer)] // each new connection asks for it and waits for the answer
    public async Task While_the_database_hangs_waiting_requests_are_refused_in_time_and_a_retry_posts_them(SslMode ssl, GssEncryptionMode gss)
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        var connectionString = new NpgsqlConnectionStringBuilder(proxy.ConnectionString) { SslMode = ssl, GssEncryptionMode = gss }.ConnectionString;
        await using var bank = new BankingApp(
            database, null, ("ConnectionStrings:Banking", connectionString), ("Banking:RetrySeconds", "4"), ("Banking:BatchLimit", "1"));
        var account = await bank.OpenAsync("10");
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => bank.BalanceAsync(account))); // opens the connections that will hang
        proxy.Hang();

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => TimedAsync(() => bank.DepositAsync(account, "1", $"key-{i}"))));

        Report.Write($"Of four one after the other, the first was refused after {answers.Min(answer => answer.Took).TotalSeconds:F1} s, the last after {answers.Max(answer => answer.Took).TotalSeconds:F1} s.");
        answers.Should().OnlyContain(answer => answer.Reply.Code == "database_unavailable" && answer.Reply.Headers.RetryAfter != null);
        answers.Should().OnlyContain(answer => answer.Took < TimeSpan.FromSeconds(8), "half as long again as the four seconds, and some for a busy machine");
        proxy.GoOn();
        for (var i = 0; i < 4; i++)
        {
            (await bank.DepositAsync(account, "1", $"key-{i}")).ShouldBeCreated();
        }

        (await bank.BalanceAsync(account)).Should().Be("14.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    /// <summary>Sends 200 requests a second without waiting for answers, one in twenty of them to a locked account. Returns how long the others took.</summary>
    private async Task<List<TimeSpan>> HeldAccountAsync(int seconds)
    {
        await using var bank = new BankingApp(
            database, null, ("Banking:AccountBusySeconds", "4"), ("Banking:RetrySeconds", "3")); // RetrySeconds has no effect here, because the database answers
        var held = await bank.OpenAsync("1000");
        var others = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => bank.OpenAsync("1000000")));
        for (var i = 0; i < 200; i++)
        {
            await bank.TransferAsync(others[i % 20], others[(i + 1) % 20], "1");
        }

        await using var forgotten = await bank.Book.HoldAsync("SELECT FROM account WHERE account_id = @held FOR UPDATE;", new { held });
        var (busy, free) = (new List<Task<(Reply Reply, TimeSpan Took)>>(), new List<Task<(Reply Reply, TimeSpan Took)>>());
        using var load = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since).TotalSeconds < seconds; await load.WaitForNextTickAsync())
        {
            // After a late tick, sends what is overdue: the load does not wait for the service.
            for (var due = (int)(Stopwatch.GetElapsedTime(since).TotalSeconds * 200); busy.Count + free.Count < due;)
            {
                var n = busy.Count + free.Count;
                if (n % 20 == 0)
                {
                    busy.Add(TimedAsync(() => n % 40 == 0 ? bank.TransferAsync(others[n % 19], held, "1") : bank.WithdrawAsync(held, "1")));
                }
                else
                {
                    free.Add(TimedAsync(() => bank.TransferAsync(others[n % 20], others[(n + 7) % 20], "1")));
                }
            }
        }

        var (refused, posted) = (await Task.WhenAll(busy), await Task.WhenAll(free));
        posted.Should().OnlyContain(answer => answer.Reply.Status == HttpStatusCode.Created);
        refused.Should().OnlyContain(answer => answer.Reply.Status == HttpStatusCode.ServiceUnavailable && answer.Reply.Code == "account_busy"
            && answer.Reply.Headers.RetryAfter != null && answer.Took >= TimeSpan.FromSeconds(4));
        await forgotten.DisposeAsync();
        (await bank.WithdrawAsync(held, "1000")).ShouldBeCreated();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
        bank.Complaints.Should().BeEmpty();

        var latencies = posted.Select(answer => answer.Took).Order().ToList();
        var waits = refused.Select(answer => answer.Took).Order().ToList();
        Report.Write(
            $"{posted.Length} transfers of others: median {latencies[latencies.Count / 2].TotalMilliseconds:F1} ms, 99 % within {latencies[(int)(latencies.Count * 0.99)].TotalMilliseconds:F1} ms, slowest {latencies[^1].TotalMilliseconds:F1} ms; {refused.Length} for the held account: busy after {waits[0].TotalSeconds:F2} to {waits[^1].TotalSeconds:F2} s.");
        return latencies;
    }

    private static async Task<(Reply Reply, TimeSpan Took)> TimedAsync(Func<Task<Reply>> send)
    {
        var since = Stopwatch.GetTimestamp();
        return (await send(), Stopwatch.GetElapsedTime(since));
    }

    private static async Task<string> AnswerAsync(RawClient client)
    {
        using (client)
        {
            return await client.AnswersAsync(seconds: 120);
        }
    }
}
