namespace Banking.Data;

/// <summary>The identity of a request: its caller, and the caller's idempotency key for it, or one made here where there is none.</summary>
public readonly record struct RequestId(string ClientId, string Key)
{
    /// <summary>Whether the key came from the client, so that an earlier request may have used it.</summary>
    public bool IsFromClient { get; private init; } = true;

    public static RequestId Of(string clientId, string? idempotencyKey) => idempotencyKey is null
        ? new(clientId, Guid.CreateVersion7().ToString("N")) { IsFromClient = false }
        : new(clientId, idempotencyKey);

    public bool Equals(RequestId other) => Key == other.Key && ClientId == other.ClientId;

    public override int GetHashCode() => HashCode.Combine(ClientId, Key);
}

/// <summary>
/// An operation of the ledger: what it needs locked, and how it is decided against the locked book. It is carried out exactly
/// once, and answered with a <typeparamref name="T"/>.
/// </summary>
public abstract record LedgerRequest<T>(RequestId Id)
    where T : class
{
    /// <summary>Its name in metrics.</summary>
    public abstract string Operation { get; }

    /// <summary>Names the rows that it needs locked.</summary>
    internal abstract void Collect(LockSet needs);

    /// <summary>Carries it out on the book, or says why not. Pure: it reads no clock and no database.</summary>
    internal abstract Decision<T> Decide(LockedBook book);

    /// <summary>What its key stands for once it is done.</summary>
    internal abstract Recorded Record(T result);

    /// <summary>The answer of the earlier request with this key; null where that was another request.</summary>
    internal abstract T? Replay(Recorded earlier);
}

/// <summary>An operation that leaves a row in <c>account_log</c>. A retry is the same request if its hash (sha256) is.</summary>
public abstract record AccountRequest(RequestId Id, byte[] RequestHash, string? Reason) : LedgerRequest<Account>(Id)
{
    internal sealed override Recorded Record(Account result) => new(Transaction: null, new(RequestHash, result));

    internal sealed override Account? Replay(Recorded earlier) =>
        earlier.Event is { } recorded && recorded.IsOf(RequestHash) ? recorded.Account : null;
}

/// <summary>What becomes of a request: it is done, it is refused, or it waits for an account that another session has locked.</summary>
public sealed record Decision<T>(T? Result, Refused? Refused = null, bool Replayed = false)
    where T : class
{
    internal static Decision<T> Wait { get; } = new(Result: null);

    public static implicit operator Decision<T>(T result) => new(result);

    public static implicit operator Decision<T>(Refused refused) => new(Result: null, refused);
}

/// <summary>What a key stands for in the logs: a transaction, an event of an account, or (an opening with a deposit) both.</summary>
internal sealed record Recorded(Transaction? Transaction, RecordedEvent? Event);

/// <summary>An event of an account by its request, and the account as it left it.</summary>
internal sealed record RecordedEvent(byte[] RequestHash, Account Account)
{
    public bool IsOf(byte[] requestHash) => RequestHash.AsSpan().SequenceEqual(requestHash);
}

/// <summary>The rows that a batch needs locked.</summary>
internal sealed class LockSet
{
    private readonly HashSet<long> accounts = [];
    private readonly HashSet<long> withSettlement = [];
    private readonly HashSet<long> withDetails = [];

    public IReadOnlyCollection<long> AccountIds => accounts;

    /// <summary>Those whose currency's settlement account is needed too.</summary>
    public IReadOnlyCollection<long> WithSettlement => withSettlement;

    /// <summary>Those of which more is shown than a posting needs.</summary>
    public IReadOnlyCollection<long> WithDetails => withDetails;

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
}
