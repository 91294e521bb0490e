using Npgsql;
using static Banking.Data.WriteBatch;

namespace Banking.Data;

/// <summary>What the logs keep under the keys of a batch.</summary>
internal sealed class RecordedRequests
{
    public static readonly RecordedRequests None = new([], []);

    private readonly List<KeyedTransaction> transactions;
    private readonly List<KeyedEvent> events;

    private RecordedRequests(List<KeyedTransaction> transactions, List<KeyedEvent> events) => (this.transactions, this.events) = (transactions, events);

    private sealed record KeyedTransaction(
        string ClientId, string IdempotencyKey, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount,
        string Currency, decimal FromBalanceAfter, decimal ToBalanceAfter, long? ReversesTransactionId, long? HoldId, string? Reference,
        string? Metadata, DateTime CreatedAt, short Part, byte[]? RequestHash)
    {
        public Transaction ToTransaction() => new(
            TransactionId, Type, FromAccountId, ToAccountId, Amount, Currency, FromBalanceAfter, ToBalanceAfter,
            ReversesTransactionId, HoldId, Reference, Metadata, CreatedAt);
    }

    private sealed record KeyedEvent(
        string ClientId, string IdempotencyKey, byte[] RequestHash, string Type, long AccountId, string OwnerName, string Currency, string StatusAfter,
        decimal BalanceAfter, decimal HeldAfter, decimal OverdraftLimitAfter, string? Reference, string? Metadata, DateTime CreatedAt, long? HoldId);

    private const string TransactionsSql = """
        SELECT log.client_id
             , log.idempotency_key
             , log.transaction_id
             , log.type
             , log.from_account_id
             , log.to_account_id
             , log.amount
             , log.currency
             , log.from_balance_after
             , log.to_balance_after
             , log.reverses_transaction_id
             , log.hold_id
             , log.reference
             , log.metadata::text
             , log.created_at
             , log.part
             , log.request_hash
          FROM unnest($1, $2) AS asked (client_id, idempotency_key)
          JOIN transaction_log AS log USING (client_id, idempotency_key);
        """;

    private const string EventsSql = """
        SELECT log.client_id
             , log.idempotency_key
             , log.request_hash
             , log.type
             , log.account_id
             , account.owner_name
             , account.currency
             , log.status_after
             , log.balance_after
             , log.held_after
             , log.overdraft_limit_after
             , account.reference
             , account.metadata::text
             , account.created_at
             , log.hold_id
          FROM unnest($1, $2) AS asked (client_id, idempotency_key)
          JOIN account_log AS log USING (client_id, idempotency_key)
          JOIN account ON account.account_id = log.account_id;
        """;

    /// <summary>The holds that some of the requests placed or ended.</summary>
    public long[] HoldIds => [.. events.Where(row => row.HoldId is not null).Select(row => row.HoldId!.Value)];

    public static void AskFor(List<RequestId> keys, NpgsqlBatch batch)
    {
        batch.Add(TransactionsSql, Values(keys, id => id.ClientId), Values(keys, id => id.Key));
        batch.Add(EventsSql, Values(keys, id => id.ClientId), Values(keys, id => id.Key));
    }

    /// <summary>Reads the results of what <see cref="AskFor"/> asked.</summary>
    public static async Task<RecordedRequests> ReadAsync(NpgsqlDataReader read) =>
        new(await read.NextRowsAsync<KeyedTransaction>(), await read.NextRowsAsync<KeyedEvent>());

    public Dictionary<RequestId, Recorded> ById(Dictionary<long, Hold> holds)
    {
        var recorded = new Dictionary<RequestId, Recorded>();
        foreach (var rows in transactions.GroupBy(row => new RequestId(row.ClientId, row.IdempotencyKey)))
        {
            var first = rows.First();
            recorded.Add(rows.Key, first.Part == 0
                ? new(first.ToTransaction(), RequestHash: first.RequestHash)
                : new(RequestHash: first.RequestHash, Parts: rows.ToDictionary(row => row.Part, row => row.ToTransaction())));
        }

        foreach (var row in events)
        {
            var id = new RequestId(row.ClientId, row.IdempotencyKey);
            var earlier = recorded.GetValueOrDefault(id);
            var account = new Account(
                row.AccountId, row.OwnerName, row.Currency, row.StatusAfter, row.BalanceAfter, row.HeldAfter, row.OverdraftLimitAfter,
                row.Reference, row.Metadata, row.CreatedAt);
            var made = row.HoldId is { } holdId
                ? new RecordedEvent(row.RequestHash, Hold: holds[holdId].AfterEvent(row.Type))
                : new RecordedEvent(row.RequestHash, OpenedAccount.AfterDeposit(account, earlier?.Transaction));
            recorded[id] = earlier is null ? new(Event: made) : earlier with { Event = made };
        }

        return recorded;
    }
}
