using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Batches whose commit breaks, and batches that are large for the queue: each is made once or not at all.</summary>
public sealed class BatchFaultTests(TestDatabase database) : IAsyncDisposable
{
    private readonly CommitProxy proxy = new(database.ConnectionString);

    [Theory]
    [InlineData("58030")]
    [InlineData("XX000")]
    [InlineData("XX001")]
    public async Task What_the_database_itself_fails_is_a_503_and_never_its_neighbours(string sqlState)
    {
        await using var bank = new BankingApp(database);
        var account = await bank.OpenAsync("10");
        await bank.Book.ExecuteAsync($"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                RAISE EXCEPTION 'a page is damaged' USING ERRCODE = '{sqlState}';
            END;
            $body$;
            CREATE TRIGGER fail BEFORE INSERT ON hold FOR EACH ROW EXECUTE FUNCTION fail();
            """);
        Task<Reply>[] together;
        await using (await bank.Book.HoldHeadAsync())
        {
            together = [bank.DepositAsync(account, "1"), bank.PlaceHoldAsync(account, "1"), bank.DepositAsync(account, "1")];
            await Wait.UntilAsync(() => bank.Book.ScalarAsync<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted);"));
        }

        (await together[1]).ShouldBeProblem(503, "database_unavailable");
        (await together[0]).ShouldBeCreated();
        (await together[2]).ShouldBeCreated();
        (await bank.PlaceHoldAsync(account, "1")).ShouldBeProblem(503, "database_unavailable");
        bank.Complaints.Should().NotBeEmpty().And.NotContain(line => line.StartsWith("Error", StringComparison.Ordinal));
        bank.Complaints.Should().Contain(line => line.Contains($"{sqlState}: a page is damaged"));
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(Fault.CutAfterCommit)]
    [InlineData(Fault.CutBeforeCommit)]
    public async Task An_atomic_batch_whose_commit_is_cut_is_made_once_and_answered_as_if_nothing_happened(Fault fault)
    {
        const int Rounds = 20;
        await using var bank = Open();
        var (payer, payee) = (await bank.OpenAsync("1000"), await bank.OpenAsync());
        for (var round = 0; round < Rounds; round++)
        {
            var key = round % 2 == 0 ? $"batch-{round}" : null;
            proxy.Break([fault]);

            var reply = await bank.BatchAsync("atomic", [Transfer(payer, payee, "2"), Transfer(payee, payer, "1"), Transfer(payer, payee, "3")], key);

            reply.ShouldBeCreated();
            proxy.Faults.Should().Be(round + 1);
            reply.Body.GetProperty("transactions").GetArrayLength().Should().Be(3);
            (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM transaction_log;")).Should().Be(1 + (3 * (round + 1)));
            if (key is not null)
            {
                var again = await bank.BatchAsync("atomic", [Transfer(payer, payee, "2"), Transfer(payee, payer, "1"), Transfer(payer, payee, "3")], key);
                again.ShouldBeCreated(replayed: true);
                again.Text.Should().Be(reply.Text);
            }
        }

        Report.Write($"| an atomic batch whose commit's answer is lost ({fault}) | {Rounds} | {Rounds} times 201, made once |");
        (await bank.BalanceAsync(payee)).Should().Be($"{4 * Rounds}.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(Fault.DownAfterCommit)]
    [InlineData(Fault.SilenceAfterCommit)]
    public async Task An_atomic_batch_that_was_committed_behind_a_503_is_replayed_with_its_key(Fault fault)
    {
        await using var bank = Open(("Banking:RetrySeconds", "1"));
        var (payer, payee) = (await bank.OpenAsync("10"), await bank.OpenAsync());
        proxy.Break([fault]);

        (await bank.BatchAsync("atomic", [Transfer(payer, payee, "6"), Transfer(payee, payer, "1")], "the-key")).ShouldBeProblem(503, "database_unavailable");
        proxy.Break([]);
        var again = await bank.BatchAsync("atomic", [Transfer(payer, payee, "6"), Transfer(payee, payer, "1")], "the-key");

        again.ShouldBeCreated(replayed: true);
        (await bank.BalanceAsync(payee)).Should().Be("5.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData(Fault.CutAfterCommit)]
    [InlineData(Fault.CutBeforeCommit)]
    [InlineData(Fault.DownAfterCommit)]
    public async Task An_independent_batch_whose_commit_is_lost_makes_each_posting_once_and_later_those_it_refused(Fault fault)
    {
        await using var bank = Open(("Banking:RetrySeconds", "1"));
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        object[] postings = [Transfer(payer, payee, "60"), Transfer(payer, payee, "50"), Transfer(payer, payee, "40")];
        proxy.Break([fault]);

        var first = await bank.BatchAsync("independent", postings, "the-key");
        proxy.Break([]);
        var again = await bank.BatchAsync("independent", postings, "the-key");
        (await bank.DepositAsync(payer, "50")).ShouldBeCreated();
        var whole = await bank.BatchAsync("independent", postings, "the-key");
        var replayed = await bank.BatchAsync("independent", postings, "the-key");

        proxy.Faults.Should().Be(1);
        if (fault == Fault.DownAfterCommit)
        {
            first.ShouldBeProblem(503, "database_unavailable");
        }
        else
        {
            first.ShouldBeOk();
            (first.Id("posted"), first.Id("refused")).Should().Be((2, 1));
            Made(again).Should().Equal(Made(first));
        }

        again.ShouldBeOk();
        (again.Id("posted"), again.Id("refused")).Should().Be((2, 1));
        (whole.Id("posted"), whole.Id("refused")).Should().Be((3, 0));
        Made(whole).Should().Contain(Made(again));
        replayed.ShouldBeOk(replayed: true);
        replayed.Text.Should().Be(whole.Text);
        (await bank.BalanceAsync(payee)).Should().Be("150.00");
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    [Fact]
    public async Task A_batch_larger_than_what_the_queue_has_left_is_overloaded_and_leaves_nothing()
    {
        await using var bank = new BankingApp(database, null, ("Banking:QueueLimit", "10"));
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        await using var head = await bank.Book.HoldHeadAsync();
        var first = bank.DepositAsync(payee, "1");
        await head.BlocksAsync();
        var eight = bank.BatchAsync("atomic", Transfers(8));
        await bank.QueuedAsync(9);

        var two = await bank.BatchAsync("atomic", Transfers(2), "the-key");
        var one = bank.BatchAsync("atomic", Transfers(1));
        await bank.QueuedAsync(10);
        await head.DisposeAsync();

        two.ShouldBeProblem(503, "overloaded");
        two.Headers.RetryAfter.Should().NotBeNull();
        (await Task.WhenAll(first, eight, one)).Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await bank.BalanceAsync(payee)).Should().Be("10.00");
        (await bank.BatchAsync("atomic", Transfers(2), "the-key")).ShouldBeCreated();
        (await bank.BatchAsync("atomic", Transfers(11))).ShouldBeProblem(503, "overloaded");

        object[] Transfers(int number) => [.. Enumerable.Repeat(Transfer(payer, payee, "1"), number)];
    }

    [Fact]
    public async Task A_write_transaction_takes_batches_by_their_postings_and_a_larger_one_alone()
    {
        await using var bank = new BankingApp(database, null, ("Banking:BatchLimit", "10"));
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());
        var before = await bank.Book.ScalarAsync<long>("SELECT last_block_id FROM ledger_head;");
        var waiting = 1;
        var replies = new List<Task<Reply>>();
        await using (var head = await bank.Book.HoldHeadAsync())
        {
            replies.Add(bank.DepositAsync(payee, "1"));
            await head.BlocksAsync();
            foreach (var postings in new[] { 6, 4, 1, 9, 5, 25, 3 })
            {
                replies.Add(bank.BatchAsync("atomic", [.. Enumerable.Repeat(Transfer(payer, payee, "1"), postings)]));
                await bank.QueuedAsync(waiting += postings);
            }
        }

        (await Task.WhenAll(replies)).Should().OnlyContain(reply => reply.Status == HttpStatusCode.Created);
        (await bank.Book.ScalarAsync<string>(
            """
            SELECT string_agg(postings::text, ' ' ORDER BY block_id)
              FROM (SELECT block_id, last_transaction_id - lag(last_transaction_id) OVER (ORDER BY block_id) AS postings FROM ledger_block) AS block
             WHERE block_id > @before;
            """,
            new { before })).Should().Be("1 10 10 5 25 3");
    }

    public ValueTask DisposeAsync() => proxy.DisposeAsync();

    private BankingApp Open(params (string, string)[] settings) =>
        new(database, null, [.. settings, ("ConnectionStrings:Banking", proxy.ConnectionString)]);

    private static object Transfer(long from, long to, string amount) => new { type = "transfer", from_account_id = from, to_account_id = to, amount };

    private static IEnumerable<string> Made(Reply batch) => batch.Body.GetProperty("results").EnumerateArray()
        .Where(result => result.GetProperty("status").GetString() == "posted")
        .Select(result => result.GetProperty("transaction").GetRawText());
}
