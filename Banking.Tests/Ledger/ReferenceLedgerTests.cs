using CsCheck;
using Dapper;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Random histories, sent to the service and told to the model: both answer the same and end with the same books.</summary>
public sealed class ReferenceLedgerTests(TestDatabase database, ITestOutputHelper output)
{
    /// <summary>A request in the making: its accounts and its key are places in what the history has so far.</summary>
    private sealed record Step(string Kind, int One, int Other, decimal Amount, string Currency, decimal Limit, int Note, int Key);

    private static readonly string[] OpenAtFirst = ["USD", "USD", "USD", "JPY", "KWD"];

    private static readonly Gen<Step> Steps = Gen.Select(
        Gen.OneOf("open", "deposit", "withdrawal", "transfer", "transfer", "transfer", "again", "again"),
        Gen.Int[0, 9],
        Gen.Int[0, 9],
        Gen.OneOf(0m, 0.0001m, 0.001m, 0.01m, 0.5m, 1m, 2.50m, 3m, 7m, 10m, 20m, 50m),
        Gen.OneOf("USD", "USD", "USD", "JPY", "KWD"),
        Gen.OneOf(0m, 0m, 0.005m, 5m, 20m),
        Gen.Int[0, 2],
        Gen.Int[0, 15],
        (kind, one, other, amount, currency, limit, note, key) => new Step(kind, one, other, amount, currency, limit, note, key));

    [Fact]
    public Task Each_answer_of_a_history_is_the_model_s() => FollowOneAsync(iterations: 12);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task Each_answer_of_many_histories_is_the_model_s() => FollowOneAsync(seconds: 60);

    [Fact]
    public Task Histories_at_once_on_two_instances_are_one_history_of_the_model() => FollowManyAsync(iterations: 3);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task Many_histories_at_once_on_two_instances_are_one_history_of_the_model() => FollowManyAsync(seconds: 60);

    private async Task FollowOneAsync(int iterations = -1, int seconds = -1)
    {
        await using var bank = new BankingApp(database);
        var (histories, requests) = (0, 0);

        await Steps.Array[20, 60].SampleAsync(
            async steps =>
            {
                var model = await ModelOfAsync(bank);
                var (name, sent, texts) = ($"history-{++histories}", new List<Request>(), new Dictionary<string, string>());
                foreach (var step in steps)
                {
                    var request = Make(step, name, [.. model.Customers.Keys], sent);
                    sent.Add(request);
                    requests++;

                    var reply = await bank.PostAsync($"/api/{request.Call}", request.Body, request.Key);

                    var answer = Answer.Of(reply);
                    var accountId = answer.Status == 201 && request is Opening ? reply.Id("account_id") : 0;
                    answer.Should().Be(model.Send(request, accountId), "this is the answer to {0}", request);
                    if (request.Key is { } key && answer.Status == 201)
                    {
                        texts.TryAdd(key, reply.Text);
                        reply.Text.Should().Be(texts[key], "it is answered as it was the first time");
                    }
                }

                await ShouldEndAsAsync(bank, model);
            },
            iter: iterations, time: seconds, threads: 1);

        bank.Complaints.Should().BeEmpty();
        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
        output.WriteLine($"{histories} histories, {requests} requests");
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
                foreach (var currency in OpenAtFirst)
                {
                    var opening = new Opening(null, "Someone", currency, 10, 5);
                    model.Open(opening, (await first.PostAsync("/api/create_account", opening.Body)).Id("account_id"));
                }

                var (accounts, opened) = (model.Customers.Keys.ToList(), model.Log.Count);
                var exchanges = (await Task.WhenAll(clients
                    .SelectMany(steps => new[] { (App: first, steps), (App: second, steps) })
                    .Select(client => SendAllAsync(client.App, client.steps, name, accounts)))).SelectMany(sent => sent).ToList();
                requests += exchanges.Count;

                var log = await LogAsync(first, after: model.Log[^1].TransactionId);
                foreach (var (request, reply) in FirstsOf(exchanges))
                {
                    if (request is Opening opening)
                    {
                        model.Open(opening with { Deposit = 0 }, reply.Id("account_id"));
                    }
                }

                foreach (var (row, _) in log)
                {
                    model.Post(Asked(row)).Status.Should().Be(201, "{0} is legal at its place", row);
                    model.Log[^1].Should().Be(row);
                }

                ShouldExplain(model, log.ToDictionary(entry => entry.Row.TransactionId), exchanges);
                await ShouldEndAsAsync(second, model);
            },
            iter: iterations, time: seconds, threads: 1);

        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
        output.WriteLine($"{histories} times 8 clients, {requests} requests");
    }

    /// <summary>Every answer has its reason in the log, and everything in the log is somebody's answer, once.</summary>
    private static void ShouldExplain(ReferenceLedger model, Dictionary<long, (Posted Row, string Key)> log, List<(Request Request, Reply Reply)> exchanges)
    {
        var firsts = FirstsOf(exchanges);
        firsts.Count(first => first.Request is Moving or Opening { Deposit: > 0 }).Should().Be(log.Count, "refusals and replays leave nothing behind");
        var winners = firsts.Where(first => first.Request.Key is not null).ToDictionary(first => first.Request.Key!);
        foreach (var (request, reply) in exchanges)
        {
            var answer = Answer.Of(reply);
            switch (request, answer)
            {
                case (_, { Status: 201 }):
                    if (request is Opening opening)
                    {
                        long? deposit = opening.Deposit > 0 ? reply.Id("transaction_id") : null;
                        answer.Text.Should().Be(ReferenceLedger.TextOf(opening, reply.Id("account_id"), deposit));
                        if (deposit is not null)
                        {
                            var row = log[deposit.Value].Row;
                            (row.Type, row.ToAccountId, row.Amount).Should().Be(("deposit", reply.Id("account_id"), opening.Deposit));
                        }
                    }
                    else
                    {
                        var (row, key) = log[reply.Id("transaction_id")];
                        answer.Text.Should().Be(row.Text);
                        (Asked(row) with { Key = request.Key }).Should().Be(request);
                        key.Should().Be(request.Key ?? key);
                    }

                    if (request.Key is not null)
                    {
                        winners[request.Key].Request.Should().Be(request);
                        reply.Text.Should().Be(winners[request.Key].Reply.Text);
                    }

                    break;
                case (_, { Text: "idempotency_key_reused" }):
                    winners[request.Key!].Request.Should().NotBe(request, "the key belongs to another request");
                    break;
                case (Moving { From: { } from } moving, { Status: 422, Text: "insufficient_funds" }):
                    model.RefusalOf(request).Should().BeNull();
                    (model.Customers[from].Lowest - moving.Amount).Should().BeLessThan(-model.Customers[from].Limit);
                    break;
                default:
                    answer.Should().Be(model.RefusalOf(request), "this is the answer to {0}", request);
                    break;
            }
        }
    }

    private static async Task<List<(Request Request, Reply Reply)>> SendAllAsync(BankingApp bank, Step[] steps, string name, List<long> accounts)
    {
        var exchanges = new List<(Request Request, Reply Reply)>();
        foreach (var step in steps)
        {
            var request = Make(step, name, accounts, [.. exchanges.Select(exchange => exchange.Request)]);
            exchanges.Add((request, await bank.PostAsync($"/api/{request.Call}", request.Body, request.Key)));
        }

        return exchanges;
    }

    private static Request Make(Step step, string history, List<long> accounts, List<Request> sent)
    {
        // The last two are nobody's: one that was never opened, and a settlement account.
        List<long> ids = [.. accounts, 9_000_000_000, 840];
        var (one, other) = (ids[step.One % ids.Count], ids[step.Other % ids.Count]);
        var note = step.Note == 0 ? null : $"note {step.Note}";
        var key = step.Key < 8 ? $"{history}-key-{step.Key}" : null;
        return step.Kind switch
        {
            "again" when sent.Count > 0 => sent[((step.One * 10) + step.Other) % sent.Count],
            "deposit" => new Moving(key, "deposit", null, one, step.Amount, note),
            "withdrawal" => new Moving(key, "withdrawal", one, null, step.Amount, note),
            "transfer" => new Moving(key, "transfer", one, other, step.Amount, note),
            _ => new Opening(key, note ?? "Someone", step.Currency, step.Amount, step.Limit),
        };
    }

    private static Moving Asked(Posted row) => new(
        Key: null, row.Type, row.Type == "deposit" ? null : row.FromAccountId, row.Type == "withdrawal" ? null : row.ToAccountId, row.Amount, row.Reference);

    private static List<(Request Request, Reply Reply)> FirstsOf(List<(Request Request, Reply Reply)> exchanges) =>
        [.. exchanges.Where(exchange => (int)exchange.Reply.Status == 201 && !exchange.Reply.Replayed)];

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

    private static async Task<List<(Posted Row, string Key)>> LogAsync(BankingApp bank, long after)
    {
        const string Sql = """
            SELECT transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, reference
                 , idempotency_key
              FROM transaction_log
             WHERE transaction_id > @after
             ORDER BY transaction_id;
            """;
        await using var session = await bank.Book.SessionAsync();
        return [.. await session.QueryAsync<Posted, string, (Posted, string)>(Sql, (row, key) => (row, key), new { after }, splitOn: "idempotency_key")];
    }

    private static async Task ShouldEndAsAsync(BankingApp bank, ReferenceLedger model)
    {
        foreach (var (id, account) in model.Customers)
        {
            (await bank.BalanceAsync(id)).Should().Be(ReferenceLedger.Wire(account.Balance, account.Currency));
            var expected = model.Log.Where(row => row.FromAccountId == id || row.ToAccountId == id).Select(row => row.EntryOf(id)).Reverse();
            (await bank.HistoryAsync(id)).Select(Answer.Timeless).Should().Equal(expected);
        }

        foreach (var (currency, account) in model.Settlements)
        {
            (await bank.BalanceAsync(ReferenceLedger.Currencies[currency].Settlement)).Should().Be(ReferenceLedger.Wire(account.Balance, currency));
        }
    }
}
