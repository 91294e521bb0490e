using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FluentAssertions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http.Features;

namespace Banking.Tests;

/// <summary>Clients that take more than their share are refused, and a well-behaved client beside them is served.</summary>
public sealed class LimitsTests(TestDatabase database)
{
    private const string Ask = "GET /health/live HTTP/1.1\r\nHost: bank\r\n";

    [Fact]
    public async Task Clients_that_trickle_or_never_read_are_cut_off()
    {
        await using var bank = new BankingApp(database, null, ("Banking:HeaderSeconds", "1"), ("Banking:LeastBytesPerSecond", "1000000"));
        var account = await bank.OpenAsync("10");
        var body = $$"""{"account_id":{{account}},"amount":"1"}""";

        await BesideAGoodClientAsync(bank, Task.WhenAll(Slow(), SlowBody(), Deaf()));

        (await bank.BalanceAsync(account)).Should().Be("10.00", "no body was whole");
        bank.Complaints.Should().BeEmpty();

        async Task Slow()
        {
            using var client = await RawClient.ConnectAsync(bank);
            var answer = client.AnswersAsync();
            await TrickleAsync(client, $"{Ask}X-Slow: ", answer);
            (await answer).Should().StartWith("HTTP/1.1 408 ");
        }

        async Task SlowBody()
        {
            using var client = await RawClient.ConnectAsync(bank);
            var answer = client.AnswersAsync();
            await TrickleAsync(
                client, $"POST /api/deposit HTTP/1.1\r\nHost: bank\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{body[..^1]}", answer);
            var parts = (await answer).Split("\r\n\r\n", 2);
            parts[0].Should().StartWith("HTTP/1.1 408 ").And.Contain("application/problem+json");
            parts[1].Should().Contain("\"code\":\"request_timeout\"");
        }

        async Task Deaf()
        {
            using var client = await RawClient.ConnectAsync(bank, receiveBuffer: 4096);
            await Wait.UntilAsync(async () => !await client.SendAsync("GET /openapi/v1.json HTTP/1.1\r\nHost: bank\r\n\r\n")); // the service has to hang up
        }
    }

    [Theory]
    [InlineData(431, "GET /health/live HTTP/1.1", 40_000, 1)]
    [InlineData(431, "GET /health/live HTTP/1.1", 10, 200)]
    [InlineData(431, "POST /api/deposit HTTP/1.1", 100_000, 1)]
    [InlineData(400, "\u0001\u0002", 1, 1)]
    public async Task Headers_beyond_their_limits_are_refused(int status, string line, int length, int number)
    {
        await using var bank = new BankingApp(database);
        var headers = string.Concat(Enumerable.Range(0, number).Select(i => $"X-{i}: {new string('x', length)}\r\n"));

        await BesideAGoodClientAsync(bank, RefusedAsync());

        async Task RefusedAsync()
        {
            using var client = await RawClient.ConnectAsync(bank);
            var answer = client.AnswersAsync();
            await client.SendAsync($"{line}\r\nHost: bank\r\n{headers}\r\n");
            (await answer).Should().StartWith($"HTTP/1.1 {status} ");
        }
    }

    [Fact]
    public async Task A_path_beyond_its_limit_is_refused()
    {
        await using var bank = new BankingApp(database);

        (await bank.GetAsync($"/{new string('x', 9_000)}")).Status.Should().Be(HttpStatusCode.RequestUriTooLong);
    }

    [Fact]
    public async Task The_limits_of_headers_are_the_ones_that_were_set()
    {
        await using var bank = new BankingApp(database, null, ("Banking:HeaderLimit", "100000"), ("Banking:HeaderCountLimit", "300"));

        foreach (var (length, number) in new[] { (90_000, 1), (10, 250) })
        {
            using var client = await RawClient.ConnectAsync(bank);
            var headers = string.Concat(Enumerable.Range(0, number).Select(i => $"X-{i}: {new string('x', length)}\r\n"));
            await client.SendAsync($"{Ask}Connection: close\r\n{headers}\r\n");
            (await client.AnswersAsync()).Should().StartWith("HTTP/1.1 200 ");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_beyond_its_limit_is_refused_and_one_at_it_is_not(bool chunked)
    {
        await using var bank = new BankingApp(database, null, ("Banking:BodyLimit", "2000"));
        var account = await bank.OpenAsync();

        (await DepositAsync(chunked ? 1_980 : 2_000)).ShouldBeCreated(); // the lengths of its chunks count too
        var refused = await DepositAsync(2_001);

        refused.ShouldBeProblem(413, "payload_too_large");
        refused["detail"].Should().Contain(" 2000 bytes");
        (await bank.BalanceAsync(account)).Should().Be("1.00");

        Task<Reply> DepositAsync(int length)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, "/api/deposit")
            {
                Content = new StringContent($$"""{"account_id":{{account}},"amount":"1"}""".PadRight(length), Encoding.UTF8, "application/json"),
            };
            request.Headers.TransferEncodingChunked = chunked;
            return bank.SendAsync(request);
        }
    }

    [Fact]
    public async Task Connections_without_a_request_are_closed()
    {
        await using var bank = new BankingApp(database, null, ("Banking:KeepAliveSeconds", "1"));
        using var unused = await RawClient.ConnectAsync(bank);
        using var used = await RawClient.ConnectAsync(bank);
        await used.SendAsync($"{Ask}\r\n");

        var answers = await Task.WhenAll(unused.AnswersAsync(), used.AnswersAsync());

        answers[0].Should().BeEmpty();
        answers[1].Should().StartWith("HTTP/1.1 200 ");
    }

    [Fact]
    public async Task A_connection_beyond_the_limit_is_closed_and_those_within_are_served()
    {
        await using var bank = new BankingApp(database, null, ("Banking:ConnectionLimit", "3"));
        var clients = new List<RawClient>();
        for (var i = 0; i < 3; i++)
        {
            clients.Add(await RawClient.ConnectAsync(bank));
            (await ServedAsync(clients[i])).Should().BeTrue();
        }

        using (var beyond = await RawClient.ConnectAsync(bank))
        {
            (await ServedAsync(beyond)).Should().BeFalse();
        }

        foreach (var client in clients)
        {
            (await ServedAsync(client)).Should().BeTrue();
        }

        clients[0].Dispose();
        await Wait.UntilAsync(
            async () =>
            {
                using var next = await RawClient.ConnectAsync(bank);
                return await ServedAsync(next);
            },
            seconds: 10);
        clients.ForEach(client => client.Dispose());

        static async Task<bool> ServedAsync(RawClient client) => await client.SendAsync($"{Ask}\r\n") && await client.IsAnsweredAsync();
    }

    [Fact]
    public async Task A_caller_beyond_its_rate_is_refused_alone_and_only_for_a_moment()
    {
        await using var bank = new BankingApp(database, null, ("Banking:RateLimit", "5"));
        var account = await bank.OpenAsync();
        using var other = From("127.0.0.2", bank);

        var replies = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => bank.DepositAsync(account, "1")));

        var refused = replies.Where(reply => reply.Status != HttpStatusCode.Created).ToList();
        ShouldBeLimited(refused);
        (await other.GetAsync($"/api/get_one_account?account_id={account}")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => bank.GetAsync("/health/ready")))).Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        (await bank.Book.ScalarAsync<decimal>("SELECT balance FROM account WHERE account_id = @account;", new { account })).Should().Be(50 - refused.Count);
        await Wait.UntilAsync(async () => (await bank.DepositAsync(account, "1")).Status == HttpStatusCode.Created, seconds: 5);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("bad")]
    public async Task Callers_without_a_good_token_share_the_rate_of_their_address_and_a_good_caller_there_has_its_own(string? token)
    {
        await using var guarded = new GuardedBank(database, ("Banking:RateLimit", "5"));

        var flood = Enumerable.Range(0, 50).Select(_ => HeadAsync(guarded, token)).ToList();
        var beside = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => HeadAsync(guarded, guarded.TokenOf("client", "audit:read"))));
        var replies = (await Task.WhenAll(flood)).ToLookup(reply => reply.Status);

        beside.Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        replies.Select(group => group.Key).Should().BeEquivalentTo([HttpStatusCode.Unauthorized, HttpStatusCode.TooManyRequests]);
        ShouldBeLimited([.. replies[HttpStatusCode.TooManyRequests]]);
    }

    [Fact]
    public async Task A_caller_has_one_rate_for_all_its_tokens_and_another_has_its_own()
    {
        await using var guarded = new GuardedBank(database, ("Banking:RateLimit", "5"));
        var tokens = Enumerable.Range(0, 50).Select(i => new Token(GuardedBank.Issuer, "one", "audit:read").With("jti", $"{i}").Signed(guarded.Keys[0]));

        var ones = await Task.WhenAll(tokens.Select(token => HeadAsync(guarded, token)));
        var others = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => HeadAsync(guarded, guarded.TokenOf("other", "audit:read"))));

        ones.Should().Contain(reply => reply.Status == HttpStatusCode.OK);
        ShouldBeLimited([.. ones.Where(reply => reply.Status != HttpStatusCode.OK)]);
        others.Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
    }

    [Fact]
    public async Task While_the_database_hangs_a_read_times_out_and_a_posting_waits_for_its_outcome()
    {
        await using var proxy = new CommitProxy(database.ConnectionString);
        await using var bank = new BankingApp(
            database, null, ("ConnectionStrings:Banking", proxy.ConnectionString), ("Banking:ReadSeconds", "1"), ("Banking:RetrySeconds", "600"));
        var account = await bank.OpenAsync("10");
        proxy.Hang();

        var posting = bank.DepositAsync(account, "1", "the-key");
        var reply = await bank.GetAsync($"/api/get_one_account?account_id={account}").WaitAsync(TimeSpan.FromSeconds(10));

        reply.ShouldBeProblem(503, "database_unavailable");
        reply.Headers.RetryAfter!.Delta.Should().Be(TimeSpan.FromSeconds(2));
        posting.IsCompleted.Should().BeFalse();
        proxy.GoOn();
        (await posting).ShouldBeCreated();
        (await bank.BalanceAsync(account)).Should().Be("11.00");
    }

    [Theory]
    [InlineData("transaction_history?account_id={0}&limit=500")]
    [InlineData("statement?account_id={0}&from={1}&to={2}")]
    [InlineData("events?limit=500")]
    public async Task A_read_that_ends_just_in_time_is_answered_whole(string call)
    {
        var began = DateTime.UtcNow.AddSeconds(-1);
        await using var bank = new BankingApp(database, new LateTimer());
        var account = await bank.OpenAsync();
        var large = Enumerable.Range(0, 20).ToDictionary(i => $"{i}", _ => new string('x', 400));
        for (var i = 0; i < 20; i++)
        {
            (await bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", metadata = large })).ShouldBeCreated();
        }

        (await bank.BalanceAsync(account)).Should().Be("20.00");
        var now = (await bank.DepositAsync(account, "1")).Body.GetProperty("created_at").GetDateTime();
        var reply = await bank.GetAsync("/api/" + string.Format(CultureInfo.InvariantCulture, call, account, $"{began:O}", $"{now:O}"));

        ((int)reply.Status).Should().Be(200, "{0}", reply.Text);
        reply.Text.Length.Should().BeGreaterThan(20 * 20 * 400);
        bank.Complaints.Should().BeEmpty();
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Ten_thousand_idle_connections_disturb_nobody_and_are_closed_in_the_end()
    {
        const int Idle = 10_000;
        await using var service = new ServiceProcess(
            database.ConnectionString, $"book_{Guid.NewGuid():N}", ("Banking__KeepAliveSeconds", "15"), ("Banking__HeaderSeconds", "15"));
        await service.StartAsync();
        var account = await service.OpenAsync();
        var (before, since) = (service.Megabytes("VmHWM"), Stopwatch.GetTimestamp());

        var clients = new RawClient[Idle];
        await Parallel.ForEachAsync(Enumerable.Range(0, Idle), new ParallelOptions { MaxDegreeOfParallelism = 50 }, async (i, _) =>
        {
            clients[i] = await RawClient.ConnectAsync(service);
            if (i % 2 == 0)
            {
                await clients[i].SendAsync(Ask); // half a request, and never the rest
            }
        });
        var connected = Stopwatch.GetElapsedTime(since);
        var closed = Task.WhenAll(clients.Select(client => client.AnswersAsync(seconds: 120)));
        var waits = new List<TimeSpan>();
        var answered = 0;
        while (!closed.IsCompleted)
        {
            var asked = Stopwatch.GetTimestamp();
            (await service.DepositAsync(account, "1")).ShouldBeCreated();
            waits.Add(Stopwatch.GetElapsedTime(asked));
            answered += (await service.GetAsync("/health/ready")).Status == HttpStatusCode.OK ? 1 : 0;
        }

        waits.Sort();
        Report.Write(
            $"{Idle} connected after {connected.TotalSeconds:F1} s, all closed after {Stopwatch.GetElapsedTime(since).TotalSeconds:F1} s; {service.Megabytes("VmHWM") - before} MB more at most; "
            + $"beside them {waits.Count} deposits, median {waits[waits.Count / 2].TotalMilliseconds:F1} ms, longest {waits[^1].TotalMilliseconds:F0} ms.");
        (await closed).Where((_, i) => i % 2 == 0).Should().OnlyContain(answer => answer.StartsWith("HTTP/1.1 408 "));
        (await closed).Where((_, i) => i % 2 == 1).Should().OnlyContain(answer => answer.Length == 0);
        answered.Should().Be(waits.Count);
        waits[^1].Should().BeLessThan(TimeSpan.FromSeconds(1));
        service.Errors.Should().BeEmpty();
        Array.ForEach(clients, client => client.Dispose());
    }

    /// <summary>While the mischief lasts, a client with its own connection gets each answer within seconds.</summary>
    private static async Task BesideAGoodClientAsync(BankingApp bank, Task mischief)
    {
        var account = await bank.OpenAsync();
        var served = 0;
        do
        {
            var asked = Stopwatch.GetTimestamp();
            (await bank.DepositAsync(account, "1")).ShouldBeCreated();
            Stopwatch.GetElapsedTime(asked).Should().BeLessThan(TimeSpan.FromSeconds(5));
            served++;
        }
        while (!mischief.IsCompleted);

        await mischief;
        (await bank.Book.ScalarAsync<decimal>("SELECT balance FROM account WHERE account_id = @account;", new { account })).Should().Be(served);
    }

    /// <summary>Most of fifty requests at once, because only five a second are allowed.</summary>
    private static void ShouldBeLimited(List<Reply> refused)
    {
        refused.Should().HaveCountGreaterThan(30);
        refused.ForEach(reply => reply.ShouldBeProblem(429, "rate_limited"));
        refused.Should().OnlyContain(reply => reply.Headers.RetryAfter!.Delta == TimeSpan.FromSeconds(1));
    }

    private static Task<Reply> HeadAsync(GuardedBank guarded, string? token) => guarded.App.SendAsync(
        new(HttpMethod.Get, "/api/audit_head") { Headers = { Authorization = token is null ? null : new("Bearer", token) } });

    private static HttpClient From(string address, BankingApp bank) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (context, cancellation) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
            await socket.ConnectAsync(IPAddress.Loopback, context.DnsEndPoint.Port, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { BaseAddress = bank.Http.BaseAddress };

    /// <summary>Sends a good beginning, then a thousand bytes a second until the service answers.</summary>
    private static async Task TrickleAsync(RawClient client, string beginning, Task answer)
    {
        await client.SendAsync(beginning);
        while (await Task.WhenAny(answer, Task.Delay(100)) != answer)
        {
            await client.SendAsync(new string(' ', 100));
        }
    }

    /// <summary>The timer of a read's time fires just before the read ends, and is heard when the answer begins: a busy machine is that late.</summary>
    private sealed class LateTimer : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, following) =>
            {
                var timed = new Timed(context.Features.GetRequiredFeature<IHttpRequestLifetimeFeature>());
                context.Features.Set<IHttpRequestLifetimeFeature>(timed);
                context.Response.OnStarting(timed.HearAsync);
                return following(context);
            });
            next(app);
        };
    }

    private sealed class Timed(IHttpRequestLifetimeFeature client) : IHttpRequestLifetimeFeature
    {
        private CancellationTokenSource? timer;
        private CancellationToken? token;

        // The first one that is set has the timer of the read.
        public CancellationToken RequestAborted
        {
            get => token ?? client.RequestAborted;
            set
            {
                var isFirst = timer is null;
                timer ??= CancellationTokenSource.CreateLinkedTokenSource(value);
                token = isFirst ? timer.Token : value;
            }
        }

        public void Abort() => client.Abort();

        public Task HearAsync() => timer?.CancelAsync() ?? Task.CompletedTask;
    }
}
