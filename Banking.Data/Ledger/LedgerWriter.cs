using Npgsql;
using static Banking.Data.WriteBatch;

namespace Banking.Data;

/// <summary>Writes what a batch decided. Each table's columns and arrays are here and nowhere else.</summary>
internal static class LedgerWriter
{
    private const string OpenSql = """
        WITH written AS (
            INSERT INTO account (account_id, owner_name, currency, status, balance, held, overdraft_limit, reference, metadata, created_at)
            SELECT opened.account_id
                 , opened.owner_name
                 , opened.currency
                 , opened.status
                 , opened.balance
                 , opened.held
                 , opened.overdraft_limit
                 , opened.reference
                 , opened.metadata::jsonb
                 , $1
              FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
                AS opened (account_id, owner_name, currency, status, balance, held, overdraft_limit, reference, metadata)
            RETURNING 1)
        SELECT require_rows(count(*), $11)
          FROM written;
        """;

    private const string PlaceSql = """
        WITH written AS (
            INSERT INTO hold (hold_id, account_id, to_account_id, currency, amount, captured_amount, status, expires_at, reference, metadata, created_at)
            SELECT placed.hold_id
                 , placed.account_id
                 , placed.to_account_id
                 , placed.currency
                 , placed.amount
                 , placed.captured_amount
                 , placed.status
                 , placed.expires_at
                 , placed.reference
                 , placed.metadata::jsonb
                 , $1
              FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                AS placed (hold_id, account_id, to_account_id, currency, amount, captured_amount, status, expires_at, reference, metadata)
            RETURNING 1)
        SELECT require_rows(count(*), $12)
          FROM written;
        """;

    // The log rows before the balances: their foreign keys then find the accounts' rows as they were locked. The other way round they
    // would lock each row's new version too.
    private const string PostSql = """
        WITH written AS (
            INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                         to_balance_after, reverses_transaction_id, hold_id, client_id, idempotency_key, part, request_hash,
                                         reference, metadata, created_at)
            SELECT posted.transaction_id
                 , posted.type
                 , posted.from_account_id
                 , posted.to_account_id
                 , posted.amount
                 , posted.currency
                 , posted.from_balance_after
                 , posted.to_balance_after
                 , posted.reverses_transaction_id
                 , posted.hold_id
                 , posted.client_id
                 , posted.idempotency_key
                 , posted.part
                 , posted.request_hash
                 , posted.reference
                 , posted.metadata::jsonb
                 , $1
              FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
                AS posted (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                           reverses_transaction_id, hold_id, client_id, idempotency_key, part, request_hash, reference, metadata)
            RETURNING 1)
        SELECT require_rows(count(*), $18)
          FROM written;
        """;

    private const string MoveSql = """
        WITH written AS (
            UPDATE account
               SET balance = moved.balance
              FROM unnest($1, $2) AS moved (account_id, balance)
             WHERE account.account_id = moved.account_id
            RETURNING 1)
        SELECT require_rows(count(*), $3)
          FROM written;
        """;

    private const string RecordSql = """
        WITH written AS (
            INSERT INTO account_log (account_event_id, type, account_id, hold_id, amount, hold_to_account_id, hold_expires_at, status_after,
                                     overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key,
                                     request_hash, reason, created_at)
            SELECT event.account_event_id
                 , event.type
                 , event.account_id
                 , event.hold_id
                 , event.amount
                 , event.hold_to_account_id
                 , event.hold_expires_at
                 , event.status_after
                 , event.overdraft_limit_after
                 , event.held_after
                 , event.balance_after
                 , event.after_transaction_id
                 , event.client_id
                 , event.idempotency_key
                 , event.request_hash
                 , event.reason
                 , $1
              FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
                AS event (account_event_id, type, account_id, hold_id, amount, hold_to_account_id, hold_expires_at, status_after,
                          overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key, request_hash, reason)
            RETURNING 1)
        SELECT require_rows(count(*), $18)
          FROM written;
        """;

    // The balance with the rest, in one update. Between two of them a limit that was raised and used, or a closing after the last
    // payment, would break the row's constraints.
    private const string ChangeSql = """
        WITH written AS (
            UPDATE account
               SET owner_name = COALESCE(changed.owner_name, account.owner_name)
                 , status = changed.status
                 , balance = changed.balance
                 , held = changed.held
                 , overdraft_limit = changed.overdraft_limit
              FROM unnest($1, $2, $3, $4, $5, $6)
                AS changed (account_id, owner_name, status, balance, held, overdraft_limit)
             WHERE account.account_id = changed.account_id
            RETURNING 1)
        SELECT require_rows(count(*), $7)
          FROM written;
        """;

    private const string HoldSql = """
        WITH written AS (
            UPDATE hold
               SET captured_amount = changed.captured_amount
                 , status = changed.status
              FROM unnest($1, $2, $3) AS changed (hold_id, captured_amount, status)
             WHERE hold.hold_id = changed.hold_id
            RETURNING 1)
        SELECT require_rows(count(*), $4)
          FROM written;
        """;

    // Where the block is kept out, the head stays too, and the count says so.
    private const string BlockSql = """
        WITH block AS (
            INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
            VALUES ($2, $4, $6, 1, $7, ledger_block_hash($7, $2, $1, $3, $4, $5, $6), $1)
            RETURNING block_id, last_transaction_id, last_account_event_id, hash, created_at),
        head AS (
            UPDATE ledger_head
               SET last_block_id = block.block_id
                 , last_transaction_id = block.last_transaction_id
                 , last_account_event_id = block.last_account_event_id
                 , last_account_id = $8
                 , last_created_at = block.created_at
                 , last_hash = block.hash
              FROM block
             WHERE only_row
            RETURNING last_hash)
        SELECT require_rows(count(*), 1)
             , (SELECT last_hash
                  FROM head)
          FROM head;
        """;

    /// <summary>
    /// Writes everything and commits, in one round trip: the server itself counts what each statement has written. The block comes last,
    /// as its hash covers the rows before it. Returns the block.
    /// </summary>
    public static async Task<CommittedHead.Block> CommitAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedBook book)
    {
        var (head, opened, placed, posted, events) = (book.Head, book.Opened, book.Placed, book.Transactions, book.Events);
        var (moved, changed, holds) = (book.Moved.ToList(), book.Changed.ToList(), book.ChangedHolds.ToList());
        await using var batch = new NpgsqlBatch(connection, transaction);
        if (opened.Count > 0)
        {
            batch.Add(
                OpenSql,
                Value(head.Now),
                Values(opened, account => account.AccountId),
                Values(opened, account => account.State.OwnerName),
                Values(opened, account => account.Currency.Code),
                Values(opened, account => account.State.Status),
                Values(opened, account => account.State.Balance),
                Values(opened, account => account.State.Held),
                Values(opened, account => account.State.OverdraftLimit),
                Values(opened, account => account.Origin!.Reference),
                Values(opened, account => account.Origin!.Metadata),
                Value((long)opened.Count));
        }

        if (placed.Count > 0)
        {
            batch.Add(
                PlaceSql,
                Value(head.Now),
                Values(placed, hold => hold.Row.HoldId),
                Values(placed, hold => hold.Row.AccountId),
                Values(placed, hold => hold.Row.ToAccountId),
                Values(placed, hold => hold.Row.Currency),
                Values(placed, hold => hold.Row.Amount),
                Values(placed, hold => hold.Row.CapturedAmount),
                Values(placed, hold => hold.Row.Status),
                Values(placed, hold => hold.Row.ExpiresAt),
                Values(placed, hold => hold.Row.Reference),
                Values(placed, hold => hold.Row.Metadata),
                Value((long)placed.Count));
        }

        if (posted.Count > 0)
        {
            batch.Add(
                PostSql,
                Value(head.Now),
                Values(posted, row => row.Transaction.TransactionId),
                Values(posted, row => row.Transaction.Type),
                Values(posted, row => row.Transaction.FromAccountId),
                Values(posted, row => row.Transaction.ToAccountId),
                Values(posted, row => row.Transaction.Amount),
                Values(posted, row => row.Transaction.Currency),
                Values(posted, row => row.Transaction.FromBalanceAfter),
                Values(posted, row => row.Transaction.ToBalanceAfter),
                Values(posted, row => row.Transaction.ReversesTransactionId),
                Values(posted, row => row.Transaction.HoldId),
                Values(posted, row => row.Key.Id.ClientId),
                Values(posted, row => row.Key.Id.Key),
                Values(posted, row => row.Key.Part),
                Values(posted, row => row.Key.RequestHash),
                Values(posted, row => row.Transaction.Reference),
                Values(posted, row => row.Transaction.Metadata),
                Value((long)posted.Count));
        }

        if (events.Count > 0)
        {
            batch.Add(
                RecordSql,
                Value(head.Now),
                Values(events, row => row.Event.AccountEventId),
                Values(events, row => row.Event.Type),
                Values(events, row => row.Event.AccountId),
                Values(events, row => row.Event.HoldId),
                Values(events, row => row.Event.Amount),
                Values(events, row => row.Placed?.ToAccountId),
                Values(events, row => row.Placed?.ExpiresAt),
                Values(events, row => row.Event.StatusAfter),
                Values(events, row => row.Event.OverdraftLimitAfter),
                Values(events, row => row.Event.HeldAfter),
                Values(events, row => row.Event.BalanceAfter),
                Values(events, row => row.Event.AfterTransactionId),
                Values(events, row => row.Id.ClientId),
                Values(events, row => row.Id.Key),
                Values(events, row => row.RequestHash),
                Values(events, row => row.Event.Reason),
                Value((long)events.Count));
        }

        if (moved.Count > 0)
        {
            batch.Add(MoveSql, Values(moved, account => account.AccountId), Values(moved, account => account.State.Balance), Value((long)moved.Count));
        }

        if (changed.Count > 0)
        {
            batch.Add(
                ChangeSql,
                Values(changed, account => account.AccountId),
                Values(changed, account => account.State.OwnerName),
                Values(changed, account => account.State.Status),
                Values(changed, account => account.State.Balance),
                Values(changed, account => account.State.Held),
                Values(changed, account => account.State.OverdraftLimit),
                Value((long)changed.Count));
        }

        if (holds.Count > 0)
        {
            batch.Add(
                HoldSql,
                Values(holds, hold => hold.Row.HoldId),
                Values(holds, hold => hold.Row.CapturedAmount),
                Values(holds, hold => hold.Row.Status),
                Value((long)holds.Count));
        }

        var blockId = head.LastBlockId + 1;
        batch.Add(
            BlockSql, Value(head.Now), Value(blockId), Value(head.LastTransactionId), Value(book.LastTransactionId),
            Value(head.LastAccountEventId), Value(book.LastAccountEventId), Value(head.LastHash), Value(book.LastAccountId));
        batch.Add("COMMIT");
        byte[] hash = [];
        await using var written = await batch.ExecuteReaderAsync();
        do
        {
            while (await written.ReadAsync())
            {
                hash = written.FieldCount == 2 ? written.GetFieldValue<byte[]>(1) : hash; // of the head
            }
        }
        while (await written.NextResultAsync()); // the last one is the commit

        return new(blockId, hash);
    }
}
