using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>Somebody holds what everybody needs: those who don't need it go on, those who do wait, and the service stays small.</summary>
public sealed class StallTests(TestDatabase database)
{
    [Fact]
    public async Task A_held_account_is_busy_and_the_others_traffic_goes_on() => await HeldAccountAsync(seconds: 3);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_held_account_slows_nobody_else_down()
    {
        var latencies = await HeldAccountAsync(seconds: 20);
        latencies[(int)(latencies.Count * 0.99)].Should().BeLessThan(TimeSpan.FromMilliseconds(100));
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Five_thousand_clients_that_wait_for_a_held_head_fit_in_memory_and_are_all_answered()
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
        await Parallel.ForEachAsync(Enumerable.Range(0, Clients), new ParallelOptions { MaxDegreeOfParallelism = 50 }, async (i, cancellation) =>
        {
            var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, service.Address.Port, cancellation);
            var body = $$"""{"account_id":{{account}},"amount":"1"}""";
            await client.GetStream().WriteAsync(
                Encoding.ASCII.GetBytes(
                    $"POST /api/deposit HTTP/1.1\r\nHost: bank\r\nConnection: close\r\nContent-Type: application/json\r\nIdempotency-Key: key-{i}\r\nContent-Length: {body.Length}\r\n\r\n{body}"),
                cancellation);
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
    [InlineData(SslMode.Prefer, GssEncryptionMode.Prefer)] // asked for anew, and waited for, with each connection
    public async Task While_the_database_hangs_those_who_wait_are_refused_in_time_and_lose_nothing(SslMode ssl, GssEncryptionMode gss)
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        var connectionString = new NpgsqlConnectionStringBuilder(proxy.ConnectionString) { SslMode = ssl, GssEncryptionMode = gss }.ConnectionString;
        await using var bank = new BankingApp(
            database, null, ("ConnectionStrings:Banking", connectionString), ("Banking:RetrySeconds", "4"), ("Banking:BatchLimit", "1"));
        var account = await bank.OpenAsync("10");
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => bank.BalanceAsync(account))); // so that there are connections that hang
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

    /// <summary>200 requests a second, whatever becomes of those before, one in twenty of them for a held account: how long the others took.</summary>
    private async Task<List<TimeSpan>> HeldAccountAsync(int seconds)
    {
        await using var bank = new BankingApp(
            database, null, ("Banking:AccountBusySeconds", "4"), ("Banking:RetrySeconds", "3")); // the latter is no matter, as the database answers
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
            // A tick that comes late is made up for: the load does not wait for the service.
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

    private static async Task<string> AnswerAsync(TcpClient client)
    {
        using (client)
        {
            using var reader = new StreamReader(client.GetStream());
            return await reader.ReadToEndAsync();
        }
    }
}
