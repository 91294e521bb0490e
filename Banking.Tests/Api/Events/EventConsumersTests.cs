using System.Diagnostics;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Consumers of events at two instances that are killed again and again under load. They get every row of both logs once, in order.</summary>
public sealed class EventConsumersTests(TestDatabase database)
{
    /// <summary>Both logs in one order, by SQL: the id of each event and the id of its row.</summary>
    private const string LogSql = """
        SELECT string_agg(id, ' ' ORDER BY transaction_id, account_event_id)
          FROM (SELECT transaction_id
                     , 0 AS account_event_id
                     , transaction_id || '-' || (SELECT count(*) FROM account_log WHERE after_transaction_id < transaction_id) || ':t' || transaction_id AS id
                  FROM transaction_log
                 UNION ALL
                SELECT after_transaction_id
                     , account_event_id
                     , after_transaction_id || '-' || account_event_id || ':e' || account_event_id
                  FROM account_log) AS events;
        """;

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Consumers_of_two_instances_that_are_killed_under_load_miss_nothing_and_see_nothing_twice()
    {
        var schema = $"book_{Guid.NewGuid():N}";
        await using var book = new BookInspector(database.ConnectionString, schema);
        await using var first = new ServiceProcess(database.ConnectionString, schema);
        await using var second = new ServiceProcess(database.ConnectionString, schema);
        ServiceProcess[] services = [first, second];
        await first.StartAsync();
        await second.StartAsync();
        var accounts = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => first.OpenAsync("1000", overdraftLimit: "100000")));
        var (made, kills) = (0, 0);
        using var loaded = new CancellationTokenSource();

        var writers = Enumerable.Range(0, 16).Select(writer => Task.Run(async () =>
        {
            var random = new Random(writer);
            for (var round = 0; !loaded.IsCancellationRequested; round++)
            {
                var (service, one, other) = (services[writer % 2], accounts[random.Next(4)], accounts[4 + random.Next(4)]);
                try
                {
                    var reply = await ((round % 4) switch
                    {
                        0 => service.ChangeAsync(one, overdraftLimit: $"{random.Next(1_000, 100_000)}"),
                        1 => service.PlaceHoldAsync(one, "1", expiresAt: DateTime.UtcNow.AddSeconds(1)),
                        _ => service.TransferAsync(one, other, "1"),
                    });
                    _ = (int)reply.Status < 300 ? Interlocked.Increment(ref made) : made;
                }
                catch (HttpRequestException)
                {
                    await service.UpAsync(); // killed: what this request did is in the log or not
                }
            }
        })).ToList();
        var polled = services.Select(service => (Name: "long poll", Seen: PollAsync(service))).ToList();
        var streamed = services.Select(service => (Name: "stream", Seen: StreamAsync(service))).ToList();

        for (; kills < 8; kills++)
        {
            var (victim, killed) = (services[kills % 2], Stopwatch.GetTimestamp());
            var target = made + 1_000;
            await Wait.UntilAsync(() => Volatile.Read(ref made) > target || Stopwatch.GetElapsedTime(killed) > TimeSpan.FromSeconds(10));
            await victim.KillAsync();
            await victim.StartAsync();
        }

        await loaded.CancelAsync();
        await Task.WhenAll(writers);
        await Wait.UntilAsync(async () => await book.ScalarAsync<long>("SELECT count(*) FROM hold WHERE status = 'pending';") == 0);
        last = await book.ScalarAsync<string>("SELECT last_transaction_id || '-' || last_account_event_id FROM ledger_head;");

        var log = (await book.ScalarAsync<string>(LogSql))!.Split(' ');
        var all = await Task.WhenAll(polled.Concat(streamed).Select(async one => (one.Name, Seen: await one.Seen.WaitAsync(TimeSpan.FromSeconds(60)))));
        Report.Write(
            $"The logs have {log.Length} rows; {kills} kills. "
            + string.Join("; ", all.Select(one => $"{one.Name}: {one.Seen.Events.Count} events, {one.Seen.Reconnects} reconnects")));
        all.Should().OnlyContain(one => one.Seen.Reconnects > 0);
        foreach (var (_, seen) in all)
        {
            seen.Events.Should().Equal(log);
        }

        log.Should().HaveCountGreaterThan(1_000);
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    private volatile string? last;

    private sealed record Seen(List<string> Events, int Reconnects);

    private async Task<Seen> PollAsync(ServiceProcess service)
    {
        var (events, after, reconnects) = (new List<string>(), "0-0", 0);
        while (after != last)
        {
            try
            {
                var page = await service.GetAsync($"/api/events?after={after}&limit=500&wait=1");
                if (page.ContentType != "application/cloudevents-batch+json")
                {
                    page.Code.Should().BeOneOf("database_unavailable", "overloaded");
                    continue;
                }

                foreach (var seen in SeenEvent.In(page))
                {
                    events.Add(RowOf(seen));
                    after = seen.Id;
                }
            }
            catch (HttpRequestException)
            {
                reconnects++;
                await service.UpAsync();
            }
        }

        return new(events, reconnects);
    }

    private async Task<Seen> StreamAsync(ServiceProcess service)
    {
        var (events, id, reconnects) = (new List<string>(), (string?)null, 0);
        while (id is null || id != last)
        {
            try
            {
                using var stream = await EventSubscriber.ConnectAsync(service.Http, lastEventId: id);
                while (!stream.HasEnded && (id is null || id != last))
                {
                    using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2)); // to see whether that was the last
                    if (await stream.NextAsync(patience.Token) is { } seen)
                    {
                        events.Add(RowOf(seen));
                        id = seen.Id;
                    }
                }
            }
            catch (OperationCanceledException)
            {
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException)
            {
                reconnects++;
                await service.UpAsync();
            }
        }

        return new(events, reconnects);
    }

    private static string RowOf(SeenEvent seen) => seen.Event.GetProperty("data").EnumerateObject().Single() is { Name: "transaction", Value: var transaction }
        ? $"{seen.Id}:t{transaction.GetProperty("transaction_id")}"
        : $"{seen.Id}:e{seen.Row.GetProperty("account_event_id")}";
}
