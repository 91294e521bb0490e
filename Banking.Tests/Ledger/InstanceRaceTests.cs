using FluentAssertions;

namespace Banking.Tests;

/// <summary>Two instances of the service on one book.</summary>
public sealed class TwoInstances(TestDatabase database) : IAsyncLifetime
{
    public BankingApp First { get; } = new(database);

    public BankingApp Second { get; private set; } = null!;

    public ValueTask InitializeAsync()
    {
        Second = new(database, First.Book.Schema);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await Second.DisposeAsync();
        await First.DisposeAsync();
    }
}

/// <summary>Requests that exclude each other, sent at the same moment to two instances: each outcome occurs, and no other.</summary>
public sealed class InstanceRaceTests(TwoInstances instances) : IClassFixture<TwoInstances>
{
    private const int Rounds = 100;

    private readonly BankingApp bank = instances.First;

    [Fact]
    public async Task Of_two_final_captures_of_one_hold_exactly_one_pays()
    {
        var (payer, shop) = (await bank.OpenAsync("7000"), await bank.OpenAsync());

        await RaceAsync(
            "two final captures of one hold",
            () => bank.HoldAsync(payer, "70", shop),
            (own, hold) => own.CaptureAsync(hold, "60"),
            (own, hold) => own.CaptureAsync(hold),
            "201, 409 hold_not_pending", "409 hold_not_pending, 201");

        (await bank.AccountAsync(payer))["held"].Should().Be("0.00");
        (await bank.Book.ScalarAsync<long>("SELECT count(*) FROM transaction_log WHERE to_account_id = @shop;", new { shop })).Should().Be(Rounds);
    }

    [Fact]
    public async Task Of_two_captures_of_more_than_a_half_exactly_one_pays()
    {
        var payer = await bank.OpenAsync("7000");

        await RaceAsync(
            "two captures that are not final, of 40 of a hold of 70",
            () => bank.HoldAsync(payer, "70"),
            (own, hold) => own.CaptureAsync(hold, "40", final: false),
            (own, hold) => own.CaptureAsync(hold, "40", final: false),
            "201, 422 capture_amount_exceeded", "422 capture_amount_exceeded, 201");

        var now = await bank.AccountAsync(payer);
        (now["balance"], now["held"]).Should().Be(("3000.00", "3000.00"));
    }

    [Fact]
    public async Task A_capture_a_release_and_the_expiry_of_one_hold_end_it_once()
    {
        var account = await bank.OpenAsync("7000");
        var outcomes = new List<string>();
        for (var round = 0; round < Rounds; round++)
        {
            var due = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp() + interval '100 ms';");
            var placed = await bank.PlaceHoldAsync(account, "70", expiresAt: due);
            if (placed.Code == "validation_failed")
            {
                continue; // a slow machine: it was due before it was placed
            }

            var hold = placed.Id("hold_id");
            // From well before its time to a little after it.
            var lead = new { due, ms = round % 5 * 10 };
            await Wait.UntilAsync(async () => await bank.Book.ScalarAsync<bool>("SELECT clock_timestamp() >= @due - @ms * interval '1 ms';", lead));
            var (capturing, releasing) = InTurn(round);
            var replies = await AtOnceAsync(round % 3 == 0, () => capturing.CaptureAsync(hold), () => releasing.ReleaseAsync(hold));
            var outcome = (Said(replies[0]), Said(replies[1])) switch
            {
                ("201", "409 hold_not_pending") => "captured",
                ("409 hold_not_pending", "200") => "released",
                ("409 hold_not_pending", "409 hold_not_pending") => "expired",
                var other => $"{other}",
            };
            (await bank.OneHoldAsync(hold))["status"].Should().Be(outcome, "this is round {0}", round);
            outcomes.Add(outcome);
        }

        WriteRow("capture against release against expiry", outcomes);
        outcomes.Distinct().Should().BeEquivalentTo("captured", "released", "expired");
        var now = await bank.AccountAsync(account);
        now["held"].Should().Be("0.00");
        now["balance"].Should().Be($"{7000 - (70 * outcomes.Count(outcome => outcome == "captured"))}.00");
        await ShouldBeRightAsync();
    }

    [Fact]
    public async Task Of_two_reversals_of_the_last_cent_exactly_one_gives_it_back()
    {
        var (payer, payee) = (await bank.OpenAsync("100"), await bank.OpenAsync());

        await RaceAsync(
            "two reversals of the last cent",
            async () =>
            {
                var original = (await bank.TransferAsync(payer, payee, "1")).Id("transaction_id");
                (await bank.ReverseAsync(original, "0.99")).ShouldBeCreated();
                return original;
            },
            (own, original) => own.ReverseAsync(original),
            (own, original) => own.ReverseAsync(original, "0.01"),
            "201, 409 already_reversed", "409 already_reversed, 201");

        (await bank.BalanceAsync(payer)).Should().Be("100.00");
        (await bank.BalanceAsync(payee)).Should().Be("0.00");
    }

    [Fact]
    public async Task Of_a_hold_and_a_withdrawal_of_the_same_money_exactly_one_gets_it() => await RaceAsync(
        "hold against withdrawal for the same money",
        () => bank.OpenAsync("70"),
        (own, account) => own.PlaceHoldAsync(account, "70"),
        (own, account) => own.WithdrawAsync(account, "70"),
        "201, 422 insufficient_funds", "422 insufficient_funds, 201");

    [Fact]
    public async Task Of_a_closing_and_a_deposit_exactly_one_is_done() => await RaceAsync(
        "close against deposit",
        () => bank.OpenAsync(),
        (own, account) => own.CloseAsync(account),
        (own, account) => own.DepositAsync(account, "1"),
        "200, 409 account_closed", "409 account_not_empty, 201");

    [Fact]
    public async Task Of_a_closing_and_a_hold_exactly_one_is_done() => await RaceAsync(
        "close against hold",
        () => bank.OpenAsync(overdraftLimit: "1"),
        (own, account) => own.CloseAsync(account),
        (own, account) => own.PlaceHoldAsync(account, "1"),
        "200, 409 account_closed", "409 account_has_holds, 201");

    [Fact]
    public async Task A_transfer_is_made_before_the_freeze_or_not_at_all()
    {
        var payee = await bank.OpenAsync();

        await RaceAsync(
            "freeze against transfer",
            () => bank.OpenAsync("5"),
            (own, account) => own.FreezeAsync(account),
            (own, account) => own.TransferAsync(account, payee, "5"),
            "200, 409 account_frozen", "200, 201");

        // The log has every transfer before its payer's freeze.
        (await bank.Book.ScalarAsync<long>(
            "SELECT count(*) FROM transaction_log AS log JOIN account_log AS event ON event.account_id = from_account_id AND event.type = 'frozen' WHERE to_account_id = @payee AND transaction_id > after_transaction_id;",
            new { payee })).Should().Be(0);
    }

    [Theory]
    [InlineData("atomic", "100")]
    [InlineData("independent", "2")]
    public async Task The_same_batch_from_twenty_clients_with_one_key_is_made_once(string mode, string balance)
    {
        const int Clients = 20;
        var outcomes = new List<string>();
        for (var round = 0; round < 30; round++)
        {
            // The last posting of the independent batch is refused each time, and decided anew.
            var (payer, payee, key) = (await bank.OpenAsync(balance), await bank.OpenAsync(), $"batch-{Guid.NewGuid()}");
            object[] postings = [Transfer(payer, payee, "2"), Transfer(payee, payer, "1"), Transfer(payer, payee, "3")];
            var (one, other) = InTurn(round);

            var replies = await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => (client % 2 == 0 ? one : other).BatchAsync(mode, postings, key)));

            replies.Should().OnlyContain(reply => reply.Code == null, "this is round {0}", round);
            var made = mode == "atomic" ? 3 : 2;
            replies.SelectMany(TransactionIds).Distinct().Should().HaveCount(made, "this is round {0}", round);
            (await bank.HistoryAsync(payer)).Should().HaveCount(1 + made);
            replies.Count(reply => !reply.Replayed).Should().Be(mode == "atomic" ? 1 : Clients);
            outcomes.Add(mode == "atomic"
                ? $"made by the {(Array.FindIndex(replies, reply => !reply.Replayed) % 2 == round % 2 ? "first" : "second")} instance, 19 replays"
                : "20 times 2 posted once and 1 refused");
        }

        WriteRow($"the same {mode} batch from twenty clients with one key", outcomes);
        await ShouldBeRightAsync();
    }

    /// <summary>
    /// Sends two requests at once, each to its own instance, many times. Both instances take both sides, and each side is sent first as often
    /// as the other. Both outcomes have to occur: else the two never met.
    /// </summary>
    private async Task RaceAsync(
        string race, Func<Task<long>> prepare, Func<BankingApp, long, Task<Reply>> one, Func<BankingApp, long, Task<Reply>> other, string oneWins, string otherWins)
    {
        var subjects = await Task.WhenAll(Enumerable.Range(0, Rounds).Select(_ => prepare()));
        var (outcomes, overtaken) = (new List<string>(), 0);
        for (var round = 0; round < Rounds; round++)
        {
            var (ones, others) = InTurn(round);
            var isOneFirst = round / 2 % 2 == 0;
            var replies = await AtOnceAsync(isOneFirst, () => one(ones, subjects[round]), () => other(others, subjects[round]));

            outcomes.Add(string.Join(", ", replies.Select(Said)));
            overtaken += outcomes[^1] == (isOneFirst ? otherWins : oneWins) ? 1 : 0;
        }

        WriteRow(race, outcomes, $"; the request that was sent second won {overtaken} times");
        outcomes.Distinct().Should().BeEquivalentTo(oneWins, otherWins);
        await ShouldBeRightAsync();
    }

    private static Task<Reply[]> AtOnceAsync(bool isOneFirst, Func<Task<Reply>> one, Func<Task<Reply>> other)
    {
        if (isOneFirst)
        {
            return Task.WhenAll(one(), other());
        }

        var sent = other();
        return Task.WhenAll(one(), sent);
    }

    private (BankingApp One, BankingApp Other) InTurn(int round) => round % 2 == 0 ? (bank, instances.Second) : (instances.Second, bank);

    private async Task ShouldBeRightAsync()
    {
        bank.Complaints.Concat(instances.Second.Complaints).Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
    }

    private static void WriteRow(string race, List<string> outcomes, string more = "") => Report.Write(
        $"| {race} | {outcomes.Count} | {string.Join("; ", outcomes.GroupBy(outcome => outcome).OrderBy(group => group.Key).Select(group => $"{group.Count()} times {group.Key}"))}{more} |");

    private static string Said(Reply reply) => $"{(int)reply.Status} {reply.Code}".TrimEnd();

    private static object Transfer(long from, long to, string amount) => new { type = "transfer", from_account_id = from, to_account_id = to, amount };

    private static IEnumerable<long> TransactionIds(Reply batch) => batch.Body.TryGetProperty("transactions", out var all)
        ? all.EnumerateArray().Select(made => made.GetProperty("transaction_id").GetInt64())
        : batch.Body.GetProperty("results").EnumerateArray()
            .Where(result => result.GetProperty("status").GetString() == "posted")
            .Select(result => result.GetProperty("transaction").GetProperty("transaction_id").GetInt64());
}
