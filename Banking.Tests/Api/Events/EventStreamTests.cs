using FluentAssertions;

namespace Banking.Tests;

/// <summary>The stream of server-sent events.</summary>
public sealed class EventStreamTests(TestDatabase database)
{
    [Fact]
    public async Task A_stream_shows_what_is_there_and_then_what_comes()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("1");
        using var stream = await EventSubscriber.ConnectAsync(bank.Http);

        var old = await stream.TakeAsync(2);
        await bank.DepositAsync(account, "1");
        var fresh = await stream.TakeAsync(1);

        old.Concat(fresh).Select(seen => seen.Event.GetRawText()).Should().Equal(
            SeenEvent.In(await bank.GetAsync("/api/events")).Select(seen => seen.Event.GetRawText()), "a page shows the same");
        old.Concat(fresh).Should().OnlyContain(seen => seen.Id == seen.Event.GetProperty("id").GetString());
        stream.Retry.Should().Be("1000");
        stream.Response.Content.Headers.ContentType!.ToString().Should().Be("text/event-stream");
        stream.Response.Headers.GetValues("X-Accel-Buffering").Should().Equal("no");
        stream.Response.Headers.CacheControl!.NoStore.Should().BeTrue();
        stream.Response.Headers.Contains("traceresponse").Should().BeTrue();
    }

    [Fact]
    public async Task A_client_that_connects_again_goes_on_after_its_last_id()
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("1");
        await Task.WhenAll(Enumerable.Range(0, 700).Select(_ => bank.DepositAsync(account, "1")));
        var (seen, last) = (new List<string>(), (string?)null);

        foreach (var count in new[] { 1, 99, 600, 2 })
        {
            using var stream = await EventSubscriber.ConnectAsync(bank.Http, "?after=0-0", last);
            seen.AddRange((await stream.TakeAsync(count)).Select(one => one.Id));
            last = seen[^1];
        }

        seen.Should().Equal(Enumerable.Range(0, 702).Select(transaction => $"{transaction}-1"));
    }

    [Fact]
    public async Task An_idle_stream_has_a_heartbeat_and_goes_on()
    {
        await using var bank = new BankingApp(database, new FastTime());
        await bank.OpenAsync();
        using var stream = await EventSubscriber.ConnectAsync(bank.Http, "?after=0-1");

        await Wait.UntilAsync(async () => await stream.NextAsync() is null && stream.Heartbeats >= 3);
        await bank.OpenAsync();

        (await stream.TakeAsync(1)).Single().Id.Should().Be("0-2");
    }

    [Fact]
    public async Task A_stream_ends_with_its_token()
    {
        await using var guarded = new GuardedBank(database);
        var token = new Token(GuardedBank.Issuer, "client", "events:read").With("exp", Token.At(-28)); // clocks may differ by 30 s
        using var lasting = await EventSubscriber.ConnectAsync(guarded.App.Http, token: guarded.TokenOf("client", "events:read"));
        using var stream = await EventSubscriber.ConnectAsync(guarded.App.Http, token: token.Signed(guarded.Keys[0]));

        await stream.EndAsync(seconds: 10);

        stream.HasEnded.Should().BeTrue();
        var goesOn = async () => await lasting.EndAsync(seconds: 1);
        await goesOn.Should().ThrowAsync<OperationCanceledException>();
        lasting.HasEnded.Should().BeFalse();
        var again = () => EventSubscriber.ConnectAsync(guarded.App.Http, token: token.Signed(guarded.Keys[0]));
        (await again.Should().ThrowAsync<InvalidOperationException>()).Which.Message.Should().Contain("unauthorized");
    }

    [Fact]
    public async Task A_client_that_leaves_ends_its_stream_at_once()
    {
        await using var bank = new BankingApp(database);
        var streams = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => EventSubscriber.ConnectAsync(bank.Http)));
        await bank.FollowedAsync(20);

        foreach (var stream in streams)
        {
            stream.Dispose();
        }

        await bank.FollowedAsync(0, seconds: 3);
        bank.Complaints.Should().BeEmpty();
    }
}
