using System.Net;
using System.Net.Sockets;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The real program is told to stop, or clients hang up. No accepted request is lost, and none is half done.</summary>
public sealed class ShutdownTests : IAsyncDisposable
{
    private const int Waiting = 100;
    private const string Ready = "GET /health/ready HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n";

    private readonly TestDatabase database;
    private readonly ServiceProcess service;
    private readonly BookInspector book;

    public ShutdownTests(TestDatabase database)
    {
        this.database = database;
        var schema = $"book_{Guid.NewGuid():N}";
        (service, book) = (new(database.ConnectionString, schema, ("Banking__QueueLimit", $"{Waiting}")), new(database.ConnectionString, schema));
    }

    [Fact]
    public async Task Told_to_stop_it_answers_every_accepted_request_refuses_new_connections_and_exits_with_0()
    {
        await service.StartAsync();
        var account = await service.OpenAsync();
        await using var head = await book.HoldHeadAsync();
        var queued = await QueuedAsync(account);

        await service.TerminateAsync();
        await RefusedAsync(service);
        queued.Should().OnlyContain(reply => !reply.IsCompleted);
        await head.DisposeAsync();

        var replies = await Task.WhenAll(queued);
        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created && !reply.Replayed);
        (await service.ExitCodeAsync(TimeSpan.FromSeconds(10))).Should().Be(0);
        var postings = await book.PostingsAsync();
        postings.Select(posting => posting.TransactionId).Should().BeEquivalentTo(replies.Select(reply => reply.Id("transaction_id")));
        service.Errors.Should().BeEmpty();
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task After_the_longest_draining_there_is_still_time_to_answer_waiting_requests()
    {
        await using var patient = new ServiceProcess(database.ConnectionString, service.Schema, ("Banking__DrainSeconds", "5"));
        await patient.StartAsync();
        var account = await patient.OpenAsync();
        await using var head = await book.HoldHeadAsync();
        var waiting = patient.DepositAsync(account, "1");

        await patient.TerminateAsync();
        await RefusedAsync(patient);
        await head.DisposeAsync();

        (await waiting).ShouldBeCreated();
        (await patient.ExitCodeAsync(TimeSpan.FromSeconds(10))).Should().Be(0);
    }

    [Fact]
    public async Task Told_to_stop_it_reports_not_ready_before_it_refuses_connections()
    {
        await service.StartAsync();
        (await NewcomerAsync(service, Ready)).Should().StartWith("HTTP/1.1 200");

        await service.TerminateAsync();
        var heard = new List<string>();
        while (await NewcomerAsync(service, Ready) is { } answer)
        {
            heard.Add(answer);
        }

        heard.Should().Contain(
            answer => answer.StartsWith("HTTP/1.1 503") && answer.Contains("the service is shutting down"), "a load balancer has to hear of it before its clients do");
    }

    [Fact]
    public async Task Told_to_stop_while_the_database_hangs_it_exits_within_ten_seconds_and_leaves_no_half_posting()
    {
        await service.StartAsync();
        var account = await service.OpenAsync("5");
        await using var head = await book.HoldHeadAsync();
        var queued = await QueuedAsync(account);

        await service.TerminateAsync();

        (await service.ExitCodeAsync(TimeSpan.FromSeconds(10))).Should().Be(0);
        foreach (var reply in queued)
        {
            await reply.ContinueWith(answered => answered.IsFaulted.Should().BeTrue("nobody can know yet"), TaskScheduler.Default);
        }

        await head.DisposeAsync();
        (await book.PostingsAsync()).Should().ContainSingle("only the opening was acknowledged");
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task Clients_that_hang_up_leave_whole_postings_or_none()
    {
        await service.StartAsync();
        var (one, other) = (await service.OpenAsync("1000"), await service.OpenAsync("1000"));

        for (var round = 0; round < 300; round++)
        {
            var request = RequestOf("transaction", $$"""{"from_account_id":{{one}},"to_account_id":{{other}},"amount":"1"}""", round);
            using var client = await RawClient.ConnectAsync(service);
            // Every way to hang up: politely or with a reset; in the middle of the body, at its end, or after a later request was answered.
            await client.SendAsync(round % 3 == 0 ? request[..^5] : request);
            if (round % 3 == 2)
            {
                (await service.DepositAsync(other, "1")).ShouldBeCreated();
            }

            if (round % 2 == 0)
            {
                client.Reset();
            }
        }

        (await book.FailedChecksAsync()).Should().BeEmpty();
        // A retry with the key finds it done, or does it.
        var replies = new List<Reply>();
        for (var round = 0; round < 300; round++)
        {
            replies.Add(await service.TransferAsync(one, other, "1", $"key-{round}"));
        }

        replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        replies.Where((reply, round) => round % 3 == 0).Should().OnlyContain(reply => !reply.Replayed, "half a request is none");
        replies.Where((reply, round) => round % 3 == 2).Should().Contain(reply => reply.Replayed, "whoever was served before it hung up was served");
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"Posted, of 100 each that hung up at the end: {replies.Where((_, round) => round % 3 == 1).Count(reply => reply.Replayed)}; later: {replies.Where((_, round) => round % 3 == 2).Count(reply => reply.Replayed)}.");
        (await service.BalanceAsync(other)).Should().Be("1400.00");
        (await book.PostingsAsync()).Should().HaveCount(402).And.OnlyHaveUniqueItems(posting => posting.IdempotencyKey);
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task Requests_of_clients_that_hang_up_while_they_wait_are_still_posted()
    {
        await service.StartAsync();
        var account = await service.OpenAsync();
        await using var head = await book.HoldHeadAsync();
        var clients = new List<(RawClient Client, int Round, Task<bool> Answer)>();
        for (var round = 0; round < Waiting + 20; round++)
        {
            var client = await RawClient.ConnectAsync(service);
            await client.SendAsync(RequestOf("deposit", $$"""{"account_id":{{account}},"amount":"1"}""", round));
            clients.Add((client, round, client.IsAnsweredAsync()));
        }

        // The queue refuses 20 of them. So the others are in it.
        var answered = new HashSet<Task<bool>>();
        await foreach (var answer in Task.WhenEach(clients.Select(client => client.Answer)).Take(20))
        {
            answered.Add(answer);
        }

        foreach (var (client, round, _) in clients)
        {
            if (round % 2 == 0)
            {
                client.Reset();
            }

            client.Dispose();
        }

        await head.DisposeAsync();

        foreach (var (_, round, answer) in clients)
        {
            Reply again;
            do
            {
                again = await service.DepositAsync(account, "1", $"key-{round}");
            }
            while (again.Code == "overloaded"); // until the queue has room again

            again.ShouldBeCreated(replayed: !answered.Contains(answer));
        }

        (await book.PostingsAsync()).Should().HaveCount(Waiting + 20);
        (await book.FailedChecksAsync()).Should().BeEmpty();
        service.Errors.Should().BeEmpty();
    }

    private static string RequestOf(string call, string body, int round) => RawClient.Post(call, body, $"Idempotency-Key: key-{round}");

    /// <summary>Fills the queue. It is full when the requests beyond it have been refused.</summary>
    private async Task<List<Task<Reply>>> QueuedAsync(long account)
    {
        var sent = Enumerable.Range(0, Waiting + 20).Select(_ => service.DepositAsync(account, "1", Guid.NewGuid().ToString())).ToList();
        await foreach (var refused in Task.WhenEach(sent).Take(20))
        {
            (await refused).Code.Should().Be("overloaded");
            sent.Remove(refused);
        }

        return sent;
    }

    /// <summary>Returns when the service refuses new connections.</summary>
    private static Task RefusedAsync(ServiceProcess service) => Wait.UntilAsync(
        async () => await NewcomerAsync(service, "GET /health/live HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n") is null, seconds: 10);

    /// <summary>What a client with a new connection is answered, or null if it gets no connection.</summary>
    private static async Task<string?> NewcomerAsync(ServiceProcess service, string request)
    {
        try
        {
            using var client = await RawClient.ConnectAsync(service);
            await client.SendAsync(request);
            return await client.AnswersAsync();
        }
        catch (SocketException)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        await book.DisposeAsync();
    }
}
