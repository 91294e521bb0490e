using System.Diagnostics;
using System.Globalization;
using System.Net;
using Banking.Data;
using Dapper;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>More readers than the database can serve, or readers that leave. Writers don't notice, and the service stays small.</summary>
public sealed class ReadTests(TestDatabase database)
{
    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Two_hundred_and_fifty_readers_slow_down_neither_a_depositor_nor_readiness()
    {
        const string Application = "many-readers";
        await using var service = new ServiceProcess($"{database.ConnectionString};Application Name={Application}", schema);
        await using var book = new BookInspector(database.ConnectionString, schema);
        await service.StartAsync();
        var (read, written) = (await service.OpenAsync(), await service.OpenAsync());
        await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => service.DepositAsync(read, "1")));

        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(6));
        var readers = Enumerable.Range(0, 250).Select(_ => RepeatAsync(async () =>
        {
            var page = await service.GetAsync($"/api/transaction_history?account_id={read}&limit=500");
            if (page.Status != HttpStatusCode.OK)
            {
                await Task.Delay(100); // as Retry-After asks
            }

            return page;
        })).ToList();
        var depositor = RepeatAsync(async () =>
        {
            var sent = Stopwatch.GetTimestamp();
            return (Reply: await service.DepositAsync(written, "1"), Took: Stopwatch.GetElapsedTime(sent));
        });
        var operators = RepeatAsync(() => service.GetAsync("/health/ready"));
        var sessions = await RepeatAsync(() => book.ScalarAsync<long>(
            $"SELECT count(*) FROM pg_stat_activity, pg_sleep(0.1) WHERE application_name LIKE '{Application}%';"));

        var pages = (await Task.WhenAll(readers)).SelectMany(reader => reader).ToList();
        var deposits = await depositor;
        var took = deposits.Select(deposit => deposit.Took).Order().ToList();
        Report.Write(string.Create(
            CultureInfo.InvariantCulture,
            $"{pages.Count(page => page.Status == HttpStatusCode.OK)} pages read, {pages.Count(page => page.Status != HttpStatusCode.OK)} refused; {deposits.Count} deposits, 99 % within {took[(int)(took.Count * 0.99)].TotalMilliseconds:F0} ms; {sessions.Max()} sessions at most."));
        deposits.Should().OnlyContain(deposit => deposit.Reply.Status == HttpStatusCode.Created);
        took[(int)(took.Count * 0.99)].Should().BeLessThan(TimeSpan.FromSeconds(2));
        (await operators).Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        sessions.Max().Should().BeLessThanOrEqualTo(20);
        pages.Should().Contain(page => page.Status == HttpStatusCode.OK);
        pages.Where(page => page.Status != HttpStatusCode.OK).Should().OnlyContain(page => page.Code == "overloaded");

        async Task<List<T>> RepeatAsync<T>(Func<Task<T>> ask)
        {
            var replies = new List<T>();
            do
            {
                replies.Add(await ask());
            }
            while (!enough.IsCancellationRequested);

            return replies;
        }
    }

    [Fact]
    public async Task A_page_beyond_the_limit_is_refused_and_those_within_are_answered()
    {
        await using var bank = new BankingApp(database, schema, ("Banking:ReadLimit", "2"));
        await using var book = new BookInspector(database.ConnectionString, schema);
        var account = await bank.OpenAsync("1");
        List<Task<Reply>> sent;
        await using (await book.HoldAsync("LOCK TABLE transaction_log;"))
        {
            sent = [.. Enumerable.Range(0, 3).Select(_ => bank.GetAsync($"/api/transaction_history?account_id={account}"))];
            var refused = await Task.WhenAny(sent).WaitAsync(TimeSpan.FromSeconds(3));

            (await refused).ShouldBeProblem(503, "overloaded");
            (await refused).Headers.RetryAfter!.Delta.Should().Be(TimeSpan.FromSeconds(1));
            (await bank.BalanceAsync(account)).Should().Be("1.00", "look-ups have a connection of their own");
        }

        (await Task.WhenAll(sent)).Count(reply => (int)reply.Status == 200).Should().Be(2);
        (await bank.HistoryAsync(account)).Should().HaveCount(1);
    }

    [Fact]
    public async Task A_look_up_beyond_the_limit_is_refused_and_one_whose_caller_left_makes_room()
    {
        await using var bank = new BankingApp(database, schema, ("Banking:QueueLimit", "2"), ("Banking:ReadSeconds", "60"));
        await using var book = new BookInspector(database.ConnectionString, schema);
        var account = await bank.OpenAsync("1");
        (await bank.BalanceAsync(account)).Should().Be("1.00");
        await using var held = await book.HoldAsync("LOCK TABLE account;");
        var (path, first) = ($"/api/get_one_account?account_id={account}", bank.BalanceAsync(account));
        await Wait.UntilAsync(async () => await book.ScalarAsync<bool>(
            $"SELECT EXISTS (SELECT FROM pg_locks WHERE relation = to_regclass('{schema}.account') AND NOT granted);"));
        using var leaving = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        var leavers = Enumerable.Range(0, 4).Select(_ => bank.Http.GetAsync(new Uri(path, UriKind.Relative), leaving.Token)).ToList();
        await foreach (var refused in Task.WhenEach(leavers).Take(2))
        {
            (await refused).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        }

        (await bank.GetAsync(path)).ShouldBeProblem(503, "overloaded");
        await leaving.CancelAsync();
        Task<Reply>? next = null;
        await Wait.UntilAsync(async () =>
        {
            next = bank.GetAsync(path);
            return await Task.WhenAny(next, Task.Delay(500)) != next; // it waits
        });
        await held.DisposeAsync();
        (await first).Should().Be("1.00");
        (await next!).Status.Should().Be(HttpStatusCode.OK);
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Readers_that_leave_a_database_that_hangs_leave_no_threads_behind()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        // The pool of threads also tries more of them to see whether work goes faster. Without that, it adds one only where others are blocked.
        await using var service = new ServiceProcess(
            proxy.ConnectionString, schema, ("Banking__ReadSeconds", "2"), ("DOTNET_HillClimbing_Disable", "1"));
        await service.StartAsync();
        var account = await service.OpenAsync("1");
        var page = $"/api/transaction_history?account_id={account}";
        await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => service.GetAsync(page))); // opens the connections that will hang
        var before = Threads();
        proxy.Hang();

        using var http = new HttpClient { BaseAddress = service.Address };
        var threads = new List<int>();
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(8);)
        {
            using var leaving = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
            await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
            {
                using var reply = await http.GetAsync(new Uri(page, UriKind.Relative), leaving.Token);
            })).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            var asked = Stopwatch.GetTimestamp();
            (await service.GetAsync("/health/ready")).Status.Should().Be(HttpStatusCode.ServiceUnavailable);
            Stopwatch.GetElapsedTime(asked).Should().BeLessThan(TimeSpan.FromSeconds(1));
            threads.Add(Threads());
        }

        Report.Write($"{before} threads before; while readers leave a database that hangs, at most {threads.Max()}.");
        threads.Max().Should().BeLessThan(before + 4);
        proxy.GoOn();
        await Wait.UntilAsync(async () => (await service.GetAsync(page)).Status == HttpStatusCode.OK);
        service.Errors.Should().BeEmpty();

        int Threads() => Directory.GetDirectories($"/proc/{service.ProcessId}/task").Length;
    }

    [Fact]
    public async Task A_column_whose_type_a_DBA_changes_fails_neither_the_next_posting_nor_the_next_reads()
    {
        await using var bank = new BankingApp(database, schema);
        var account = await bank.OpenAsync("1");
        for (var i = 0; i < 5; i++) // so that all statements are prepared
        {
            await UseAsync($"key-{i}");
        }

        await bank.Book.ExecuteAsync("ALTER TABLE transaction_log ALTER COLUMN idempotency_key TYPE varchar(255) COLLATE \"C\";");
        await UseAsync("key-of-the-log");
        await bank.Book.ExecuteAsync("ALTER TABLE account ALTER COLUMN owner_name TYPE varchar(200);");
        await UseAsync("key-of-the-account");

        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();

        async Task UseAsync(string key)
        {
            var posted = await bank.DepositAsync(account, "1", key);
            posted.ShouldBeCreated();
            (await bank.DepositAsync(account, "1", key)).ShouldBeCreated(replayed: true);
            (await bank.GetAsync($"/api/get_one_transaction?transaction_id={posted.Id("transaction_id")}")).Status.Should().Be(HttpStatusCode.OK);
            (await bank.GetAsync($"/api/get_one_account?account_id={account}")).Status.Should().Be(HttpStatusCode.OK);
            (await bank.GetAsync($"/api/transaction_history?account_id={account}")).Status.Should().Be(HttpStatusCode.OK);
        }
    }

    [Fact]
    public async Task Any_exception_after_the_connection_is_lost_counts_as_transient()
    {
        await using var pool = NpgsqlDataSource.Create(database.ConnectionString);

        var lost = () => pool.UseAsync<int>(async connection =>
        {
            await connection.ExecuteAsync("SELECT pg_terminate_backend(pg_backend_pid());").ContinueWith(_ => { }, TaskScheduler.Default);
            throw new InvalidOperationException("No columns were selected");
        });
        var open = () => pool.UseAsync<int>(_ => throw new InvalidOperationException("Our own mistake"));

        var thrown = (await lost.Should().ThrowAsync<NpgsqlException>()).Which;
        thrown.InnerException.Should().BeOfType<InvalidOperationException>();
        Database.IsTransient(thrown).Should().BeTrue();
        await open.Should().ThrowAsync<InvalidOperationException>();
    }
}
