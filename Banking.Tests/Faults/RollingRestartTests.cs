using System.Collections.Concurrent;
using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Two instances of one book restart in turn under load, as in an update. No client notices.</summary>
public sealed class RollingRestartTests(TestDatabase database)
{
    [Fact]
    public async Task Restarted_in_turn_under_load_no_request_fails()
    {
        var schema = $"book_{Guid.NewGuid():N}";
        await using var one = new ServiceProcess(database.ConnectionString, schema);
        await using var other = new ServiceProcess(database.ConnectionString, schema);
        await using var book = new BookInspector(database.ConnectionString, schema);
        await Task.WhenAll(one.StartAsync(), other.StartAsync());
        var account = await one.OpenAsync();
        using var balancer = new Balancer(one, other);
        var replies = new ConcurrentQueue<(ServiceProcess By, Reply Reply)>();
        var failures = new ConcurrentQueue<string>();
        using var enough = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                try
                {
                    var by = balancer.Next();
                    replies.Enqueue((by, await by.DepositAsync(account, "1", Guid.NewGuid().ToString()))); // sent once
                }
                catch (Exception exception) when (exception is HttpRequestException or InvalidOperationException)
                {
                    failures.Enqueue(exception.ToString());
                    return;
                }
            }
        })).ToList();

        foreach (var instance in new[] { one, other, one, other })
        {
            await ServedAsync(instance);
            await instance.RestartAsync();
        }

        await ServedAsync(other);
        await enough.CancelAsync();
        await Task.WhenAll(clients);

        failures.Should().BeEmpty();
        replies.Should().OnlyContain(served => served.Reply.Status == HttpStatusCode.Created && !served.Reply.Replayed);
        TestContext.Current.TestOutputHelper?.WriteLine($"{replies.Count} requests, {replies.Count(served => served.By == one)} of them served by the one and the rest by the other.");
        (await book.PostingsAsync()).Should().HaveCount(replies.Count);
        (await book.FailedChecksAsync()).Should().BeEmpty();
        one.Errors.Concat(other.Errors).Should().BeEmpty();

        // Both serve again, and have answered more requests since.
        Task ServedAsync(ServiceProcess instance)
        {
            var (before, since) = (replies.Count, replies.Count(served => served.By == instance));
            return Wait.UntilAsync(() => !failures.IsEmpty || (replies.Count >= before + 200 && replies.Count(served => served.By == instance) >= since + 50));
        }
    }

    /// <summary>Gives each request to the next instance that is ready. It asks them ten times a second and, as load balancers do, believes the third "no" in a row.</summary>
    private sealed class Balancer : IDisposable
    {
        private readonly ServiceProcess[] instances;
        private readonly CancellationTokenSource closed = new();
        private ServiceProcess[] ready;
        private int turn;

        public Balancer(params ServiceProcess[] instances)
        {
            this.instances = ready = instances;
            _ = Task.Run(AskAsync);
        }

        public ServiceProcess Next() => Volatile.Read(ref ready) is { Length: > 0 } some
            ? some[(Interlocked.Increment(ref turn) & int.MaxValue) % some.Length]
            : throw new InvalidOperationException("No instance is ready.");

        public void Dispose() => closed.Cancel();

        private async Task AskAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
            var refusals = new int[instances.Length];
            while (await timer.WaitForNextTickAsync(closed.Token))
            {
                var answers = await Task.WhenAll(instances.Select(IsReadyAsync));
                refusals = [.. refusals.Select((before, i) => answers[i] ? 0 : before + 1)];
                Volatile.Write(ref ready, [.. instances.Where((_, i) => refusals[i] < 3)]);
            }
        }

        private static async Task<bool> IsReadyAsync(ServiceProcess instance)
        {
            try
            {
                return (await instance.GetAsync("/health/ready")).Status == HttpStatusCode.OK;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }
    }
}
