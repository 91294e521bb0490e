using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Banking.Tests;

/// <summary>What a client asks for, as it means it: two requests are one where they are equal.</summary>
internal abstract record Request(string? Key)
{
    public abstract string Call { get; }

    public abstract object Body { get; }
}

internal sealed record Opening(string? Key, string Owner, string Currency, decimal Deposit, decimal Limit) : Request(Key)
{
    public override string Call => "create_account";

    public override object Body => new { owner_name = Owner, currency = Currency, initial_deposit = Deposit, overdraft_limit = Limit };
}

/// <summary>A deposit has no account that it comes from, a withdrawal none that it goes to.</summary>
internal sealed record Moving(string? Key, string Type, long? From, long? To, decimal Amount, string? Note) : Request(Key)
{
    public override string Call => Type switch { "withdrawal" => "withdraw", "transfer" => "transaction", _ => Type };

    public override object Body => Type == "transfer"
        ? new { from_account_id = From, to_account_id = To, amount = Amount, reference = Note }
        : new { account_id = From ?? To, amount = Amount, reference = Note };
}

/// <summary>Gives back a part of a transaction, or without an amount all that is left of it.</summary>
internal sealed record Reversing(string? Key, long TransactionId, decimal? Amount, string? Note) : Request(Key)
{
    public override string Call => "reverse_transaction";

    public override object Body => new { transaction_id = TransactionId, amount = Amount, reference = Note };
}

/// <summary>A hold without an account to pay is paid out.</summary>
internal sealed record Holding(string? Key, long AccountId, long? ToAccountId, decimal Amount, string? Note) : Request(Key)
{
    public override string Call => "place_hold";

    public override object Body => new { account_id = AccountId, amount = Amount, to_account_id = ToAccountId, reference = Note };

    /// <summary>The posting that it promises.</summary>
    public Moving Payment => new(null, ToAccountId is null ? "withdrawal" : "transfer", AccountId, ToAccountId, Amount, Note);
}

/// <summary>Pays a part of a hold, or without an amount all that is left of it.</summary>
internal sealed record Capturing(string? Key, long HoldId, decimal? Amount, bool IsFinal) : Request(Key)
{
    public override string Call => "capture_hold";

    public override object Body => new { hold_id = HoldId, amount = Amount, final = IsFinal };
}

internal sealed record Releasing(string? Key, long HoldId) : Request(Key)
{
    public override string Call => "release_hold";

    public override object Body => new { hold_id = HoldId };
}

internal sealed record Batching(string? Key, bool IsAtomic, bool IsDryRun, IReadOnlyList<Moving> Postings) : Request(Key)
{
    public override string Call => "batch";

    public override object Body => new { mode = IsAtomic ? "atomic" : "independent", dry_run = IsDryRun, postings = Postings.Select(BodyOf) };

    public bool Equals(Batching? other) =>
        other is not null && (Key, IsAtomic, IsDryRun) == (other.Key, other.IsAtomic, other.IsDryRun) && Postings.SequenceEqual(other.Postings);

    public override int GetHashCode() => HashCode.Combine(Key, IsAtomic, IsDryRun, Postings.Count);

    private static object BodyOf(Moving posting) => posting.Type == "transfer"
        ? new { type = posting.Type, from_account_id = posting.From, to_account_id = posting.To, amount = posting.Amount, reference = posting.Note }
        : new { type = posting.Type, account_id = posting.From ?? posting.To, amount = posting.Amount, reference = posting.Note };
}

/// <summary>An answer: the body of a success but for its times, or the code of a refusal, of a batch's with the index of its posting.</summary>
internal sealed record Answer(int Status, string Text, bool Replayed = false)
{
    public bool IsSuccess => Status is 200 or 201;

    public static Answer Of(Reply reply) => (int)reply.Status is 200 or 201
        ? new((int)reply.Status, Timeless(reply.Body), reply.Replayed)
        : new((int)reply.Status, reply.Code is not { } code ? reply.Text
            : reply.Body.TryGetProperty("failed_index", out var index) ? At(code, index.GetInt32()) : code);

    public static string At(string code, int index) => $"{code} at {index}";

    /// <summary>The body without its times. Of a problem inside it only the code is left.</summary>
    public static string Timeless(JsonElement body)
    {
        var members = JsonObject.Create(body)!;
        Reduce(members);
        return members.ToJsonString();

        static void Reduce(JsonNode? node)
        {
            if (node is JsonArray items)
            {
                foreach (var item in items)
                {
                    Reduce(item);
                }
            }
            else if (node is JsonObject members)
            {
                members.Remove("created_at");
                members.Remove("expires_at");
                if (members["problem"] is JsonObject problem)
                {
                    members["problem"] = problem["code"]!.DeepClone();
                }

                foreach (var (_, value) in members)
                {
                    Reduce(value);
                }
            }
        }
    }
}

/// <summary>A row of the log.</summary>
internal sealed record Posted(
    long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount, string Currency,
    decimal FromBalanceAfter, decimal ToBalanceAfter, string? Reference, long? ReversesTransactionId = null, long? HoldId = null)
{
    public string Text => JsonSerializer.Serialize(new
    {
        transaction_id = TransactionId,
        type = Type,
        from_account_id = FromAccountId,
        to_account_id = ToAccountId,
        amount = ReferenceLedger.Wire(Amount, Currency),
        currency = Currency,
        from_balance_after = ReferenceLedger.Wire(FromBalanceAfter, Currency),
        to_balance_after = ReferenceLedger.Wire(ToBalanceAfter, Currency),
        reverses_transaction_id = ReversesTransactionId,
        hold_id = HoldId,
        reference = Reference,
        metadata = (string?)null,
    });

    public string EntryOf(long accountId, IEnumerable<long> reversedBy) => JsonSerializer.Serialize(new
    {
        transaction_id = TransactionId,
        type = Type,
        direction = accountId == ToAccountId ? "credit" : "debit",
        amount = ReferenceLedger.Wire(Amount, Currency),
        balance_after = ReferenceLedger.Wire(accountId == ToAccountId ? ToBalanceAfter : FromBalanceAfter, Currency),
        counterparty_account_id = accountId == ToAccountId ? FromAccountId : ToAccountId,
        reverses_transaction_id = ReversesTransactionId,
        reversed_by_transaction_ids = reversedBy,
        hold_id = HoldId,
        reference = Reference,
        metadata = (string?)null,
    });
}

/// <summary>The bank as one would explain it: one request after another, in memory. Its holds never expire.</summary>
internal sealed class ReferenceLedger(long lastTransactionId)
{
    internal sealed class Account(string currency, decimal limit, decimal balance)
    {
        public string Currency { get; } = currency;
        public decimal Limit { get; } = limit;
        public decimal Balance { get; private set; } = balance;
        public decimal Held { get; private set; }

        /// <summary>The least that was ever left to use, but for the limit.</summary>
        public decimal Lowest { get; private set; } = balance;

        public bool Covers(decimal amount) => Balance - Held - amount >= -Limit;

        public void Add(decimal amount, decimal held = 0)
        {
            Balance += amount;
            Held += held;
            Lowest = Math.Min(Lowest, Balance - Held);
        }

        /// <summary>Nobody could use it before its first deposit.</summary>
        public void Start() => Lowest = Balance;
    }

    internal sealed class Hold(long holdId, Holding asked, string currency)
    {
        public Holding Asked { get; } = asked;
        public string Currency { get; } = currency;
        public string Status { get; set; } = "pending";
        public decimal Captured { get; set; }
        public decimal Left => Status == "pending" ? Asked.Amount - Captured : 0;

        public string Text => JsonSerializer.Serialize(new
        {
            hold_id = holdId,
            account_id = Asked.AccountId,
            to_account_id = Asked.ToAccountId,
            currency = Currency,
            amount = Wire(Asked.Amount, Currency),
            captured_amount = Wire(Captured, Currency),
            status = Status,
            reference = Asked.Note,
            metadata = (string?)null,
        });
    }

    /// <summary>What was done under a key. Of an independent batch: what each of its postings made.</summary>
    private sealed record Done(Request Request, Answer Answer, Posted?[]? Parts = null);

    public static readonly IReadOnlyDictionary<string, (long Settlement, int Digits)> Currencies =
        new Dictionary<string, (long, int)> { ["USD"] = (840, 2), ["JPY"] = (392, 0), ["KWD"] = (414, 3) };

    private readonly Dictionary<string, Done> keys = [];

    public Dictionary<long, Account> Customers { get; } = [];

    public Dictionary<string, Account> Settlements { get; } = [];

    public Dictionary<long, Hold> Holds { get; } = [];

    public List<Posted> Log { get; } = [];

    /// <summary>The answer to a request. The id is that of the account that it opens, or of the hold that it places.</summary>
    public Answer Send(Request request, long newId)
    {
        // These are found before the key is looked at.
        if (RefusalOf(request) is ({ Status: 400 } or { Text: "hold_not_found" or "transaction_not_found" }) and var refused)
        {
            return refused;
        }

        var key = request is Batching { IsDryRun: true } ? null : request.Key;
        var earlier = key is null ? null : keys.GetValueOrDefault(key);
        if (earlier is not null && earlier.Request != request)
        {
            return new(422, "idempotency_key_reused");
        }

        if (earlier is not null && earlier.Parts?.Contains(null) is not true)
        {
            return earlier.Answer with { Replayed = true };
        }

        var parts = earlier?.Parts;
        var answer = request is Batching batch ? Post(batch, ref parts) : Do(request, newId);
        if (key is not null && answer.IsSuccess && parts?.All(part => part is null) is not true)
        {
            keys[key] = new(request, answer, parts);
        }

        return answer;
    }

    /// <summary>Does what it would do without a key. A batch is done by its postings.</summary>
    public Answer Do(Request request, long newId) => request switch
    {
        Opening opening => Open(opening, newId),
        Moving moving => Post(moving),
        Reversing reversing => Reverse(reversing),
        Holding holding => Place(holding, newId),
        Capturing capturing => Capture(capturing),
        _ => Release((Releasing)request),
    };

    public Answer Open(Opening opening, long accountId)
    {
        if (RefusalOf(opening) is { } refused)
        {
            return refused;
        }

        Customers.Add(accountId, new(opening.Currency, opening.Limit, balance: 0));
        if (opening.Deposit > 0)
        {
            Post(new Moving(null, "deposit", null, accountId, opening.Deposit, null));
            Customers[accountId].Start();
        }

        return new(201, TextOf(opening, accountId, opening.Deposit > 0 ? Log[^1].TransactionId : null));
    }

    private Answer Post(Moving moving)
    {
        if (RefusalOf(moving) is { } refused)
        {
            return refused;
        }

        var currency = CurrencyOf(moving);
        var settlement = Currencies[currency].Settlement;
        return Move(moving.Type, moving.From ?? settlement, moving.To ?? settlement, moving.Amount, currency, moving.Note);
    }

    private Answer Reverse(Reversing reversing)
    {
        var refused = RefusalOf(reversing);
        if (refused is not null and not { Text: "amount_precision" })
        {
            return refused;
        }

        var (original, left) = (TransactionOf(reversing.TransactionId)!, LeftOf(reversing.TransactionId));
        return left == 0 ? new(409, "already_reversed")
            : refused is not null ? refused
            : reversing.Amount > left ? new(422, "reversal_amount_exceeded")
            : Move("reversal", original.ToAccountId, original.FromAccountId, reversing.Amount ?? left, original.Currency, reversing.Note, original.TransactionId);
    }

    private Answer Place(Holding holding, long holdId)
    {
        if (RefusalOf(holding) is { } refused)
        {
            return refused;
        }

        var account = Customers[holding.AccountId];
        if (!account.Covers(holding.Amount))
        {
            return new(422, "insufficient_funds");
        }

        account.Add(0, held: holding.Amount);
        Holds.Add(holdId, new(holdId, holding, account.Currency));
        return new(201, Holds[holdId].Text);
    }

    private Answer Capture(Capturing capturing)
    {
        var refused = RefusalOf(capturing);
        if (refused is not null and not { Text: "amount_precision" })
        {
            return refused;
        }

        var hold = Holds[capturing.HoldId];
        var (amount, payment, settlement) = (capturing.Amount ?? hold.Left, hold.Asked.Payment, Currencies[hold.Currency].Settlement);
        if (hold.Status != "pending" || refused is not null || amount > hold.Left)
        {
            return hold.Status != "pending" ? new(409, "hold_not_pending") : refused ?? new(422, "capture_amount_exceeded");
        }

        Customers[hold.Asked.AccountId].Add(0, held: -amount);
        hold.Captured += amount;
        var paid = Move(payment.Type, payment.From!.Value, payment.To ?? settlement, amount, hold.Currency, payment.Note, holdId: capturing.HoldId);
        if (hold.Left == 0 || capturing.IsFinal)
        {
            End(hold, "captured");
        }

        return paid;
    }

    private Answer Release(Releasing releasing)
    {
        if (RefusalOf(releasing) is { } refused)
        {
            return refused;
        }

        var hold = Holds[releasing.HoldId];
        if (hold.Status != "pending")
        {
            return new(409, "hold_not_pending");
        }

        End(hold, "released");
        return new(200, hold.Text);
    }

    /// <summary>Why the request is refused whatever the balances, the holds and the reversals are.</summary>
    public Answer? RefusalOf(Request request) => request switch
    {
        Opening opening => Fits(opening.Deposit, opening.Currency) && Fits(opening.Limit, opening.Currency) ? null : new(422, "amount_precision"),
        Moving { Amount: 0 } or Holding { Amount: 0 } or Reversing { Amount: 0 } or Capturing { Amount: 0 } => new(400, "validation_failed"),
        Batching batch => batch.Postings.Any(posting => posting.Amount == 0) ? new(400, "validation_failed") : null,
        Reversing reversing when TransactionOf(reversing.TransactionId) is not { } original => new(404, "transaction_not_found"),
        Reversing reversing => TransactionOf(reversing.TransactionId) is not { Type: not "reversal" } original ? new(409, "not_reversible")
            : Fits(reversing.Amount ?? 0, original.Currency) ? null : new(422, "amount_precision"),
        Holding holding => RefusalOf(holding.Payment),
        Capturing { HoldId: var id } when !Holds.ContainsKey(id) => new(404, "hold_not_found"),
        Releasing { HoldId: var id } => Holds.ContainsKey(id) ? null : new(404, "hold_not_found"),
        Capturing capturing => Fits(capturing.Amount ?? 0, Holds[capturing.HoldId].Currency) ? null : new(422, "amount_precision"),
        Moving moving when moving.From == moving.To => new(422, "same_account"),
        Moving moving when !IsOpen(moving.From) || !IsOpen(moving.To) => new(404, "account_not_found"),
        Moving { From: { } from, To: { } to } when Customers[from].Currency != Customers[to].Currency => new(422, "currency_mismatch"),
        Moving moving when !Fits(moving.Amount, CurrencyOf(moving)) => new(422, "amount_precision"),
        _ => null,
    };

    public Posted? TransactionOf(long transactionId) =>
        transactionId > lastTransactionId && transactionId - lastTransactionId <= Log.Count ? Log[(int)(transactionId - lastTransactionId) - 1] : null;

    public IEnumerable<Posted> ReversalsOf(long transactionId) => Log.Where(row => row.ReversesTransactionId == transactionId);

    /// <summary>What can still be reversed of a transaction.</summary>
    public decimal LeftOf(long transactionId) => TransactionOf(transactionId)!.Amount - ReversalsOf(transactionId).Sum(row => row.Amount);

    public static string TextOf(Opening opening, long accountId, long? transactionId) => JsonSerializer.Serialize(new
    {
        account_id = accountId,
        owner_name = opening.Owner,
        currency = opening.Currency,
        status = "active",
        balance = Wire(opening.Deposit, opening.Currency),
        held = Wire(0, opening.Currency),
        available = Wire(opening.Deposit + opening.Limit, opening.Currency),
        overdraft_limit = Wire(opening.Limit, opening.Currency),
        reference = (string?)null,
        metadata = (string?)null,
        transaction_id = transactionId,
    });

    public static string TextOf(IEnumerable<Posted> atomic) => $$"""{"transactions":[{{string.Join(',', atomic.Select(row => row.Text))}}]}""";

    /// <summary>The answer to an independent batch or a dry run: each posting's row, or the code of its refusal.</summary>
    public static string TextOf(IReadOnlyList<(Posted? Made, string? Code)> results, bool isDryRun)
    {
        var posted = results.Count(result => result.Made is not null);
        var texts = results.Select(result => result.Made is { } made
            ? $$"""{"status":"posted","transaction":{{made.Text}}}"""
            : $$"""{"status":"refused","problem":"{{result.Code}}"}""");
        return $$"""{"dry_run":{{(isDryRun ? "true" : "false")}},"posted":{{posted}},"refused":{{results.Count - posted}},"results":[{{string.Join(',', texts)}}]}""";
    }

    public static string Wire(decimal amount, string currency) => amount.ToString($"F{Currencies[currency].Digits}", CultureInfo.InvariantCulture);

    /// <summary>The parts are what earlier tries of an independent batch made, and then what this one has added.</summary>
    private Answer Post(Batching batch, ref Posted?[]? parts)
    {
        var (start, made, codes) = (Log.Count, (Posted?[])(parts?.Clone() ?? new Posted?[batch.Postings.Count]), new string?[batch.Postings.Count]);
        for (var i = 0; i < made.Length; i++)
        {
            if (made[i] is null && Post(batch.Postings[i]) is { IsSuccess: false } refused)
            {
                codes[i] = refused.Text;
                if (batch.IsAtomic)
                {
                    TakeBack(start);
                    return refused with { Text = Answer.At(refused.Text, i) };
                }
            }
            else
            {
                made[i] ??= Log[^1];
            }
        }

        if (batch.IsDryRun)
        {
            TakeBack(start);
            return new(200, TextOf([.. made.Select((row, i) => (row is null ? null : row with { TransactionId = 0 }, codes[i]))], isDryRun: true));
        }

        if (batch.IsAtomic)
        {
            return new(201, TextOf(made!));
        }

        parts = made;
        return new(200, TextOf([.. made.Zip(codes)], isDryRun: false));
    }

    private void TakeBack(int start)
    {
        foreach (var row in Enumerable.Reverse(Log[start..]))
        {
            AccountOf(row.FromAccountId, row.Currency).Add(row.Amount);
            AccountOf(row.ToAccountId, row.Currency).Add(-row.Amount);
        }

        Log.RemoveRange(start, Log.Count - start);
    }

    private Answer Move(
        string type, long fromId, long toId, decimal amount, string currency, string? note, long? reverses = null, long? holdId = null)
    {
        var (from, to) = (AccountOf(fromId, currency), AccountOf(toId, currency));
        if (Customers.ContainsKey(fromId) && !from.Covers(amount))
        {
            return new(422, "insufficient_funds");
        }

        from.Add(-amount);
        to.Add(amount);
        Log.Add(new(lastTransactionId + Log.Count + 1, type, fromId, toId, amount, currency, from.Balance, to.Balance, note, reverses, holdId));
        return new(201, Log[^1].Text);
    }

    private void End(Hold hold, string status)
    {
        Customers[hold.Asked.AccountId].Add(0, held: -hold.Left);
        hold.Status = status;
    }

    private Account AccountOf(long accountId, string currency) => Customers.GetValueOrDefault(accountId) ?? Settlements[currency];

    private string CurrencyOf(Moving moving) => Customers[(moving.From ?? moving.To)!.Value].Currency;

    private bool IsOpen(long? accountId) => accountId is null || Customers.ContainsKey(accountId.Value);

    private static bool Fits(decimal amount, string currency) => decimal.Round(amount, Currencies[currency].Digits) == amount;
}
