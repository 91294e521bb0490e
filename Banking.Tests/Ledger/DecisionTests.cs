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
    private sealed record Step(string Kind, int One, int Other, decimal Amount, string Currency, decimal Limit, int Key, int Note)
    {
        /// <summary>Of a batch: its postings.</summary>
        public Step[] Parts { get; init; } = [];
    }

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

    private static readonly Gen<Step> Postings = Gen.Select(
        StepsOf(
            "open", "deposit", "withdrawal", "transfer", "transfer", "reverse", "reverse", "hold", "hold", "capture", "capture", "release", "batch", "batch",
            "again", "again", "again", "commit"),
        StepsOf("deposit", "withdrawal", "transfer", "transfer").Array[1, 5],
        (step, parts) => step with { Parts = parts });

    private static readonly Gen<Step> Operations = StepsOf(
        "open", "deposit", "withdrawal", "withdrawal", "transfer", "transfer", "limit", "limit", "name", "both", "freeze", "block", "unfreeze", "empty", "close",
        "close", "reverse", "hold", "hold", "hold", "capture", "capture", "release", "batch", "commit");

    /// <summary>A book in memory, and the model of what the rows of its tables would be.</summary>
    private sealed class Memory
    {
        private readonly Dictionary<RequestId, Recorded> recorded = [];
        private readonly Dictionary<long, decimal> reversed = [];
        private readonly HashSet<long> busy = [];
        private Dictionary<long, HoldState> holdsBefore = [];
        private bool hasBusyHolds;

        public Memory()
        {
            foreach (var currency in Currencies.Values)
            {
                Accounts.Add(currency.SettlementAccountId, new(currency.SettlementAccountId, isCustomer: false, currency, new(AccountStatus.Active, 0, 0, 0)));
            }

            Book = BookAt(new(0, 0, 0, 999, new byte[32], DateTime.UnixEpoch));
        }

        public Dictionary<long, LockedAccount> Accounts { get; private set; } = [];

        public Dictionary<long, LockedHold> Holds { get; private set; } = [];

        public LockedBook Book { get; private set; }

        /// <summary>All transactions, those of the batch in the making too.</summary>
        public IEnumerable<Transaction> Transactions => Log.Concat(Book.Transactions.Select(row => row.Transaction));

        public List<Transaction> Log { get; } = [];

        public List<AccountEvent> Events { get; } = [];

        /// <summary>Ends the batch: the next one has locked the rows that it left, as much later.</summary>
        public void Commit(TimeSpan later = default)
        {
            foreach (var reversal in Book.Transactions.Select(row => row.Transaction).Where(row => row.ReversesTransactionId is not null))
            {
                reversed[reversal.ReversesTransactionId!.Value] = reversed.GetValueOrDefault(reversal.ReversesTransactionId.Value) + reversal.Amount;
            }

            Log.AddRange(Book.Transactions.Select(row => row.Transaction));
            Events.AddRange(Book.Events.Select(row => row.Event));
            var left = Accounts.Values.Where(account => account.State != account.Before && account.AccountId <= Book.Head.LastAccountId).ToList();
            Book.Moved.Concat(Book.Changed).Distinct().Should().BeEquivalentTo(left, "what a batch does not write is lost");
            Book.Moved.Should().NotIntersectWith(Book.Changed, "a row that is written in two steps breaks its constraints between them");
            Book.Placed.Should().BeEquivalentTo(Holds.Values.Where(hold => !holdsBefore.ContainsKey(hold.Row.HoldId)));
            Book.ChangedHolds.Should().BeEquivalentTo(
                Holds.Values.Where(hold => holdsBefore.TryGetValue(hold.Row.HoldId, out var before) && hold.State != before), "what a batch does not write is lost");
            var head = Book.Head with
            {
                Now = Book.Head.Now + later,
                LastTransactionId = Book.LastTransactionId,
                LastAccountEventId = Book.LastAccountEventId,
                LastAccountId = Book.LastAccountId,
            };
            Accounts = Accounts.ToDictionary(
                pair => pair.Key,
                pair => new LockedAccount(pair.Key, pair.Value.IsCustomer, pair.Value.Currency, pair.Value.State, pair.Value.Origin));
            Holds = Holds.ToDictionary(pair => pair.Key, pair => new LockedHold(pair.Value.Row));
            Book = BookAt(head);
        }

        private LockedBook BookAt(LockedHead head)
        {
            holdsBefore = Holds.ToDictionary(pair => pair.Key, pair => pair.Value.State);
            return new(new(head, Accounts, busy, Holds, hasBusyHolds, reversed, recorded));
        }

        /// <summary>Another session has locked the account.</summary>
        public void Lose(long accountId)
        {
            Accounts.Remove(accountId);
            busy.Add(accountId);
        }

        /// <summary>Another session has locked the hold.</summary>
        public void LoseHold(long holdId)
        {
            Holds.Remove(holdId);
            hasBusyHolds = true;
            Commit();
        }

        /// <summary>What is wrong with the book, whatever was decided on it.</summary>
        public IEnumerable<string> Unsound()
        {
            var transactions = Transactions.ToList();
            var reversals = transactions.Where(row => row.ReversesTransactionId is not null).ToLookup(row => row.ReversesTransactionId, row => row.Amount);
            var captures = transactions.Where(row => row.HoldId is not null).ToLookup(row => row.HoldId, row => row.Amount);
            var pending = Holds.Values.ToLookup(hold => hold.Row.AccountId, hold => hold.Left);
            return
            [
                .. Accounts.Values.GroupBy(account => account.Currency.Code)
                    .Where(currency => currency.Sum(account => account.State.Balance) != 0).Select(currency => $"{currency.Key} does not sum to zero"),
                .. Accounts.Values.Where(account => account.IsCustomer && account.State.Balance - account.State.Held < -account.State.OverdraftLimit)
                    .Select(account => $"account {account.AccountId} is below its limit"),
                .. Accounts.Values.Where(account => account.State.Held != pending[account.AccountId].Sum())
                    .Select(account => $"what is held of account {account.AccountId} is not that of its pending holds"),
                .. Holds.Values.Where(hold => hold.Row.CapturedAmount > hold.Row.Amount || hold.Row.CapturedAmount != captures[hold.Row.HoldId].Sum())
                    .Select(hold => $"the captures of hold {hold.Row.HoldId} are beyond it or not its own"),
                .. transactions.Where(row => reversals[row.TransactionId].Sum() > row.Amount).Select(row => $"{row.TransactionId} is reversed beyond its amount"),
            ];
        }

        public string Content => JsonSerializer.Serialize(new
        {
            accounts = Accounts.Values.OrderBy(account => account.AccountId).Select(account => new { account.AccountId, account.State }),
            opened = Book.Opened.Select(account => account.AccountId),
            holds = Holds.Values.OrderBy(hold => hold.Row.HoldId).Select(hold => hold.Row),
            placed = Book.Placed.Select(hold => hold.Row.HoldId),
            changedHolds = Book.ChangedHolds.Select(hold => hold.Row.HoldId),
            transactions = Book.Transactions.Select(row => new { row.Key, row.Transaction }),
            events = Book.Events.Select(row => new { row.Id, row.Event, row.Placed }),
            moved = Book.Moved.Select(account => account.AccountId),
            changed = Book.Changed.Select(account => account.AccountId),
            keys = recorded.Keys,
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

            foreach (var step in OpenAtFirst.Concat(steps))
            {
                if (step.Kind == "commit")
                {
                    memory.Commit();
                    continue;
                }

                var request = Make(step, model, sent);
                sent.Add(request);
                var (before, newId) = (memory.Content, request is Opening ? memory.Book.LastAccountId + 1 : memory.Book.LastAccountEventId + 1);

                var answer = Decide(memory, request);

                var expected = model.Send(request, newId);
                answer.Should().Be(expected.IsSuccess ? expected : expected with { Status = 0 }, "this is the decision on {0}", request);
                if (!answer.IsSuccess || answer.Replayed || request is Batching { IsDryRun: true })
                {
                    memory.Content.Should().Be(before, "a refusal leaves nothing behind, and neither does a replay or a dry run: {0}", request);
                }

                memory.Unsound().Should().BeEmpty();
            }

            memory.Commit();
            memory.Log.Select(RowOf).Should().Equal(model.Log);
            memory.Log.Select(row => row.TransactionId).Should().Equal(Enumerable.Range(1, memory.Log.Count).Select(id => (long)id));
            memory.Events.Select(row => row.AccountEventId).Should().Equal(Enumerable.Range(1, memory.Events.Count).Select(id => (long)id));
            memory.Accounts.Keys.Where(id => id >= 1000).Order().Should().Equal(Enumerable.Range(1000, model.Customers.Count).Select(id => (long)id));
            foreach (var (id, customer) in model.Customers)
            {
                (memory.Accounts[id].State.Balance, memory.Accounts[id].State.Held).Should().Be((customer.Balance, customer.Held));
            }

            memory.Holds.Should().HaveCount(model.Holds.Count);
            foreach (var (id, hold) in model.Holds)
            {
                TextOf(memory.Holds[id].Row).Should().Be(hold.Text);
            }

            foreach (var (currency, settlement) in model.Settlements)
            {
                memory.Accounts[Currencies[currency].SettlementAccountId].State.Balance.Should().Be(settlement.Balance);
            }
        },
        iter: 1_000, threads: 1);

    /// <summary>What an account may be left as, by the rules of the operations alone.</summary>
    private sealed record Ruled(string Status, decimal Balance, decimal Limit, string Owner, decimal Held = 0);

    /// <summary>What is left of a hold; once it has ended, nothing.</summary>
    private sealed record RuledHold(long AccountId, long? ToAccountId, decimal Left, DateTime ExpiresAt);

    [Fact]
    public void Each_operation_on_an_account_follows_its_rules() => Operations.Array[20, 60].Sample(
        steps =>
        {
            var (memory, model, number) = (new Memory(), new Dictionary<long, Ruled>(), 0);
            var (holds, reversed) = (new SortedDictionary<long, RuledHold>(), new Dictionary<long, decimal>());
            foreach (var step in steps)
            {
                if (step.Kind == "commit")
                {
                    memory.Commit(TimeSpan.FromDays(1));
                    foreach (var (due, hold) in holds.Where(pair => pair.Value.Left > 0 && pair.Value.ExpiresAt <= memory.Book.Head.Now).ToList())
                    {
                        End(due, hold);
                        memory.Holds[due].Row.Status.Should().Be(HoldStatus.Expired);
                    }

                    ShouldAgree(step);
                    continue;
                }

                var original = memory.Transactions.ElementAtOrDefault(step.One % Math.Max(1, memory.Transactions.Count()));
                if ((step.Kind is "capture" or "release" && holds.Count == 0) || (step.Kind == "reverse" && original is null))
                {
                    continue;
                }

                var id = RequestId.Of(Client, $"{++number}");
                long one = Place(step.One), other = Place(step.Other);
                var (before, last, events) = (memory.Content, memory.Book.LastAccountEventId, 1);
                var code = step.Kind switch
                {
                    "open" => CodeOf(memory.Book.Decide(new OpenAccount(id, HashOf(id.Key), "Someone", Currencies["USD"], 0, step.Limit)).Refused),
                    "deposit" => CodeOf(memory.Book.Decide(new Posting(id, PostingType.Deposit, null, one, step.Amount)).Refused),
                    "withdrawal" or "empty" =>
                        CodeOf(memory.Book.Decide(new Posting(id, PostingType.Withdrawal, one, null, AmountOf(step, one))).Refused),
                    "transfer" => CodeOf(memory.Book.Decide(new Posting(id, PostingType.Transfer, one, other, step.Amount)).Refused),
                    "reverse" => CodeOf(memory.Book.Decide(new Reversal(id, HashOf(id.Key), original!, PartOf(step))).Refused),
                    "hold" => CodeOf(memory.Book.Decide(new PlaceHold(id, HashOf(id.Key), one, Payee(step), step.Amount, ExpiryOf(step))).Refused),
                    "capture" => CodeOf(memory.Book.Decide(new CaptureHold(id, HashOf(id.Key), memory.Holds[HoldOf(step)].Row, PartOf(step), IsFinal: step.Limit > 0)).Refused),
                    "release" => CodeOf(memory.Book.Decide(new ReleaseHold(id, HashOf(id.Key), memory.Holds[HoldOf(step)].Row, "why")).Refused),
                    "batch" => CodeOf(memory.Book.Decide(new Batch(
                        id, HashOf(id.Key),
                        [new(id, PostingType.Transfer, one, other, step.Amount), new(id, PostingType.Withdrawal, other, null, step.Amount)],
                        IsAtomic: true, IsDryRun: step.Note == 0)).Refused),
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

                (memory.Book.LastAccountEventId - last).Should().Be(code is null ? events : 0);
                if (code is null && events > 0)
                {
                    var row = memory.Book.Events[^1].Event;
                    var state = memory.Accounts[row.AccountId].State;
                    (row.StatusAfter, row.BalanceAfter, row.OverdraftLimitAfter, row.HeldAfter).Should().Be((state.Status, state.Balance, state.OverdraftLimit, state.Held));
                    row.AfterTransactionId.Should().Be(memory.Book.LastTransactionId);
                }

                ShouldAgree(step);

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
                            events = 0;
                            return Move(null, one, step.Amount);
                        case "withdrawal" or "empty":
                            events = 0;
                            return Move(one, null, AmountOf(step, one));
                        case "transfer":
                            events = 0;
                            return one == other ? "same_account" : Move(one, other, step.Amount);
                        case "reverse":
                            events = 0;
                            return Reverse(step);
                        case "hold":
                            return PlaceHold(step, one, Payee(step));
                        case "capture":
                            return Capture(step);
                        case "release":
                            var (released, pending) = (HoldOf(step), holds[HoldOf(step)]);
                            End(released, pending);
                            return pending.Left == 0 ? "hold_not_pending" : null;
                        case "batch":
                            events = 0;
                            var saved = model.ToList();
                            var refused = one == other ? "same_account" : Move(one, other, step.Amount) ?? Move(other, null, step.Amount);
                            foreach (var (accountId, ruled) in refused is not null || step.Note == 0 ? saved : [])
                            {
                                model[accountId] = ruled;
                            }

                            return refused;
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
                        ("limit" or "both", _) when account.Balance - account.Held < -step.Limit => ("limit_below_use", account),
                        ("limit", _) => (null, account with { Limit = step.Limit }),
                        ("both", _) => (null, account with { Limit = step.Limit, Owner = "Grace" }),
                        ("freeze", { Status: "frozen" }) => ("account_frozen", account),
                        ("freeze", _) => (null, account with { Status = "frozen" }),
                        ("block", { Status: not "active" }) => ("account_frozen", account),
                        ("block", _) => (null, account with { Status = "debits_blocked" }),
                        ("unfreeze", { Status: "active" }) => ("account_not_frozen", account),
                        ("unfreeze", _) => (null, account with { Status = "active" }),
                        ("close", { Status: not "active" }) => ("account_frozen", account),
                        ("close", { Held: not 0 }) => ("account_has_holds", account),
                        ("close", { Balance: not 0 }) => ("account_not_empty", account),
                        _ => (null, account with { Status = "closed" }),
                    };
                    model[one] = after;
                    return refusal;
                }

                string? Reverse(Step step)
                {
                    var left = original!.Amount - reversed.GetValueOrDefault(original.TransactionId);
                    var amount = PartOf(step) ?? left;
                    var refusal = original.Type == "reversal" ? "not_reversible"
                        : left == 0 ? "already_reversed"
                        : decimal.Round(amount, 2) != amount ? "amount_precision"
                        : amount > left ? "reversal_amount_exceeded"
                        : Move(CustomerOf(original.ToAccountId), CustomerOf(original.FromAccountId), amount);
                    reversed[original.TransactionId] = original.Amount - left + (refusal is null ? amount : 0);
                    return refusal;
                }

                string? PlaceHold(Step step, long from, long? to)
                {
                    if ((from == to ? "same_account" : Judge(from, to, step.Amount)) is { } refusal)
                    {
                        return refusal;
                    }

                    model[from] = model[from] with { Held = model[from].Held + step.Amount };
                    holds.Add(last + 1, new(from, to, step.Amount, ExpiryOf(step)));
                    return null;
                }

                string? Capture(Step step)
                {
                    var (holdId, hold) = (HoldOf(step), holds[HoldOf(step)]);
                    var amount = PartOf(step) ?? hold.Left;
                    if (hold.Left == 0 || decimal.Round(amount, 2) != amount || amount > hold.Left)
                    {
                        return hold.Left == 0 ? "hold_not_pending" : decimal.Round(amount, 2) != amount ? "amount_precision" : "capture_amount_exceeded";
                    }

                    if (Judge(hold.AccountId, hold.ToAccountId, amount, held: amount) is { } refusal)
                    {
                        return refusal;
                    }

                    model[hold.AccountId] = model[hold.AccountId] with { Held = model[hold.AccountId].Held - amount };
                    Move(hold.AccountId, hold.ToAccountId, amount).Should().BeNull();
                    holds[holdId] = hold with { Left = hold.Left - amount };
                    events = step.Limit > 0 && amount < hold.Left ? 1 : 0;
                    if (events == 1)
                    {
                        End(holdId, holds[holdId]);
                    }

                    return null;
                }
            }

            void ShouldAgree(Step step)
            {
                foreach (var (account, ruled) in model)
                {
                    var state = memory.Accounts[account].State;
                    new Ruled(state.Status, state.Balance, state.OverdraftLimit, state.OwnerName!, state.Held).Should().Be(ruled, "{0} is account {1}", step, account);
                }

                foreach (var (holdId, hold) in holds)
                {
                    memory.Holds[holdId].Left.Should().Be(hold.Left, "{0} is hold {1}", step, holdId);
                }

                memory.Unsound().Should().BeEmpty();
            }

            long Place(int place) => 1000 + place; // of few, so that some are not opened yet

            decimal AmountOf(Step step, long account) => step.Kind == "empty" && model.TryGetValue(account, out var ruled) && ruled.Balance > 0 ? ruled.Balance : step.Amount;

            long HoldOf(Step step) => holds.Keys.ElementAt(step.One % holds.Count);

            decimal? PartOf(Step step) => step.Note == 0 ? null : step.Amount;

            long? Payee(Step step) => step.Note == 0 ? null : Place(step.Other);

            DateTime ExpiryOf(Step step) => memory.Book.Head.Now.AddDays(1 + (step.Key % 3));

            static long? CustomerOf(long accountId) => accountId >= 1000 ? accountId : null;

            void End(long holdId, RuledHold hold)
            {
                model[hold.AccountId] = model[hold.AccountId] with { Held = model[hold.AccountId].Held - hold.Left };
                holds[holdId] = hold with { Left = 0 };
            }

            string? Judge(long? from, long? to, decimal amount, decimal held = 0)
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
                return barred is not null ? barred
                    : decimal.Round(amount, 2) != amount ? "amount_precision"
                    : payer is not null && payer.Balance - payer.Held + held - amount < -payer.Limit ? "insufficient_funds" : null;
            }

            string? Move(long? from, long? to, decimal amount)
            {
                if (Judge(from, to, amount) is { } refusal)
                {
                    return refusal;
                }

                if (from is { } payer)
                {
                    model[payer] = model[payer] with { Balance = model[payer].Balance - amount };
                }

                if (to is { } payee)
                {
                    model[payee] = model[payee] with { Balance = model[payee].Balance + amount };
                }

                return null;
            }
        },
        iter: 1_000, threads: 1);

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

                for (var number = 0; number < 3; number++)
                {
                    memory.Book.Decide(new PlaceHold(RequestId.Of(Client, $"hold {number}"), HashOf("hold"), 1000 + number, 1001 + number, 4)).Refused.Should().BeNull();
                }

                memory.Commit();
                return memory;
            }

            static void Run(Memory memory, Step[] steps, string name)
            {
                foreach (var (number, step) in steps.Index())
                {
                    var (id, one, other) = (RequestId.Of(Client, $"{name} {number}"), 1000L + step.One, 1000L + step.Other);
                    var (original, hold) = (memory.Transactions.ElementAt(step.One % memory.Transactions.Count()), memory.Holds.Values.OrderBy(hold => hold.Row.HoldId).ElementAt(step.One % memory.Holds.Count).Row);
                    _ = step.Kind switch
                    {
                        // Of these some are refused when the account is open already.
                        "open" or "commit" => new OpenAccount(
                            id, HashOf(id.Key), "Someone", Currencies[step.Currency], step.Note == 0 ? step.Amount : LockedBook.BalanceLimit, step.Limit).Decide(memory.Book).Refused,
                        "deposit" => new Posting(id, PostingType.Deposit, null, one, step.Amount).Decide(memory.Book).Refused,
                        "withdrawal" or "empty" => new Posting(id, PostingType.Withdrawal, one, null, step.Amount).Decide(memory.Book).Refused,
                        "transfer" => new Posting(id, PostingType.Transfer, one, other, step.Amount).Decide(memory.Book).Refused,
                        "reverse" => new Reversal(id, HashOf(id.Key), original, step.Note == 0 ? null : step.Amount).Decide(memory.Book).Refused,
                        "hold" => new PlaceHold(id, HashOf(id.Key), one, other, step.Amount).Decide(memory.Book).Refused,
                        "capture" => new CaptureHold(id, HashOf(id.Key), hold, step.Note == 0 ? null : step.Amount, step.Limit > 0).Decide(memory.Book).Refused,
                        "release" => new ReleaseHold(id, HashOf(id.Key), hold, null).Decide(memory.Book).Refused,
                        "batch" => new Batch(
                            id, HashOf(id.Key), [.. Enumerable.Range(1, 3).Select(part => new Posting(id, PostingType.Transfer, one, other, part * step.Amount))],
                            IsAtomic: step.Note == 0, IsDryRun: step.Limit > 5).Decide(memory.Book).Refused,
                        "limit" or "name" or "both" => new ChangeAccount(id, HashOf(id.Key), one, "Ada", step.Limit, null).Decide(memory.Book).Refused,
                        "freeze" or "block" => new FreezeAccount(id, HashOf(id.Key), one, step.Kind == "block", null).Decide(memory.Book).Refused,
                        "unfreeze" => new UnfreezeAccount(id, HashOf(id.Key), one, null).Decide(memory.Book).Refused,
                        _ => new CloseAccount(id, HashOf(id.Key), one, null).Decide(memory.Book).Refused,
                    };
                }
            }
        },
        iter: 1_000, threads: 1);

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
        var (held, busyHold) = (
            memory.Book.Decide(new PlaceHold(RequestId.Of(Client, "hold"), HashOf("hold"), 1001, 1000, 1)).Result!,
            memory.Book.Decide(new PlaceHold(RequestId.Of(Client, "busy hold"), HashOf("hold"), 1001, null, 1)).Result!);
        var freeze = new FreezeAccount(RequestId.Of(Client, "freeze"), HashOf("freeze"), 1000, DebitsOnly: false, "why");
        memory.Book.Decide(freeze).Refused.Should().BeNull();
        memory.Commit();
        memory.LoseHold(busyHold.HoldId);
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
        memory.Book.Decide(new CaptureHold(RequestId.Of(Client, "capture"), HashOf("capture"), held, null, IsFinal: true))
            .Should().BeSameAs(Decision<Transaction>.Wait, "its payee is busy");
        memory.Book.Decide(new CaptureHold(RequestId.Of(Client, "capture"), HashOf("capture"), busyHold, null, IsFinal: true))
            .Should().BeSameAs(Decision<Transaction>.Wait, "the hold is busy");
        memory.Book.Decide(new ReleaseHold(RequestId.Of(Client, "release"), HashOf("release"), busyHold, null)).Should().BeSameAs(Decision<Hold>.Wait);
        memory.Book.Decide(new Batch(RequestId.Of(Client, "batch"), HashOf("batch"), [Post("", 1001, null), Post("", 1001, 1000)], IsAtomic: true, IsDryRun: false))
            .Should().BeSameAs(Decision<BatchResult>.Wait);
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

    private static readonly Step[] OpenAtFirst =
        [.. Enumerable.Range(0, 3).Select(number => new Step("open", 0, 0, 10, "USD", 5, Key: 15, Note: 1)), new("hold", 0, 1, 4, "USD", 0, Key: 15, Note: 1)];

    private static Request Make(Step step, ReferenceLedger model, List<Request> sent)
    {
        var accounts = model.Customers.Keys.ToList();
        long Account(int place) => place < accounts.Count ? accounts[place] : place == 6 ? 840 : 9_000_000; // a settlement account, or none
        var key = step.Key < 10 ? $"key {step.Key}" : null;
        var note = step.Note == 0 ? null : "note";
        decimal? part = step.Note == 0 ? null : step.Amount;
        return step.Kind switch
        {
            "again" when sent.Count > 0 => sent[((step.One * 7) + step.Other) % sent.Count],
            "open" or "again" => new Opening(key, "Someone", step.Currency, step.Note == 0 ? 0 : step.Amount, step.Limit),
            "deposit" => new Moving(key, "deposit", null, Account(step.One), step.Amount, note),
            "withdrawal" => new Moving(key, "withdrawal", Account(step.One), null, step.Amount, note),
            "reverse" => new Reversing(key, model.Log[step.One % model.Log.Count].TransactionId, part, note),
            "hold" => new Holding(key, Account(step.One), step.Note == 0 ? null : Account(step.Other), step.Amount, note),
            "capture" => new Capturing(key, model.Holds.Keys.ElementAt(step.One % model.Holds.Count), part, step.Limit > 0),
            "release" => new Releasing(key, model.Holds.Keys.ElementAt(step.One % model.Holds.Count)),
            "batch" => new Batching(
                key, step.Note == 0, step.Limit > 5, [.. step.Parts.Select(one => (Moving)Make(one, model, sent) with { Key = null })]),
            _ => new Moving(key, "transfer", Account(step.One), Account(step.Other), step.Amount, note),
        };
    }

    /// <summary>The decision, as the answer to the client would tell it. A refusal has no status here.</summary>
    private static Answer Decide(Memory memory, Request request)
    {
        var (book, hash) = (memory.Book, HashOf($"{request.Call} {JsonSerializer.Serialize(request.Body)}"));
        var id = RequestId.Of(Client, request is Batching { IsDryRun: true } ? null : request.Key);
        return request switch
        {
            Opening opening => AnswerOf(
                book.Decide(new OpenAccount(id, hash, opening.Owner, Currencies[opening.Currency], opening.Deposit, opening.Limit)),
                made => new(201, ReferenceLedger.TextOf(
                    new(null, made.Account.OwnerName, made.Account.Currency, made.Account.Balance, made.Account.OverdraftLimit),
                    made.Account.AccountId, made.Deposit?.TransactionId))),
            Moving moving => AnswerOf(book.Decide(PostingOf(id, moving)), Posted),
            Reversing reversing => AnswerOf(
                book.Decide(new Reversal(id, hash, memory.Transactions.ElementAt((int)reversing.TransactionId - 1), reversing.Amount, reversing.Note)), Posted),
            Holding holding => AnswerOf(
                book.Decide(new PlaceHold(id, hash, holding.AccountId, holding.ToAccountId, holding.Amount, Reference: holding.Note)), hold => new(201, TextOf(hold))),
            Capturing capturing => AnswerOf(
                book.Decide(new CaptureHold(id, hash, memory.Holds[capturing.HoldId].Row, capturing.Amount, capturing.IsFinal)), Posted),
            Releasing releasing => AnswerOf(book.Decide(new ReleaseHold(id, hash, memory.Holds[releasing.HoldId].Row, null)), hold => new(200, TextOf(hold))),
            Batching batch => AnswerOf(
                book.Decide(new Batch(id, hash, [.. batch.Postings.Select(posting => PostingOf(id, posting))], batch.IsAtomic, batch.IsDryRun)),
                made => batch is { IsAtomic: true, IsDryRun: false }
                    ? new(201, ReferenceLedger.TextOf(made.Items.Select(item => RowOf(item.Result!))))
                    : new(200, ReferenceLedger.TextOf(
                        [.. made.Items.Select(item => (item.Result is { } row ? RowOf(row) : null, CodeOf(item.Refused)))], batch.IsDryRun))),
            _ => throw new NotSupportedException($"{request}"),
        };

        static Answer Posted(Transaction made) => new(201, RowOf(made).Text);

        static Answer AnswerOf<T>(Decision<T> decision, Func<T, Answer> done)
            where T : class => decision.Refused is not { } refused ? done(decision.Result!) with { Replayed = decision.Replayed }
                : new(0, refused.Index is { } index ? Answer.At(CodeOf(refused)!, index) : CodeOf(refused)!);
    }

    private static Posting PostingOf(RequestId id, Moving moving) => new(id, moving.Type, moving.From, moving.To, moving.Amount, moving.Note);

    private static string TextOf(Hold hold) => new ReferenceLedger.Hold(
        hold.HoldId, new(null, hold.AccountId, hold.ToAccountId, hold.Amount, hold.Reference), hold.Currency)
    {
        Status = hold.Status,
        Captured = hold.CapturedAmount,
    }.Text;

    private static Posted RowOf(Transaction row) => new(
        row.TransactionId, row.Type, row.FromAccountId, row.ToAccountId, row.Amount, row.Currency, row.FromBalanceAfter, row.ToBalanceAfter, row.Reference,
        row.ReversesTransactionId, row.HoldId);

    private static string? CodeOf(Refused? refused) => refused is null ? null : JsonNamingPolicy.SnakeCaseLower.ConvertName(refused.Refusal.ToString());

    private static byte[] HashOf(string request) => SHA256.HashData(Encoding.UTF8.GetBytes(request));
}
