using Dapper;

namespace Banking.Data;

/// <summary>The end of the chain over the log: the last transaction, and the hash (hex) that covers it and all before it.</summary>
public sealed record AuditHead(long TransactionId, string Hash, DateTime CreatedAt);

/// <summary>Reads the head of the chain.</summary>
public sealed class AuditHeads(ReadDatabase database)
{
    private const string GetSql = """
        SELECT last_transaction_id AS transaction_id
             , encode(last_hash, 'hex') AS hash
             , last_created_at AS created_at
          FROM ledger_head
         WHERE only_row;
        """;

    public Task<AuditHead> GetAsync(CancellationToken cancellationToken) =>
        database.ReadAsync(connection => connection.QuerySingleAsync<AuditHead>(GetSql), cancellationToken);
}
