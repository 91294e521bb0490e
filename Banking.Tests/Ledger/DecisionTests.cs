using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Banking.Data;
using CsCheck;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the ledger decides, without a database: thousands of histories, told to a model too.</summary>
public sealed class DecisionTests
{
    private const string Client = "client";

    private static readonly Dictionary<string, Currency> Currencies = ReferenceLedger.Currencies.ToDictionary(
        pair => pair.Key, pair => new Currency(pair.Key, (short)pair.Value.Settlement, (short)pair.Value.Digits));

    /// <summary>A request in the making: its accounts and its key are places in what the history has so far.</summary>
    private sealed record Step(string Kind, int One, int Other, decimal Amount, string Currency, decimal Limit, int Key, int Note);

    private static Gen<Step> StepsOf(params string[] kinds) => Gen.Select(
        Gen.OneOf(kinds),
        Gen.Int[0, 6],
        Gen.Int[0, 6],
        Gen.OneOf(0.0001m, 0.001m, 0.01m, 0.5m, 1m, 2.50m, 7m, 10m, 20m, 50m),
        Gen.OneOf("USD", "USD", "USD", "JPY", "KWD"),
        Gen.OneOf(0m, 0m, 0.005m, 5m, 20m),
        Gen.Int[0, 15],
        Gen.Int[0, 1],
        (kind, one, other, amount, currency, limit, key, note) => new Step(kind, one, other, amount, currency, limit, key, note));

    private static readonly Gen<Step> Postings = StepsOf("open", "deposit", "withdrawal", "transfer", "transfer", "transfer", "again", "again", "commit");

    private static readonly Gen<Step> Operations = StepsOf(
        "open", "deposit", "withdrawal", "withdrawal", "transfer", "transfer", "limit", "limit", "name", "both", "freeze", "block", "unfreeze", "empty", "close",
        "close", "commit");

    /// <summary>A book in memory, and the model of what the rows of its tables would be.</summary>
    private sealed class Memory
    {
        private readonly Dictionary<RequestId, Recorded> recorded = [];
        private readonly HashSet<long> busy = [];

        public Memory()
        {
            foreach (var currency in Currencies.Values)
            {
                Accounts.Add(currency.SettlementAccountId, new(currency.SettlementAccountId, isCustomer: false, currency, new(AccountStatus.Active, 0, 0, 0)));
            }

            Book = BookAt(new(0, 0, 0, 999, new byte[32], DateTime.UnixEpoch));
        }

        public Dictionary<long, LockedAccount> Accounts { get; private set; } = [];

        public LockedBook Book { get; private set; }

        public List<Transaction> Log { get; } = [];

        public List<AccountEvent> Events { get; } = [];

        /// <summary>Ends the batch: the next one has locked the rows that it left.</summary>
        public void Commit()
        {
            Log.AddRange(Book.Transactions.Select(row => row.Transaction));
            Events.AddRange(Book.Events.Select(row => row.Event));
            var left = Accounts.Values.Where(account => account.State != account.Before && account.AccountId <= Book.Head.LastAccountId).ToList();
            Book.Moved.Concat(Book.Changed).Distinct().Should().BeEquivalentTo(left, "what a batch does not write is lost");
            Book.Moved.Should().NotIntersectWith(Book.Changed, "a row that is written in two steps breaks its constraints between them");
            var head = Book.Head with
            {
                LastTransactionId = Book.LastTransactionId,
                LastAccountEventId = Book.LastAccountEventId,
                LastAccountId = Book.LastAccountId,
            };
            Accounts = Accounts.ToDictionary(
                pair => pair.Key,
                pair => new LockedAccount(pair.Key, pair.Value.IsCustomer, pair.Value.Currency, pair.Value.State, pair.Value.Origin));
            Book = BookAt(head);
        }

        private LockedBook BookAt(LockedHead head) => new(new(head, Accounts, busy, [], HasBusyHolds: false, new Dictionary<long, decimal>(), recorded));

        /// <summary>Somebody else holds the row.</summary>
        public void Lose(long accountId)
        {
            Accounts.Remove(accountId);
            busy.Add(accountId);
        }

        public string Content => JsonSerializer.Serialize(new
        {
            accounts = Accounts.Values.OrderBy(account => account.AccountId).Select(account => new { account.AccountId, account.State }),
            opened = Book.Opened.Select(account => account.AccountId),
            transactions = Book.Transactions.Select(row => new { row.Key, row.Transaction }),
            events = Book.Events.Select(row => new { row.Id, row.Event }),
            moved = Book.Moved.Select(account => account.AccountId),
            changed = Book.Changed.Select(account => account.AccountId),
            Book.LastTransactionId,
            Book.LastAccountEventId,
            Book.LastAccountId,
            Book.WritesNothing,
        });
    }

    [Fact]
    public void Each_decision_of_a_history_is_the_model_s() => Postings.Array[20, 60].Sample(
        steps =>
        {
            var (memory, model, sent) = (new Memory(), new ReferenceLedger(lastTransactionId: 0), new List<Request>());
            foreach (var currency in Currencies.Keys)
            {
                model.Settlements[currency] = new(currency, limit: 0, balance: 0);
            }

            var firsts = new Dictionary<string, object>();
            foreach (var step in steps)
            {
                if (step.Kind == "commit")
                {
                    memory.Commit();
                    continue;
                }

                var request = Make(step, [.. model.Customers.Keys], sent);
                sent.Add(request);
                var (before, newAccountId) = (memory.Content, memory.Book.LastAccountId + 1);

                var (result, refused, replayed) = Decide(memory.Book, request);

                var expected = model.Send(request, newAccountId);
                (refused is null ? 201 : 0, CodeOf(refused), replayed).Should().Be(
                    (expected.Status == 201 ? 201 : 0, expected.Status == 201 ? null : expected.Text, expected.Replayed), "this is the decision on {0}", request);
                if (refused is not null || replayed)
                {
                    memory.Content.Should().Be(before, "a refusal leaves nothing behind, and a replay neither: {0}", request);
                }

                if (request.Key is { } key && refused is null)
                {
                    firsts.TryAdd(key, result!);
                    result.Should().Be(firsts[key]);
                }

                if (!replayed && result is Transaction posted)
                {
                    RowOf(posted).Should().Be(model.Log[^1]);
                }
                else if (!replayed && result is OpenedAccount { Account: var opened, Deposit: var deposit } && request is Opening opening)
                {
                    (opened.AccountId, opened.Currency, opened.Balance, opened.OverdraftLimit, opened.OwnerName, opened.Status).Should()
                        .Be((newAccountId, opening.Currency, opening.Deposit, opening.Limit, opening.Owner, "active"));
                    (deposit is null ? null : RowOf(deposit)).Should().Be(opening.Deposit == 0 ? null : model.Log[^1]);
                }
            }

            memory.Commit();
            memory.Log.Select(RowOf).Should().Equal(model.Log);
            memory.Log.Select(row => row.TransactionId).Should().Equal(Enumerable.Range(1, memory.Log.Count).Select(id => (long)id));
            memory.Events.Select(row => row.AccountEventId).Should().Equal(Enumerable.Range(1, memory.Events.Count).Select(id => (long)id));
            memory.Accounts.Keys.Where(id => id >= 1000).Order().Should().Equal(Enumerable.Range(1000, model.Customers.Count).Select(id => (long)id));
            memory.Accounts.Values.Sum(account => account.State.Balance).Should().Be(0);
            foreach (var (id, customer) in model.Customers)
            {
                memory.Accounts[id].State.Balance.Should().Be(customer.Balance);
            }

            foreach (var (currency, settlement) in model.Settlements)
            {
                memory.Accounts[Currencies[currency].SettlementAccountId].State.Balance.Should().Be(settlement.Balance);
            }
        },
        iter: 2_000, threads: 1);

    /// <summary>What an account may be left as, by the rules of the operations alone.</summary>
    private sealed record Ruled(string Status, decimal Balance, decimal Limit, string Owner);

    [Fact]
    public void Each_operation_on_an_account_follows_its_rules() => Operations.Array[20, 60].Sample(
        steps =>
        {
            var (memory, model, number) = (new Memory(), new Dictionary<long, Ruled>(), 0);
            foreach (var step in steps)
            {
                if (step.Kind == "commit")
                {
                    memory.Commit();
                    continue;
                }

                var id = RequestId.Of(Client, $"{++number}");
                long one = Place(step.One), other = Place(step.Other);
                var (before, last) = (memory.Content, memory.Book.LastAccountEventId);
                var code = step.Kind switch
                {
                    "open" => CodeOf(memory.Book.Decide(new OpenAccount(id, HashOf(id.Key), "Someone", Currencies["USD"], 0, step.Limit)).Refused),
                    "deposit" => CodeOf(memory.Book.Decide(new Posting(id, PostingType.Deposit, null, one, step.Amount)).Refused),
                    "withdrawal" or "empty" =>
                        CodeOf(memory.Book.Decide(new Posting(id, PostingType.Withdrawal, one, null, AmountOf(step, one))).Refused),
                    "transfer" => CodeOf(memory.Book.Decide(new Posting(id, PostingType.Transfer, one, other, step.Amount)).Refused),
                    "limit" => CodeOf(memory.Book.Decide(new ChangeAccount(id, HashOf(id.Key), one, null, step.Limit, null)).Refused),
                    "name" => CodeOf(memory.Book.Decide(new ChangeAccount(id, HashOf(id.Key), one, "Ada", null, null)).Refused),
                    "both" => CodeOf(memory.Book.Decide(new ChangeAccount(id, HashOf(id.Key), one, "Grace", step.Limit, null)).Refused),
                    "freeze" or "block" => CodeOf(memory.Book.Decide(new FreezeAccount(id, HashOf(id.Key), one, step.Kind == "block", "why")).Refused),
                    "unfreeze" => CodeOf(memory.Book.Decide(new UnfreezeAccount(id, HashOf(id.Key), one, "why")).Refused),
                    _ => CodeOf(memory.Book.Decide(new CloseAccount(id, HashOf(id.Key), one, "why")).Refused),
                };

                code.Should().Be(Follow(step, one, other), "this is the decision on {0}", step);
                if (code is not null)
                {
                    memory.Content.Should().Be(before);
                }

                var isEvent = code is null && step.Kind is not ("deposit" or "withdrawal" or "transfer" or "empty");
                (memory.Book.LastAccountEventId - last).Should().Be(isEvent ? 1 : 0);
                if (isEvent)
                {
                    var row = memory.Book.Events[^1].Event;
                    var state = memory.Accounts[row.AccountId].State;
                    (row.StatusAfter, row.BalanceAfter, row.OverdraftLimitAfter, row.HeldAfter).Should().Be((state.Status, state.Balance, state.OverdraftLimit, 0));
                    row.AfterTransactionId.Should().Be(memory.Book.LastTransactionId);
                }

                foreach (var (account, ruled) in model)
                {
                    var state = memory.Accounts[account].State;
                    new Ruled(state.Status, state.Balance, state.OverdraftLimit, state.OwnerName!).Should().Be(ruled, "{0} is account {1}", step, account);
                }
            }

            long Place(int place) => 1000 + place; // of few, so that some are not opened yet

            decimal AmountOf(Step step, long account) => step.Kind == "empty" && model.TryGetValue(account, out var ruled) && ruled.Balance > 0 ? ruled.Balance : step.Amount;

            string? Follow(Step step, long one, long other)
            {
                var account = model.GetValueOrDefault(one);
                switch (step.Kind)
                {
                    case "open":
                        if (step.Limit == 0.005m)
                        {
                            return "amount_precision";
                        }

                        model.Add(1000 + model.Count, new("active", 0, step.Limit, "Someone"));
                        return null;
                    case "deposit":
                        return Move(null, one, step.Amount);
                    case "withdrawal" or "empty":
                        return Move(one, null, AmountOf(step, one));
                    case "transfer":
                        return one == other ? "same_account" : Move(one, other, step.Amount);
                }

                if (account is null)
                {
                    return "account_not_found";
                }

                var (refusal, after) = (step.Kind, account) switch
                {
                    ("name", _) => (null, account with { Owner = "Ada" }),
                    (_, { Status: "closed" }) => ("account_closed", account),
                    ("limit" or "both", _) when step.Limit == 0.005m => ("amount_precision", account),
                    ("limit" or "both", _) when account.Balance < -step.Limit => ("limit_below_use", account),
                    ("limit", _) => (null, account with { Limit = step.Limit }),
                    ("both", _) => (null, account with { Limit = step.Limit, Owner = "Grace" }),
                    ("freeze", { Status: "frozen" }) => ("account_frozen", account),
                    ("freeze", _) => (null, account with { Status = "frozen" }),
                    ("block", { Status: not "active" }) => ("account_frozen", account),
                    ("block", _) => (null, account with { Status = "debits_blocked" }),
                    ("unfreeze", { Status: "active" }) => ("account_not_frozen", account),
                    ("unfreeze", _) => (null, account with { Status = "active" }),
                    ("close", { Status: not "active" }) => ("account_frozen", account),
                    ("close", { Balance: not 0 }) => ("account_not_empty", account),
                    _ => (null, account with { Status = "closed" }),
                };
                model[one] = after;
                return refusal;
            }

            string? Move(long? from, long? to, decimal amount)
            {
                Ruled? payer = null, payee = null;
                if ((from is not null && !model.TryGetValue(from.Value, out payer)) || (to is not null && !model.TryGetValue(to.Value, out payee)))
                {
                    return "account_not_found";
                }

                var barred = payer?.Status switch
                {
                    "closed" => "account_closed",
                    "frozen" or "debits_blocked" => "account_frozen",
                    _ => payee?.Status switch { "closed" => "account_closed", "frozen" => "account_frozen", _ => null },
                };
                if (barred is not null)
                {
                    return barred;
                }

                if (decimal.Round(amount, 2) != amount)
                {
                    return "amount_precision";
                }

                if (payer is not null && payer.Balance - amount < -payer.Limit)
                {
                    return "insufficient_funds";
                }

                if (payer is not null)
                {
                    model[from!.Value] = payer with { Balance = payer.Balance - amount };
                }

                if (payee is not null)
                {
                    model[to!.Value] = payee with { Balance = payee.Balance + amount };
                }

                return null;
            }
        },
        iter: 2_000, threads: 1);

    // What is decided behind the mark goes past LockedBook.Decide, as the parts of one request do: refused parts leave behind what
    // they had done until then, and the roll-back of the whole takes that back too.
    [Fact]
    public void A_roll_back_restores_all_that_was_there_at_the_mark() => Gen.Select(Operations.Array[0, 20], Operations.Array[0, 20], Operations.Array[0, 20]).Sample(
        (first, undone, later) =>
        {
            var (memory, twin) = (Prepared(), Prepared());
            Run(memory, first, "first");
            Run(twin, first, "first");
            var (mark, before) = (memory.Book.Save(), memory.Content);
            before.Should().Be(twin.Content);

            Run(memory, undone, "undone");
            memory.Book.RollBackTo(mark);

            memory.Content.Should().Be(before);
            Run(memory, later, "later");
            Run(twin, later, "later");
            memory.Content.Should().Be(twin.Content, "it goes on as if nothing had been");

            static Memory Prepared()
            {
                var memory = new Memory();
                for (var number = 0; number < 4; number++)
                {
                    memory.Book.Decide(new OpenAccount(RequestId.Of(Client, $"open {number}"), HashOf("open"), "Someone", Currencies["USD"], 10, 5))
                        .Refused.Should().BeNull();
                }

                memory.Commit();
                return memory;
            }

            static void Run(Memory memory, Step[] steps, string name)
            {
                foreach (var (number, step) in steps.Index())
                {
                    var (id, one, other) = (RequestId.Of(Client, $"{name} {number}"), 1000L + step.One, 1000L + step.Other);
                    _ = step.Kind switch
                    {
                        // Of these some are refused when the account is open already.
                        "open" or "commit" => new OpenAccount(
                            id, HashOf(id.Key), "Someone", Currencies[step.Currency], step.Note == 0 ? step.Amount : LockedBook.BalanceLimit, step.Limit).Decide(memory.Book).Refused,
                        "deposit" => new Posting(id, PostingType.Deposit, null, one, step.Amount).Decide(memory.Book).Refused,
                        "withdrawal" or "empty" => new Posting(id, PostingType.Withdrawal, one, null, step.Amount).Decide(memory.Book).Refused,
                        "transfer" => new Posting(id, PostingType.Transfer, one, other, step.Amount).Decide(memory.Book).Refused,
                        "limit" or "name" or "both" => new ChangeAccount(id, HashOf(id.Key), one, "Ada", step.Limit, null).Decide(memory.Book).Refused,
                        "freeze" or "block" => new FreezeAccount(id, HashOf(id.Key), one, step.Kind == "block", null).Decide(memory.Book).Refused,
                        "unfreeze" => new UnfreezeAccount(id, HashOf(id.Key), one, null).Decide(memory.Book).Refused,
                        _ => new CloseAccount(id, HashOf(id.Key), one, null).Decide(memory.Book).Refused,
                    };
                }
            }
        },
        iter: 2_000, threads: 1);

    [Fact]
    public void An_opening_whose_deposit_is_refused_opens_nothing()
    {
        var memory = new Memory();
        memory.Book.Decide(Open("first", 10)).Refused.Should().BeNull();
        var before = memory.Content;

        var decision = memory.Book.Decide(Open("second", 999_999_999_999_999m));

        decision.Refused!.Refusal.Should().Be(Refusal.BalanceLimitExceeded, "the settlement account would fall too far");
        memory.Content.Should().Be(before);
        memory.Book.Decide(Open("second", 1)).Result!.Account.AccountId.Should().Be(1001, "neither the key nor the id is used up");
    }

    [Fact]
    public void A_request_for_a_busy_account_waits_and_its_neighbours_do_not()
    {
        var memory = new Memory();
        memory.Book.Decide(Open("one", 10)).Refused.Should().BeNull();
        memory.Book.Decide(Open("other", 10)).Refused.Should().BeNull();
        memory.Book.Decide(Open("yen", 10, "JPY")).Refused.Should().BeNull();
        var freeze = new FreezeAccount(RequestId.Of(Client, "freeze"), HashOf("freeze"), 1000, DebitsOnly: false, "why");
        memory.Book.Decide(freeze).Refused.Should().BeNull();
        memory.Commit();
        memory.Lose(1000);
        memory.Lose(392);
        var before = memory.Content;

        memory.Book.Decide(Post("deposit", null, 1000)).Should().BeSameAs(Decision<Transaction>.Wait);
        memory.Book.Decide(Post("to it", 1001, 1000)).Should().BeSameAs(Decision<Transaction>.Wait);
        memory.Book.Decide(Post("from it", 1000, 1001)).Should().BeSameAs(Decision<Transaction>.Wait);
        memory.Book.Decide(Post("yen too", null, 1002)).Should().BeSameAs(Decision<Transaction>.Wait, "the settlement account is busy");
        memory.Book.Decide(Open("deposit in yen", 1, "JPY")).Should().BeSameAs(Decision<OpenedAccount>.Wait);
        memory.Book.Decide(new ChangeAccount(RequestId.Of(Client, "change"), HashOf("change"), 1000, "Ada", null, null)).Should().BeSameAs(Decision<Account>.Wait);
        memory.Book.Decide(new UnfreezeAccount(RequestId.Of(Client, "unfreeze"), HashOf("unfreeze"), 1000, null)).Should().BeSameAs(Decision<Account>.Wait);
        memory.Book.Decide(new CloseAccount(RequestId.Of(Client, "close"), HashOf("close"), 1000, null)).Should().BeSameAs(Decision<Account>.Wait);
        memory.Content.Should().Be(before);

        memory.Book.Decide(freeze).Replayed.Should().BeTrue("what was done needs no account");
        memory.Book.Decide(Post("deposit", null, 1001)).Result!.TransactionId.Should().Be(4, "waiting has not used the key up");
        memory.Book.Decide(Open("yen without a deposit", 0, "JPY")).Refused.Should().BeNull();
        memory.Book.Decide(Post("nobody", null, 1999)).Refused!.Refusal.Should().Be(Refusal.AccountNotFound);
    }

    private static OpenAccount Open(string key, decimal deposit, string currency = "USD") =>
        new(RequestId.Of(Client, key), HashOf(key), "Someone", Currencies[currency], deposit);

    private static Posting Post(string key, long? from, long? to) =>
        new(RequestId.Of(Client, key), from is null ? PostingType.Deposit : to is null ? PostingType.Withdrawal : PostingType.Transfer, from, to, 1);

    private static Request Make(Step step, List<long> accounts, List<Request> sent)
    {
        long Account(int place) => place < accounts.Count ? accounts[place] : place == 6 ? 840 : 9_000_000; // a settlement account, or none
        var key = step.Key < 10 ? $"key {step.Key}" : null;
        var note = step.Note == 0 ? null : "note";
        return step.Kind switch
        {
            "again" when sent.Count > 0 => sent[((step.One * 7) + step.Other) % sent.Count],
            "open" or "again" => new Opening(key, "Someone", step.Currency, step.Note == 0 ? 0 : step.Amount, step.Limit),
            "deposit" => new Moving(key, "deposit", null, Account(step.One), step.Amount, note),
            "withdrawal" => new Moving(key, "withdrawal", Account(step.One), null, step.Amount, note),
            _ => new Moving(key, "transfer", Account(step.One), Account(step.Other), step.Amount, note),
        };
    }

    private static (object? Result, Refused? Refused, bool Replayed) Decide(LockedBook book, Request request)
    {
        var id = RequestId.Of(Client, request.Key);
        if (request is Opening opening)
        {
            var opened = book.Decide(new OpenAccount(
                id, HashOf(JsonSerializer.Serialize(opening.Body)), opening.Owner, Currencies[opening.Currency], opening.Deposit, opening.Limit));
            return (opened.Result, opened.Refused, opened.Replayed);
        }

        var moving = (Moving)request;
        var moved = book.Decide(new Posting(id, moving.Type, moving.From, moving.To, moving.Amount, moving.Note));
        return (moved.Result, moved.Refused, moved.Replayed);
    }

    private static Posted RowOf(Transaction row) => new(
        row.TransactionId, row.Type, row.FromAccountId, row.ToAccountId, row.Amount, row.Currency, row.FromBalanceAfter, row.ToBalanceAfter, row.Reference);

    private static string? CodeOf(Refused? refused) => refused is null ? null : JsonNamingPolicy.SnakeCaseLower.ConvertName(refused.Refusal.ToString());

    private static byte[] HashOf(string request) => SHA256.HashData(Encoding.UTF8.GetBytes(request));
}
