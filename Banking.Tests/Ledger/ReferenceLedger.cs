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

/// <summary>An answer: the body of a success but for its time, or the code of a refusal.</summary>
internal sealed record Answer(int Status, string Text, bool Replayed = false)
{
    public static Answer Of(Reply reply) =>
        new((int)reply.Status, (int)reply.Status == 201 ? Timeless(reply.Body) : reply.Code ?? reply.Text, reply.Replayed);

    public static string Timeless(JsonElement body)
    {
        var members = JsonObject.Create(body)!;
        members.Remove("created_at");
        return members.ToJsonString();
    }
}

/// <summary>A row of the log.</summary>
internal sealed record Posted(
    long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount, string Currency,
    decimal FromBalanceAfter, decimal ToBalanceAfter, string? Reference)
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
        reverses_transaction_id = (long?)null,
        hold_id = (long?)null,
        reference = Reference,
        metadata = (string?)null,
    });

    public string EntryOf(long accountId) => JsonSerializer.Serialize(new
    {
        transaction_id = TransactionId,
        type = Type,
        direction = accountId == ToAccountId ? "credit" : "debit",
        amount = ReferenceLedger.Wire(Amount, Currency),
        balance_after = ReferenceLedger.Wire(accountId == ToAccountId ? ToBalanceAfter : FromBalanceAfter, Currency),
        counterparty_account_id = accountId == ToAccountId ? FromAccountId : ToAccountId,
        reverses_transaction_id = (long?)null,
        reversed_by_transaction_ids = Array.Empty<long>(),
        hold_id = (long?)null,
        reference = Reference,
        metadata = (string?)null,
    });
}

/// <summary>The bank as one would explain it: one request after another, in memory.</summary>
internal sealed class ReferenceLedger(long lastTransactionId)
{
    internal sealed class Account(string currency, decimal limit, decimal balance)
    {
        public string Currency { get; } = currency;
        public decimal Limit { get; } = limit;
        public decimal Balance { get; set; } = balance;
        public decimal Lowest { get; set; } = balance;
    }

    public static readonly IReadOnlyDictionary<string, (long Settlement, int Digits)> Currencies =
        new Dictionary<string, (long, int)> { ["USD"] = (840, 2), ["JPY"] = (392, 0), ["KWD"] = (414, 3) };

    private readonly Dictionary<string, (Request Request, Answer Answer)> keys = [];

    public Dictionary<long, Account> Customers { get; } = [];

    public Dictionary<string, Account> Settlements { get; } = [];

    public List<Posted> Log { get; } = [];

    /// <summary>The answer to a request. The id is that of the account, where it opens one.</summary>
    public Answer Send(Request request, long newAccountId)
    {
        if (request is Moving { Amount: 0 })
        {
            return new(400, "validation_failed");
        }

        if (request.Key is { } used && keys.TryGetValue(used, out var earlier))
        {
            return earlier.Request == request ? earlier.Answer with { Replayed = true } : new(422, "idempotency_key_reused");
        }

        var answer = request is Opening opening ? Open(opening, newAccountId) : Post((Moving)request);
        if (request.Key is { } key && answer.Status == 201)
        {
            keys[key] = (request, answer);
        }

        return answer;
    }

    public Answer Open(Opening opening, long accountId)
    {
        if (RefusalOf(opening) is { } refused)
        {
            return refused;
        }

        Customers.Add(accountId, new(opening.Currency, opening.Limit, balance: 0));
        if (opening.Deposit > 0)
        {
            Post(new(null, "deposit", null, accountId, opening.Deposit, null));
        }

        return new(201, TextOf(opening, accountId, opening.Deposit > 0 ? Log[^1].TransactionId : null));
    }

    public Answer Post(Moving moving)
    {
        if (RefusalOf(moving) is { } refused)
        {
            return refused;
        }

        var currency = Customers[(moving.From ?? moving.To)!.Value].Currency;
        var from = moving.From is { } payer ? Customers[payer] : Settlements[currency];
        var to = moving.To is { } payee ? Customers[payee] : Settlements[currency];
        if (moving.From is not null && from.Balance - moving.Amount < -from.Limit)
        {
            return new(422, "insufficient_funds");
        }

        from.Balance -= moving.Amount;
        from.Lowest = Math.Min(from.Lowest, from.Balance);
        to.Balance += moving.Amount;
        var settlement = Currencies[currency].Settlement;
        Log.Add(new(
            lastTransactionId + Log.Count + 1, moving.Type, moving.From ?? settlement, moving.To ?? settlement,
            moving.Amount, currency, from.Balance, to.Balance, moving.Note));
        return new(201, Log[^1].Text);
    }

    /// <summary>Why the request is refused whatever the balances are.</summary>
    public Answer? RefusalOf(Request request) => request switch
    {
        Opening opening => Fits(opening.Deposit, opening.Currency) && Fits(opening.Limit, opening.Currency) ? null : new(422, "amount_precision"),
        Moving { Amount: 0 } => new(400, "validation_failed"),
        Moving moving when moving.From == moving.To => new(422, "same_account"),
        Moving moving when !IsOpen(moving.From) || !IsOpen(moving.To) => new(404, "account_not_found"),
        Moving { From: { } from, To: { } to } when Customers[from].Currency != Customers[to].Currency => new(422, "currency_mismatch"),
        Moving moving when !Fits(moving.Amount, Customers[(moving.From ?? moving.To)!.Value].Currency) => new(422, "amount_precision"),
        _ => null,
    };

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

    public static string Wire(decimal amount, string currency) => amount.ToString($"F{Currencies[currency].Digits}", CultureInfo.InvariantCulture);

    private bool IsOpen(long? accountId) => accountId is null || Customers.ContainsKey(accountId.Value);

    private static bool Fits(decimal amount, string currency) => decimal.Round(amount, Currencies[currency].Digits) == amount;
}
