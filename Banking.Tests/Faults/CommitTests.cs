using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The connection to the database breaks exactly at a commit, so the service can't know whether the commit happened.</summary>
public sealed class CommitTests(TestDatabase database) : IAsyncDisposable
{
    private const string AllDone = "SELECT count(*) FROM transaction_log;";

    private readonly CommitProxy proxy = new(database.ConnectionString);

    public enum Verb
    {
        Deposit,
        Withdraw,
        Transfer,
        CreateAccount,
    }

    [Theory]
    [InlineData(Fault.CutBeforeCommit, false)]
    [InlineData(Fault.CutBeforeCommit, true)]
    [InlineData(Fault.CutAfterCommit, false)]
    [InlineData(Fault.CutAfterCommit, true)]
    public async Task A_call_whose_commit_is_cut_is_done_once_and_says_so(Fault fault, bool hasKey)
    {
        await using var bank = Open();
        foreach (var verb in Enum.GetValues<Verb>())
        {
            var key = hasKey ? $"{verb}" : null;
            var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
            var before = await EffectsAsync(bank);
            var faults = proxy.Faults;
            proxy.Break([fault]);

            var reply = await SendAsync(bank, verb, one, other, key);

            reply.ShouldBeCreated();
            proxy.Faults.Should().Be(faults + 1);
            await ThereIsOneAsync(bank, verb, one, other, before, reply);
            if (key is not null)
            {
                var again = await SendAsync(bank, verb, one, other, key);
                again.ShouldBeCreated(replayed: true);
                again.Text.Should().Be(reply.Text);
                await ThereIsOneAsync(bank, verb, one, other, before, reply);
            }
        }

        bank.Complaints.Should().NotBeEmpty().And.OnlyContain(line =>
            line.StartsWith("Warning: The database failed a batch of 1 requests (attempt 1)", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(Fault.CutAfterCommit)]
    [InlineData(Fault.CutBeforeCommit)]
    [InlineData(Fault.CutBeforeCommit, Fault.CutBeforeCommit, Fault.CutBeforeCommit)]
    [InlineData(Fault.CutBeforeCommit, Fault.CutAfterCommit)]
    public async Task A_batch_whose_commit_is_cut_gives_every_request_its_own_answer_once(params Fault[] faults)
    {
        await using var bank = Open();
        var (one, other, poor) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"), await bank.OpenAsync());
        // The first waits for the head; all others wait behind it and are one batch.
        var (first, waiting) = await HeldAsync(bank, () => bank.DepositAsync(one, "1"), () =>
        [
            .. Enumerable.Range(0, 50).SelectMany(i => new[]
            {
                bank.DepositAsync(one, "1", i % 2 == 0 ? $"deposit-{i}" : null),
                bank.WithdrawAsync(one, "1", i % 2 == 0 ? $"withdraw-{i}" : null),
                bank.TransferAsync(one, other, "1", i % 2 == 0 ? $"transfer-{i}" : null),
                SendAsync(bank, Verb.CreateAccount, one, other, i % 2 == 0 ? $"open-{i}" : null),
                bank.WithdrawAsync(poor, "1", $"poor-{i}"),
            }),
            bank.DepositAsync(other, "7", "twice"),
            bank.DepositAsync(other, "7", "twice"),
        ], faults);

        var replies = await Task.WhenAll(waiting);
        first.ShouldBeCreated();
        proxy.Faults.Should().Be(faults.Length);
        var posted = replies.Where(reply => reply.Status == HttpStatusCode.Created).ToList();
        posted.Should().HaveCount(202);
        posted.Count(reply => reply.Replayed).Should().Be(1, "of the two with one key only the second is a replay");
        replies.Except(posted).Should().HaveCount(50).And.OnlyContain(reply => reply.Code == "insufficient_funds");
        (await bank.Book.ScalarAsync<long>(AllDone)).Should().Be(2 + 1 + 201);
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE kind = 'customer';")).Should().Be(3 + 50);
        (await bank.BalanceAsync(one)).Should().Be("51.00");
        (await bank.BalanceAsync(other)).Should().Be("157.00");
        var again = await Task.WhenAll(
            bank.DepositAsync(one, "1", "deposit-2"), bank.TransferAsync(one, other, "1", "transfer-2"), SendAsync(bank, Verb.CreateAccount, one, other, "open-2"));
        again.Should().OnlyContain(reply => reply.Replayed);
        again.Select(reply => reply.Text).Should().BeSubsetOf(replies.Select(reply => reply.Text));
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task While_every_commit_is_cut_a_call_is_refused_in_time_and_its_client_can_try_again()
    {
        await using var bank = Open(("Banking:RetrySeconds", "1"));
        var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));
        proxy.Break(Enumerable.Repeat(Fault.CutBeforeCommit, 1_000));

        foreach (var verb in Enum.GetValues<Verb>())
        {
            var refused = await SendAsync(bank, verb, one, other, $"{verb}");
            refused.ShouldBeProblem(503, "database_unavailable");
            refused.Headers.RetryAfter.Should().NotBeNull();
        }

        proxy.Faults.Should().BeGreaterThan(8, "each was tried again and again");
        (await bank.Book.ScalarAsync<long>(AllDone)).Should().Be(2);
        proxy.Break([]);
        foreach (var verb in Enum.GetValues<Verb>())
        {
            (await SendAsync(bank, verb, one, other, $"{verb}")).ShouldBeCreated();
        }

        (await bank.Book.ScalarAsync<long>(AllDone)).Should().Be(6);
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory]
    [InlineData(Fault.DownAfterCommit)]
    [InlineData(Fault.SilenceAfterCommit)]
    public async Task A_client_that_was_told_503_after_all_was_committed_finds_out_with_its_key(Fault fault)
    {
        await using var bank = Open(("Banking:RetrySeconds", "1"));
        var (one, other) = (await bank.OpenAsync("100"), await bank.OpenAsync("100"));

        foreach (var verb in Enum.GetValues<Verb>())
        {
            proxy.Break([fault]);
            var refused = await SendAsync(bank, verb, one, other, $"{verb}");
            refused.ShouldBeProblem(503, "database_unavailable");
            refused.Headers.RetryAfter.Should().NotBeNull();
            proxy.Break([]);

            var posted = await SendAsync(bank, verb, one, other, $"{verb}");

            posted.ShouldBeCreated(replayed: true);
        }

        (await bank.Book.ScalarAsync<long>(AllDone)).Should().Be(6);
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    private BankingApp Open(params (string, string)[] settings) =>
        new(database, null, [.. settings, ("ConnectionStrings:Banking", proxy.ConnectionString)]);

    private static Task<Reply> SendAsync(BankingApp bank, Verb verb, long one, long other, string? key) => verb switch
    {
        Verb.Deposit => bank.DepositAsync(one, "30", key),
        Verb.Withdraw => bank.WithdrawAsync(one, "30", key),
        Verb.Transfer => bank.TransferAsync(one, other, "30", key),
        _ => bank.PostAsync("/api/create_account", new { owner_name = "Newcomer", initial_deposit = "30" }, key),
    };

    private static async Task<(long Postings, long Head, long Accounts)> EffectsAsync(BankingApp bank) => (
        await bank.Book.ScalarAsync<long>(AllDone),
        await bank.Book.ScalarAsync<long>("SELECT last_transaction_id FROM ledger_head;"),
        await bank.Book.ScalarAsync<long>("SELECT count(*) FROM account WHERE kind = 'customer';"));

    /// <summary>The call had exactly one effect: the one in its answer.</summary>
    private static async Task ThereIsOneAsync(
        BankingApp bank, Verb verb, long one, long other, (long Postings, long Head, long Accounts) before, Reply reply)
    {
        (await EffectsAsync(bank)).Should().Be(
            (before.Postings + 1, before.Head + 1, before.Accounts + (verb == Verb.CreateAccount ? 1 : 0)), "it was to {0} once", verb);
        var (ones, others) = verb switch
        {
            Verb.Deposit => ("130.00", "100.00"),
            Verb.Withdraw => ("70.00", "100.00"),
            Verb.Transfer => ("70.00", "130.00"),
            _ => ("100.00", "100.00"),
        };
        (await bank.BalanceAsync(one)).Should().Be(ones);
        (await bank.BalanceAsync(other)).Should().Be(others);
        if (verb == Verb.CreateAccount)
        {
            (await bank.GetAsync($"/api/get_one_account?account_id={reply["account_id"]}")).Text.Should().Be(reply.AccountText());
        }
        else
        {
            (await bank.GetAsync($"/api/get_one_transaction?transaction_id={reply["transaction_id"]}")).TransactionText().Should().Be(reply.Text);
        }

        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    /// <summary>Sends a first request that waits for the head, then the others behind it. Releases the head when all wait, and breaks the commit of the others.</summary>
    private async Task<(Reply First, List<Task<Reply>> Waiting)> HeldAsync(
        BankingApp bank, Func<Task<Reply>> first, Func<List<Task<Reply>>> others, Fault[] faults)
    {
        await using var head = await bank.Book.HoldHeadAsync();
        var reply = first();
        await head.BlocksAsync();
        var waiting = others();
        await bank.QueuedAsync(waiting.Count + 1);
        proxy.Break(faults, spared: 1);
        await head.DisposeAsync();
        return (await reply, waiting);
    }

    public ValueTask DisposeAsync() => proxy.DisposeAsync();
}
