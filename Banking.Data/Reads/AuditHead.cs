using Dapper;

namespace Banking.Data;

/// <summary>The end of the book: the last block, its hash in hex, which covers it and all blocks before it, and the last ids.</summary>
public sealed record AuditHead(long BlockId, long TransactionId, long AccountEventId, long AccountId, string Hash, DateTime CreatedAt);

/// <summary>Reads the head of the chain.</summary>
public sealed class AuditHeads(ReadDatabase database)
{
    internal const string GetSql = """
        SELECT last_block_id AS block_id
             , last_transaction_id AS transaction_id
             , last_account_event_id AS account_event_id
             , last_account_id AS account_id
             , encode(last_hash, 'hex') AS hash
             , last_created_at AS created_at
          FROM ledger_head
         WHERE only_row;
        """;

    public Task<AuditHead> GetAsync(CancellationToken cancellationToken) =>
        database.ReadAsync(connection => connection.QuerySingleAsync<AuditHead>(GetSql), cancellationToken);
}
