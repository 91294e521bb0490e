namespace Banking.Data;

/// <summary>The identity of a request: its caller, and the caller's idempotency key, or a key made here where the caller sent none.</summary>
public readonly record struct RequestId(string ClientId, string Key)
{
    /// <summary>The name in the log of what the service does by itself. No caller can have it.</summary>
    public const string Service = "core-banking";

    /// <summary>Whether the key came from the client, so that an earlier request may have used it.</summary>
    public bool IsFromClient { get; private init; } = true;

    public static RequestId Of(string clientId, string? idempotencyKey) => idempotencyKey is null
        ? new(clientId, Guid.CreateVersion7().ToString("N")) { IsFromClient = false }
        : new(clientId, idempotencyKey);

    public bool Equals(RequestId other) => Key == other.Key && ClientId == other.ClientId;

    public override int GetHashCode() => HashCode.Combine(ClientId, Key);
}

/// <summary>
/// An operation of the ledger. It names the rows that it needs locked, and it is decided against the locked book. It is done
/// exactly once, and its answer is a <typeparamref name="T"/>.
/// </summary>
public abstract record LedgerRequest<T>(RequestId Id)
    where T : class
{
    /// <summary>Its name in metrics.</summary>
    public abstract string Operation { get; }

    /// <summary>How many requests it counts as in the queue and in a write transaction.</summary>
    public virtual int Weight => 1;

    /// <summary>Names the rows that it needs locked.</summary>
    internal abstract void Collect(LockSet needs);

    /// <summary>Does it on the book, or says why not. Pure: it reads no clock and no database.</summary>
    internal abstract Decision<T> Decide(LockedBook book);

    /// <summary>What the logs keep under its key once it is done; null where that is nothing.</summary>
    internal abstract Recorded? Record(T result);

    /// <summary>The answer of the earlier request with this key; null where that was another request.</summary>
    internal abstract T? Replay(Recorded earlier);

    /// <summary>Whether the earlier request with this key was this one, and left something to decide anew.</summary>
    internal virtual bool IsUnfinished(Recorded earlier) => false;
}

/// <summary>An operation that leaves a row in <c>account_log</c>. A retry is the same request if its hash (sha256) is the same.</summary>
public abstract record AccountRequest(RequestId Id, byte[] RequestHash, string? Reason) : LedgerRequest<Account>(Id)
{
    internal sealed override Recorded Record(Account result) => new(Event: new(RequestHash, result));

    internal sealed override Account? Replay(Recorded earlier) =>
        earlier.Event is { } recorded && recorded.IsOf(RequestHash) ? recorded.Account : null;
}

/// <summary>An operation that places or ends a hold. It leaves a row in <c>account_log</c>.</summary>
public abstract record HoldRequest(RequestId Id, byte[] RequestHash) : LedgerRequest<Hold>(Id)
{
    internal sealed override Recorded Record(Hold result) => new(Event: new(RequestHash, Hold: result));

    internal sealed override Hold? Replay(Recorded earlier) =>
        earlier.Event is { } recorded && recorded.IsOf(RequestHash) ? recorded.Hold : null;
}

/// <summary>What becomes of a request: it is done, it is refused, or it waits for a row that another session has locked.</summary>
public sealed record Decision<T>(T? Result, Refused? Refused = null, bool Replayed = false)
    where T : class
{
    internal static Decision<T> Wait { get; } = new(Result: null);

    public static implicit operator Decision<T>(T result) => new(result);

    public static implicit operator Decision<T>(Refused refused) => new(Result: null, refused);
}

/// <summary>
/// What the logs keep under a key: a transaction, an event, both (an opening with a deposit, a capture that releases the rest), or
/// a batch's transactions by their parts. The hash is that of the request, where the transaction's row alone does not tell it.
/// </summary>
internal sealed record Recorded(
    Transaction? Transaction = null, RecordedEvent? Event = null, byte[]? RequestHash = null, IReadOnlyDictionary<short, Transaction>? Parts = null)
{
    public bool IsOf(byte[] requestHash) => RequestHash is not null && RequestHash.AsSpan().SequenceEqual(requestHash);
}

/// <summary>An event by its request, and the account or the hold as the request left it.</summary>
internal sealed record RecordedEvent(byte[] RequestHash, Account? Account = null, Hold? Hold = null)
{
    public bool IsOf(byte[] requestHash) => RequestHash.AsSpan().SequenceEqual(requestHash);
}

/// <summary>
/// The key of a row in the log of transactions: its request, its part in a batch (1, 2, ...; 0 outside a batch), and the request's hash
/// where the row alone does not tell the request.
/// </summary>
internal readonly record struct LogKey(RequestId Id, short Part = 0, byte[]? RequestHash = null)
{
    public static implicit operator LogKey(RequestId id) => new(id);
}

/// <summary>The rows that a batch of requests needs.</summary>
internal sealed class LockSet
{
    private readonly HashSet<long> accounts = [];
    private readonly HashSet<long> withSettlement = [];
    private readonly HashSet<long> withDetails = [];
    private readonly HashSet<long> holds = [];
    private readonly HashSet<long> originals = [];

    public IReadOnlyCollection<long> AccountIds => accounts;

    /// <summary>The accounts that need their currency's settlement account too.</summary>
    public IReadOnlyCollection<long> WithSettlement => withSettlement;

    /// <summary>The accounts of which an answer shows more than a posting needs.</summary>
    public IReadOnlyCollection<long> WithDetails => withDetails;

    public IReadOnlyCollection<long> HoldIds => holds;

    /// <summary>The transactions to reverse. They never change: what is read is how much of each was reversed so far.</summary>
    public IReadOnlyCollection<long> OriginalIds => originals;

    public void Account(long accountId) => accounts.Add(accountId);

    public void AccountAndSettlement(long accountId)
    {
        accounts.Add(accountId);
        withSettlement.Add(accountId);
    }

    public void WholeAccount(long accountId)
    {
        accounts.Add(accountId);
        withDetails.Add(accountId);
    }

    /// <summary>Both accounts of a posting. No account on one side is the settlement account of the other's currency.</summary>
    public void Accounts(long? fromAccountId, long? toAccountId)
    {
        if (fromAccountId is { } from && toAccountId is { } to)
        {
            accounts.Add(from);
            accounts.Add(to);
        }
        else
        {
            AccountAndSettlement((fromAccountId ?? toAccountId)!.Value);
        }
    }

    public void Hold(long holdId) => holds.Add(holdId);

    public void Original(long transactionId) => originals.Add(transactionId);
}
