using System.Diagnostics;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A page that waits for the next event.</summary>
public sealed class LongPollTests(TestDatabase database) : IAsyncDisposable
{
    private readonly BankingApp bank = new(database, null, ("Banking:ReadSeconds", "1"));

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_page_that_waits_gets_a_commit_of_its_instance_at_once()
    {
        var account = await bank.OpenAsync("1");
        var took = new List<TimeSpan>();

        for (var round = 1; round <= 20; round++)
        {
            var waiting = await WaitAsync($"{round}-1");
            await bank.DepositAsync(account, "1");
            var posted = Stopwatch.GetTimestamp();
            var page = SeenEvent.In(await waiting);
            took.Add(Stopwatch.GetElapsedTime(posted));
            page.Select(seen => seen.Id).Should().Equal($"{round + 1}-1");
        }

        took.Sort();
        Report.Write($"Woken after a commit of the same instance: median {took[10].TotalMilliseconds:F1} ms, longest {took[^1].TotalMilliseconds:F1} ms.");
        took[10].Should().BeLessThan(TimeSpan.FromMilliseconds(100), "it does not wait for the next look");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_page_that_waits_gets_a_commit_of_another_instance_within_a_second()
    {
        var account = await bank.OpenAsync("1");
        await using var other = new BankingApp(database, bank.Book.Schema);
        var waiting = await WaitAsync("1-1");

        await other.DepositAsync(account, "1");
        var posted = Stopwatch.GetTimestamp();

        SeenEvent.In(await waiting).Select(seen => seen.Id).Should().Equal("2-1");
        Stopwatch.GetElapsedTime(posted).Should().BeLessThan(TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task A_page_that_waits_for_nothing_is_empty_when_its_time_is_up_even_if_that_is_longer_than_a_read_may_take()
    {
        await bank.OpenAsync();
        var asked = Stopwatch.GetTimestamp();

        var page = await bank.GetAsync("/api/events?after=0-1&wait=2");

        page.Text.Should().Be("[]");
        Stopwatch.GetElapsedTime(asked).Should().BeGreaterThan(TimeSpan.FromSeconds(1.9)).And.BeLessThan(TimeSpan.FromSeconds(10));
        bank.Complaints.Should().BeEmpty();
    }

    [Fact]
    public async Task A_page_that_finds_events_does_not_wait()
    {
        await bank.OpenAsync("1");
        var asked = Stopwatch.GetTimestamp();

        SeenEvent.In(await bank.GetAsync("/api/events?wait=30")).Should().HaveCount(2);
        SeenEvent.In(await bank.GetAsync("/api/events?wait=30&limit=1&after=0-1")).Should().ContainSingle();

        Stopwatch.GetElapsedTime(asked).Should().BeLessThan(TimeSpan.FromSeconds(10));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Many_that_wait_at_different_places_each_get_what_follows_theirs(bool isPostedByAnotherInstance)
    {
        var account = await bank.OpenAsync("1");
        await using var other = new BankingApp(database, bank.Book.Schema);
        var readers = Enumerable.Range(0, 30).Select(async reader =>
        {
            var (seen, after) = (new List<string>(), "0-0");
            while (seen.Count < 102)
            {
                var page = SeenEvent.In(await bank.GetAsync($"/api/events?after={after}&wait=30&limit={reader + 1}"));
                page.Should().NotBeEmpty();
                seen.AddRange(page.Select(one => one.Id));
                after = seen[^1];
            }

            return seen;
        }).ToList();

        for (var number = 0; number < 100; number++)
        {
            await (isPostedByAnotherInstance ? other : bank).DepositAsync(account, "1");
        }

        foreach (var seen in await Task.WhenAll(readers))
        {
            seen.Should().Equal(Enumerable.Range(0, 102).Select(transaction => $"{transaction}-1"));
        }
    }

    /// <summary>Returns when the page waits.</summary>
    private async Task<Task<Reply>> WaitAsync(string after)
    {
        var waiting = bank.GetAsync($"/api/events?after={after}&wait=30");
        await bank.FollowedAsync(1);
        waiting.IsCompleted.Should().BeFalse();
        return waiting;
    }

    public ValueTask DisposeAsync() => bank.DisposeAsync();
}
