using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using CsCheck;
using Dapper;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Random histories, sent to the service and told to the model: both answer the same and end with the same books.</summary>
public sealed class ReferenceLedgerTests(TestDatabase database, ITestOutputHelper output)
{
    /// <summary>A request in the making: its accounts, its transaction, its hold and its key are places in what the history has so far.</summary>
    private sealed record Step(string Kind, int One, int Other, decimal Amount, string Currency, decimal Limit, int Note, int Key)
    {
        /// <summary>Of a batch: its postings.</summary>
        public Step[] Parts { get; init; } = [];
    }

    private static readonly string[] OpenAtFirst = ["USD", "USD", "USD", "JPY", "KWD"];

    private static readonly Gen<Step> Parts = StepsOf("deposit", "withdrawal", "transfer", "transfer");

    private static readonly Gen<Step> Steps = Gen.Select(
        StepsOf(
            "open", "deposit", "withdrawal", "transfer", "transfer", "reverse", "reverse", "hold", "hold", "capture", "capture", "release", "batch", "batch", "batch",
            "again", "again", "again"),
        Parts.Array[1, 5],
        (step, parts) => step with { Parts = parts });

    private static Gen<Step> StepsOf(params string[] kinds) => Gen.Select(
        Gen.OneOf(kinds),
        Gen.Int[0, 29],
        Gen.Int[0, 29],
        Gen.OneOf(0m, 0.0001m, 0.001m, 0.01m, 0.5m, 1m, 1m, 2m, 2.50m, 3m, 3m, 4m, 5m, 7m, 10m, 20m, 50m),
        Gen.OneOf("USD", "USD", "USD", "JPY", "KWD"),
        Gen.OneOf(0m, 0m, 0.005m, 5m, 20m),
        Gen.Int[0, 2],
        Gen.Int[0, 31],
        (kind, one, other, amount, currency, limit, note, key) => new Step(kind, one, other, amount, currency, limit, note, key));

    [Fact]
    public Task Each_answer_of_a_history_is_the_model_s() => FollowOneAsync(iterations: 12);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task Each_answer_of_many_histories_is_the_model_s() => FollowOneAsync(seconds: 30);

    [Fact]
    public Task Histories_at_once_on_two_instances_are_one_history_of_the_model() => FollowManyAsync(iterations: 3);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task Many_histories_at_once_on_two_instances_are_one_history_of_the_model() => FollowManyAsync(seconds: 30);

    private async Task FollowOneAsync(int iterations = -1, int seconds = -1)
    {
        await using var bank = new BankingApp(database);
        var (histories, requests, outcomes) = (0, 0, new ConcurrentDictionary<string, int>());

        await Steps.Array[20, 60].SampleAsync(
            async steps =>
            {
                var model = await ModelOfAsync(bank);
                await OpenAtFirstAsync(bank, model);
                var (name, sent, texts) = ($"history-{++histories}", new List<Request>(), new Dictionary<string, string>());
                foreach (var step in steps)
                {
                    var request = Make(step, name, Ids.Of(model), sent);
                    sent.Add(request);
                    requests++;

                    var reply = await bank.PostAsync($"/api/{request.Call}", request.Body, request.Key);

                    var answer = Answer.Of(reply);
                    var newId = !answer.IsSuccess ? 0 : request is Opening ? reply.Id("account_id") : request is Holding ? reply.Id("hold_id") : 0;
                    answer.Should().Be(model.Send(request, newId), "this is the answer to {0}", request);
                    outcomes.AddOrUpdate($"{request.Call} {(answer.Replayed ? "replayed" : answer.IsSuccess ? "done" : answer.Text)}", 1, (_, count) => count + 1);
                    if (request is { Key: { } key } and not Batching { IsDryRun: true } && answer.IsSuccess)
                    {
                        texts[key] = answer.Replayed ? texts[key] : reply.Text;
                        reply.Text.Should().Be(texts[key], "it is answered as it was the first time");
                    }
                }

                await ShouldEndAsAsync(bank, model);
            },
            iter: iterations, time: seconds, threads: 1);

        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
        outcomes.Keys.Should().Contain(["reverse_transaction done", "place_hold done", "capture_hold done", "release_hold done", "batch done"], "every call has its place in the histories");
        output.WriteLine($"{histories} histories, {requests} requests\n{string.Join('\n', outcomes.OrderBy(outcome => outcome.Key, StringComparer.Ordinal).Select(outcome => $"{outcome.Key}: {outcome.Value}"))}");
    }

    private async Task FollowManyAsync(int iterations = -1, int seconds = -1)
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var (histories, requests) = (0, 0);

        // Each history is sent to both instances at once, so that its keys race against themselves.
        await Steps.Array[15, 30].Array[4].SampleAsync(
            async clients =>
            {
                var model = await ModelOfAsync(first);
                var name = $"histories-{++histories}";
                await OpenAtFirstAsync(first, model);
                var (ids, last) = (Ids.Of(model), await LastIdsAsync(first));
                var exchanges = (await Task.WhenAll(clients
                    .SelectMany(steps => new[] { (App: first, steps), (App: second, steps) })
                    .Select(client => SendAllAsync(client.App, client.steps, name, ids)))).SelectMany(sent => sent).ToList();
                requests += exchanges.Count;
                foreach (var (request, reply) in exchanges.Where(exchange => exchange.Request is Opening && IsFirst(exchange)))
                {
                    model.Open((Opening)request with { Deposit = 0 }, reply.Id("account_id"));
                }

                var texts = await FollowLogsAsync(first, model, last, exchanges);
                ShouldExplain(model, texts, exchanges);
                await ShouldEndAsAsync(second, model);
            },
            iter: iterations, time: seconds, threads: 1);

        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
        output.WriteLine($"{histories} times 8 clients, {requests} requests");
    }

    /// <summary>What a client can name: accounts, transactions and holds.</summary>
    private sealed record Ids(List<long> Accounts, List<long> Transactions, List<long> Holds)
    {
        public static Ids Of(ReferenceLedger model) =>
            new([.. model.Customers.Keys], [.. model.Log.Select(row => row.TransactionId)], [.. model.Holds.Keys]);
    }

    /// <summary>Opens accounts, and holds money of some: all clients want these.</summary>
    private static async Task OpenAtFirstAsync(BankingApp bank, ReferenceLedger model)
    {
        foreach (var currency in OpenAtFirst)
        {
            var opening = new Opening(null, "Someone", currency, 10, 5);
            model.Do(opening, (await bank.PostAsync("/api/create_account", opening.Body)).Id("account_id"));
        }

        var accounts = model.Customers.Keys.ToList();
        foreach (var holding in new Holding[] { new(null, accounts[0], accounts[1], 7, null), new(null, accounts[1], null, 5, null), new(null, accounts[2], accounts[0], 3, null) })
        {
            model.Do(holding, (await bank.PostAsync("/api/place_hold", holding.Body)).Id("hold_id"));
        }
    }

    /// <summary>
    /// Does what the logs say was done, in their order, with the requests that were answered with it. Everything in the logs is the
    /// answer of one request, and the model does the same. Gives the answers by the transaction, or by the hold and its event.
    /// </summary>
    private static async Task<Dictionary<(string, long), string>> FollowLogsAsync(
        BankingApp bank, ReferenceLedger model, (long Transaction, long Event) last, List<(Request Request, Reply Reply)> exchanges)
    {
        var texts = new Dictionary<(string, long), string>();
        var asked = exchanges
            .GroupBy(exchange => (object?)exchange.Request.Key ?? exchange.Reply)
            .SelectMany(sameKey => sameKey.SelectMany(MadeBy).Distinct())
            .ToLookup(made => (made.What, made.Id), made => made.By);
        var deeds = await DeedsAsync(bank, last);
        deeds.Select(deed => (deed.What, deed.Id)).Should().BeEquivalentTo(asked.Select(made => made.Key), "refusals and replays leave nothing behind");
        foreach (var (what, id, row) in deeds)
        {
            var answer = model.Do(asked[(what, id)].Should().ContainSingle("{0} {1} is the answer of one request", what, id).Subject, id);

            answer.IsSuccess.Should().BeTrue("{0} {1} is legal at its place: {2}", what, id, answer.Text);
            (row is null ? null : model.Log[^1]).Should().Be(row);
            texts.Add((what, id), answer.Text);
        }

        return texts;
    }

    /// <summary>What a request has left in the logs, as its answer says, each with the request that makes it alone.</summary>
    private static IEnumerable<(string What, long Id, Request By)> MadeBy((Request Request, Reply Reply) exchange)
    {
        var (request, reply) = exchange;
        return (int)reply.Status is not (200 or 201) ? [] : request switch
        {
            Opening { Deposit: 0 } or Batching { IsDryRun: true } => [],
            Opening opening => [("posting", reply.Id("transaction_id"), new Moving(null, "deposit", null, reply.Id("account_id"), opening.Deposit, null))],
            Holding => [("hold_placed", reply.Id("hold_id"), request)],
            Releasing => [("hold_released", reply.Id("hold_id"), request)],
            Batching batch => TransactionsOf(batch, reply)
                .Select((id, i) => ("posting", id, (Request)batch.Postings[i]))
                .Where(made => made.id is not null)
                .Select(made => (made.Item1, made.id!.Value, made.Item3)),
            _ => [("posting", reply.Id("transaction_id"), request)],
        };
    }

    /// <summary>Whether the request was done for this answer. Of an independent batch there can be several.</summary>
    private static bool IsFirst((Request Request, Reply Reply) exchange) =>
        !exchange.Reply.Replayed && (exchange.Request is Opening ? (int)exchange.Reply.Status == 201 : MadeBy(exchange).Any());

    /// <summary>The transactions of a batch's postings; null where a posting was refused.</summary>
    private static IEnumerable<long?> TransactionsOf(Batching batch, Reply reply) => batch is { IsAtomic: true, IsDryRun: false }
        ? reply.Body.GetProperty("transactions").EnumerateArray().Select(row => (long?)row.GetProperty("transaction_id").GetInt64())
        : reply.Body.GetProperty("results").EnumerateArray()
            .Select(result => result.TryGetProperty("transaction", out var row) ? row.GetProperty("transaction_id").GetInt64() : (long?)null);

    /// <summary>Every answer has its reason in the logs.</summary>
    private static void ShouldExplain(ReferenceLedger model, Dictionary<(string, long), string> texts, List<(Request Request, Reply Reply)> exchanges)
    {
        var firsts = exchanges
            .Where(exchange => exchange.Request.Key is not null && IsFirst(exchange))
            .ToLookup(exchange => exchange.Request.Key);
        firsts.Should().AllSatisfy(first => first.Select(exchange => exchange.Request).Distinct().Should().ContainSingle("a key is one request's"));
        foreach (var (request, reply) in exchanges)
        {
            var answer = Answer.Of(reply);
            if (answer.IsSuccess)
            {
                answer.Text.Should().Be(TextOf(request, reply), "this is the answer to {0}", request);
            }

            if (answer.Replayed)
            {
                firsts[request.Key].Should().Contain(first => first.Request == request && first.Reply.Text == reply.Text);
            }

            if (answer.Text == "idempotency_key_reused")
            {
                firsts[request.Key].First().Request.Should().NotBe(request, "the key belongs to another request");
            }
            else if (!answer.IsSuccess)
            {
                Explains(answer, request).Should().BeTrue("{0} is the answer to {1}", answer, request);
            }
        }

        string TextOf(Request request, Reply reply) => request switch
        {
            Opening opening => ReferenceLedger.TextOf(opening, reply.Id("account_id"), opening.Deposit > 0 ? reply.Id("transaction_id") : null),
            Batching { IsAtomic: true, IsDryRun: false } => ReferenceLedger.TextOf(MadeBy((request, reply)).Select(made => model.TransactionOf(made.Id)!)),
            Batching batch => EachOf(batch, reply),
            _ => texts[MadeBy((request, reply)).Select(made => (made.What, made.Id)).Single()],
        };

        // The rows are in the log, and the refusals have their reasons. The rows of a dry run are nowhere: no refusal may be due.
        string EachOf(Batching batch, Reply reply)
        {
            var results = JsonSerializer.Deserialize<JsonElement>(Answer.Timeless(reply.Body)).GetProperty("results").EnumerateArray().ToList();
            var codes = results.ConvertAll(result => result.TryGetProperty("problem", out var code) ? code.GetString() : null);
            foreach (var (i, code) in codes.Index())
            {
                (code is null ? model.RefusalOf(batch.Postings[i]) is null : IsExplained(batch, i, code)).Should().BeTrue("{0} is what became of {1}", code, batch.Postings[i]);
            }

            return batch.IsDryRun
                ? Answer.Timeless(reply.Body)
                : ReferenceLedger.TextOf([.. TransactionsOf(batch, reply).Zip(codes, (id, code) => (id is null ? null : model.TransactionOf(id.Value), code))], isDryRun: false);
        }

        bool Explains(Answer answer, Request request) => (request, answer.Text) switch
        {
            (Moving { From: { } from } moving, "insufficient_funds") => model.RefusalOf(moving) is null && WasShort(from, moving.Amount),
            (Holding holding, "insufficient_funds") => Explains(answer, holding.Payment),
            (Reversing reversing, "insufficient_funds") => model.RefusalOf(reversing) is null
                && model.TransactionOf(reversing.TransactionId) is { } original && WasShort(original.ToAccountId, reversing.Amount ?? original.Amount),
            (Reversing reversing, "already_reversed") => model.LeftOf(reversing.TransactionId) == 0,
            (Reversing reversing, "reversal_amount_exceeded") => reversing.Amount > model.LeftOf(reversing.TransactionId),
            (Capturing { HoldId: var id }, "hold_not_pending") => model.Holds[id].Status != "pending",
            (Releasing { HoldId: var id }, "hold_not_pending") => model.Holds[id].Status != "pending",
            (Capturing { HoldId: var id, Amount: var amount }, "capture_amount_exceeded") => amount > model.Holds[id].Asked.Amount - model.Holds[id].Captured,
            (Batching { IsAtomic: true } batch, _) when answer.Text.Split(" at ") is [var code, var index] =>
                IsExplained(batch, int.Parse(index, CultureInfo.InvariantCulture), code)
                && batch.Postings.Take(int.Parse(index, CultureInfo.InvariantCulture)).All(posting => model.RefusalOf(posting) is null),
            _ => answer == model.RefusalOf(request),
        };

        // Of a batch, the postings before it may have used what there was.
        bool IsExplained(Batching batch, int index, string code) => code == "insufficient_funds"
            ? batch.Postings[index] is { From: { } from } posting && model.RefusalOf(posting) is null
                && WasShort(from, batch.Postings.Take(index + 1).Where(one => one.From == from).Sum(one => one.Amount))
            : code == model.RefusalOf(batch.Postings[index])?.Text;

        bool WasShort(long accountId, decimal amount) =>
            model.Customers.TryGetValue(accountId, out var account) && account.Lowest - amount < -account.Limit;
    }

    private static async Task<List<(Request Request, Reply Reply)>> SendAllAsync(BankingApp bank, Step[] steps, string name, Ids shared)
    {
        var exchanges = new List<(Request Request, Reply Reply)>();
        var ids = new Ids(shared.Accounts, [.. shared.Transactions], [.. shared.Holds]);
        foreach (var step in steps)
        {
            var request = Make(step, name, ids, [.. exchanges.Select(exchange => exchange.Request)]);
            exchanges.Add((request, await bank.PostAsync($"/api/{request.Call}", request.Body, request.Key)));
            foreach (var (what, id, _) in MadeBy(exchanges[^1]))
            {
                (what == "posting" ? ids.Transactions : ids.Holds).Add(id);
            }
        }

        return exchanges;
    }

    private static Request Make(Step step, string history, Ids known, List<Request> sent)
    {
        // Some accounts are nobody's: one that was never opened, and a settlement account.
        var (one, other) = (Account(step.One), Account(step.Other));
        var note = step.Note == 0 ? null : $"note {step.Note}";
        var key = step.Key < 16 ? $"{history}-key-{step.Key}" : null;
        decimal? amount = step.Note == 2 ? null : step.Amount;
        return step.Kind switch
        {
            "again" when sent.Count > 0 => sent[((step.One * 30) + step.Other) % sent.Count],
            "deposit" => new Moving(key, "deposit", null, one, step.Amount, note),
            "withdrawal" => new Moving(key, "withdrawal", one, null, step.Amount, note),
            "transfer" => new Moving(key, "transfer", one, other, step.Amount, note),
            "reverse" => new Reversing(key, Place(known.Transactions), amount, note),
            "hold" => new Holding(key, one, step.Note == 1 ? null : other, step.Amount, note),
            "capture" => new Capturing(key, Place(known.Holds), amount, step.Limit > 0),
            "release" => new Releasing(key, Place(known.Holds)),
            "batch" => new Batching(
                key, step.Note == 0, step.Limit > 5, [.. step.Parts.Select(part => (Moving)Make(part, history, known, sent) with { Key = null })]),
            _ => new Opening(key, note ?? "Someone", step.Currency, step.Amount, step.Limit),
        };

        long Account(int place) => place == 28 ? 9_000_000_000 : place == 29 ? 840 : known.Accounts[place % known.Accounts.Count];

        // One of the last ten, so that many want the same one; or none.
        long Place(List<long> ids) => step.One == 29 ? 9_000_000_000 : ids[^((step.One % Math.Min(ids.Count, 10)) + 1)];
    }

    /// <summary>The model of a book that has seen other histories: it knows where they left the settlement accounts and the head.</summary>
    private static async Task<ReferenceLedger> ModelOfAsync(BankingApp bank)
    {
        var model = new ReferenceLedger(await bank.Book.ScalarAsync<long>("SELECT last_transaction_id FROM ledger_head;"));
        foreach (var (currency, (settlement, _)) in ReferenceLedger.Currencies)
        {
            var balance = await bank.Book.ScalarAsync<decimal>("SELECT balance FROM account WHERE account_id = @settlement;", new { settlement });
            model.Settlements[currency] = new(currency, limit: 0, balance);
        }

        return model;
    }

    private static async Task<(long Transaction, long Event)> LastIdsAsync(BankingApp bank)
    {
        await using var session = await bank.Book.SessionAsync();
        return await session.QuerySingleAsync<(long, long)>("SELECT last_transaction_id, last_account_event_id FROM ledger_head;");
    }

    /// <summary>Both logs in one order: the postings, the placing of holds, and those releases that no capture did.</summary>
    private static async Task<List<(string What, long Id, Posted? Row)>> DeedsAsync(BankingApp bank, (long Transaction, long Event) after)
    {
        const string PostingsSql = """
            SELECT transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, reference
                 , reverses_transaction_id, hold_id
              FROM transaction_log
             WHERE transaction_id > @Transaction;
            """;
        const string EventsSql = """
            SELECT event.type, event.hold_id, event.after_transaction_id, event.account_event_id
              FROM account_log AS event
              LEFT JOIN transaction_log AS capture USING (client_id, idempotency_key)
             WHERE event.account_event_id > @Event
               AND event.hold_id IS NOT NULL
               AND capture.transaction_id IS NULL;
            """;
        await using var session = await bank.Book.SessionAsync();
        var postings = await session.QueryAsync<Posted>(PostingsSql, new { after.Transaction });
        var events = await session.QueryAsync<(string Type, long HoldId, long After, long Id)>(EventsSql, new { after.Event });
        return
        [
            .. postings.Select(row => (Place: (row.TransactionId, 0L), What: "posting", Id: row.TransactionId, Row: (Posted?)row))
                .Concat(events.Select(row => (Place: (row.After, row.Id), What: row.Type, Id: row.HoldId, Row: (Posted?)null)))
                .OrderBy(deed => deed.Place)
                .Select(deed => (deed.What, deed.Id, deed.Row)),
        ];
    }

    private static async Task ShouldEndAsAsync(BankingApp bank, ReferenceLedger model)
    {
        foreach (var (id, account) in model.Customers)
        {
            var shown = await bank.AccountAsync(id);
            (shown["balance"], shown["held"], shown["available"]).Should().Be((
                ReferenceLedger.Wire(account.Balance, account.Currency), ReferenceLedger.Wire(account.Held, account.Currency),
                ReferenceLedger.Wire(account.Balance - account.Held + account.Limit, account.Currency)));
            var expected = model.Log.Where(row => row.FromAccountId == id || row.ToAccountId == id)
                .Select(row => row.EntryOf(id, model.ReversalsOf(row.TransactionId).Select(reversal => reversal.TransactionId))).Reverse();
            (await bank.HistoryAsync(id)).Select(Answer.Timeless).Should().Equal(expected);
        }

        foreach (var (id, hold) in model.Holds)
        {
            Answer.Of(await bank.OneHoldAsync(id)).Text.Should().Be(hold.Text);
        }

        foreach (var original in model.Log.Where(row => model.ReversalsOf(row.TransactionId).Any()))
        {
            (await bank.GetAsync($"/api/get_one_transaction?transaction_id={original.TransactionId}"))["reversed_amount"]
                .Should().Be(ReferenceLedger.Wire(original.Amount - model.LeftOf(original.TransactionId), original.Currency));
        }

        foreach (var (currency, account) in model.Settlements)
        {
            (await bank.BalanceAsync(ReferenceLedger.Currencies[currency].Settlement)).Should().Be(ReferenceLedger.Wire(account.Balance, currency));
        }
    }
}
