using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Writes what a batch decided. Each table's columns and arrays are here and nowhere else.</summary>
internal static class LedgerWriter
{
    private const string OpenSql = """
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
             , @now
          FROM unnest(@opened_ids, @opened_names, @opened_currencies, @opened_statuses, @opened_balances, @opened_held, @opened_limits,
                      @opened_references, @opened_metadata)
            AS opened (account_id, owner_name, currency, status, balance, held, overdraft_limit, reference, metadata);

        """;

    private const string PlaceSql = """
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
             , @now
          FROM unnest(@placed_ids, @placed_account_ids, @placed_to_ids, @placed_currencies, @placed_amounts, @placed_captured,
                      @placed_statuses, @placed_expiries, @placed_references, @placed_metadata)
            AS placed (hold_id, account_id, to_account_id, currency, amount, captured_amount, status, expires_at, reference, metadata);

        """;

    // The log rows before the balances: their foreign keys then find the accounts' rows as they were locked. The other way round they
    // would lock each row's new version too.
    private const string PostSql = """
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
             , @now
          FROM unnest(@transaction_ids, @types, @from_ids, @to_ids, @amounts, @currencies, @from_balances, @to_balances, @reversed_ids,
                      @captured_ids, @posted_client_ids, @posted_keys, @parts, @posted_hashes, @references, @metadata)
            AS posted (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                       reverses_transaction_id, hold_id, client_id, idempotency_key, part, request_hash, reference, metadata);

        """;

    private const string MoveSql = """
        UPDATE account
           SET balance = moved.balance
          FROM unnest(@moved_ids, @moved_balances) AS moved (account_id, balance)
         WHERE account.account_id = moved.account_id;

        """;

    private const string RecordSql = """
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
             , @now
          FROM unnest(@event_ids, @event_types, @event_account_ids, @event_hold_ids, @event_amounts, @event_hold_to_ids, @event_hold_expiries,
                      @event_statuses, @event_limits, @event_held, @event_balances, @event_transaction_ids, @event_client_ids, @event_keys,
                      @event_hashes, @event_reasons)
            AS event (account_event_id, type, account_id, hold_id, amount, hold_to_account_id, hold_expires_at, status_after,
                      overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key, request_hash, reason);

        """;

    // The balance with the rest, in one update. Between two of them a limit that was raised and used, or a closing after the last
    // payment, would break the row's constraints.
    private const string ChangeSql = """
        UPDATE account
           SET owner_name = COALESCE(changed.owner_name, account.owner_name)
             , status = changed.status
             , balance = changed.balance
             , held = changed.held
             , overdraft_limit = changed.overdraft_limit
          FROM unnest(@changed_ids, @changed_names, @changed_statuses, @changed_balances, @changed_held, @changed_limits)
            AS changed (account_id, owner_name, status, balance, held, overdraft_limit)
         WHERE account.account_id = changed.account_id;

        """;

    private const string HoldSql = """
        UPDATE hold
           SET captured_amount = changed.captured_amount
             , status = changed.status
          FROM unnest(@hold_ids, @hold_captured, @hold_statuses) AS changed (hold_id, captured_amount, status)
         WHERE hold.hold_id = changed.hold_id;

        """;

    private const string BlockSql = """
        INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
        VALUES (@block_id, @last_transaction_id, @last_account_event_id, 1, @previous_hash,
                ledger_block_hash(@previous_hash, @block_id, @now, @after_transaction_id, @last_transaction_id,
                                  @after_account_event_id, @last_account_event_id), @now);

        UPDATE ledger_head
           SET last_block_id = block.block_id
             , last_transaction_id = block.last_transaction_id
             , last_account_event_id = block.last_account_event_id
             , last_account_id = @last_account_id
             , last_created_at = block.created_at
             , last_hash = block.hash
          FROM ledger_block AS block
         WHERE only_row
           AND block.block_id = @block_id;
        """;

    /// <summary>Writes everything in one round trip. The block comes last, as its hash covers the rows before it.</summary>
    public static async Task WriteAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedBook book)
    {
        var (head, opened, placed, posted, moved) = (book.Head, book.Opened, book.Placed, book.Transactions, book.Moved.ToList());
        var (events, changed, holds) = (book.Events, book.Changed.ToList(), book.ChangedHolds.ToList());
        var rows = await connection.ExecuteAsync(
            (opened.Count > 0 ? OpenSql : "") + (placed.Count > 0 ? PlaceSql : "") + (posted.Count > 0 ? PostSql : "") + (events.Count > 0 ? RecordSql : "")
            + (moved.Count > 0 ? MoveSql : "") + (changed.Count > 0 ? ChangeSql : "")
            + (holds.Count > 0 ? HoldSql : "") + BlockSql,
            new
            {
                now = head.Now,
                opened_ids = opened.Select(account => account.AccountId).ToArray(),
                opened_names = opened.Select(account => account.State.OwnerName).ToArray(),
                opened_currencies = opened.Select(account => account.Currency.Code).ToArray(),
                opened_statuses = opened.Select(account => account.State.Status).ToArray(),
                opened_balances = opened.Select(account => account.State.Balance).ToArray(),
                opened_held = opened.Select(account => account.State.Held).ToArray(),
                opened_limits = opened.Select(account => account.State.OverdraftLimit).ToArray(),
                opened_references = opened.Select(account => account.Origin!.Reference).ToArray(),
                opened_metadata = opened.Select(account => account.Origin!.Metadata).ToArray(),
                placed_ids = placed.Select(hold => hold.Row.HoldId).ToArray(),
                placed_account_ids = placed.Select(hold => hold.Row.AccountId).ToArray(),
                placed_to_ids = placed.Select(hold => hold.Row.ToAccountId).ToArray(),
                placed_currencies = placed.Select(hold => hold.Row.Currency).ToArray(),
                placed_amounts = placed.Select(hold => hold.Row.Amount).ToArray(),
                placed_captured = placed.Select(hold => hold.Row.CapturedAmount).ToArray(),
                placed_statuses = placed.Select(hold => hold.Row.Status).ToArray(),
                placed_expiries = placed.Select(hold => hold.Row.ExpiresAt).ToArray(),
                placed_references = placed.Select(hold => hold.Row.Reference).ToArray(),
                placed_metadata = placed.Select(hold => hold.Row.Metadata).ToArray(),
                transaction_ids = posted.Select(row => row.Transaction.TransactionId).ToArray(),
                types = posted.Select(row => row.Transaction.Type).ToArray(),
                from_ids = posted.Select(row => row.Transaction.FromAccountId).ToArray(),
                to_ids = posted.Select(row => row.Transaction.ToAccountId).ToArray(),
                amounts = posted.Select(row => row.Transaction.Amount).ToArray(),
                currencies = posted.Select(row => row.Transaction.Currency).ToArray(),
                from_balances = posted.Select(row => row.Transaction.FromBalanceAfter).ToArray(),
                to_balances = posted.Select(row => row.Transaction.ToBalanceAfter).ToArray(),
                reversed_ids = posted.Select(row => row.Transaction.ReversesTransactionId).ToArray(),
                captured_ids = posted.Select(row => row.Transaction.HoldId).ToArray(),
                posted_client_ids = posted.Select(row => row.Key.Id.ClientId).ToArray(),
                posted_keys = posted.Select(row => row.Key.Id.Key).ToArray(),
                parts = posted.Select(row => row.Key.Part).ToArray(),
                posted_hashes = posted.Select(row => row.Key.RequestHash).ToArray(),
                references = posted.Select(row => row.Transaction.Reference).ToArray(),
                metadata = posted.Select(row => row.Transaction.Metadata).ToArray(),
                event_ids = events.Select(row => row.Event.AccountEventId).ToArray(),
                event_types = events.Select(row => row.Event.Type).ToArray(),
                event_account_ids = events.Select(row => row.Event.AccountId).ToArray(),
                event_hold_ids = events.Select(row => row.Event.HoldId).ToArray(),
                event_amounts = events.Select(row => row.Event.Amount).ToArray(),
                event_hold_to_ids = events.Select(row => row.Placed?.ToAccountId).ToArray(),
                event_hold_expiries = events.Select(row => row.Placed?.ExpiresAt).ToArray(),
                event_statuses = events.Select(row => row.Event.StatusAfter).ToArray(),
                event_limits = events.Select(row => row.Event.OverdraftLimitAfter).ToArray(),
                event_held = events.Select(row => row.Event.HeldAfter).ToArray(),
                event_balances = events.Select(row => row.Event.BalanceAfter).ToArray(),
                event_transaction_ids = events.Select(row => row.Event.AfterTransactionId).ToArray(),
                event_client_ids = events.Select(row => row.Id.ClientId).ToArray(),
                event_keys = events.Select(row => row.Id.Key).ToArray(),
                event_hashes = events.Select(row => row.RequestHash).ToArray(),
                event_reasons = events.Select(row => row.Event.Reason).ToArray(),
                moved_ids = moved.Select(account => account.AccountId).ToArray(),
                moved_balances = moved.Select(account => account.State.Balance).ToArray(),
                changed_ids = changed.Select(account => account.AccountId).ToArray(),
                changed_names = changed.Select(account => account.State.OwnerName).ToArray(),
                changed_statuses = changed.Select(account => account.State.Status).ToArray(),
                changed_balances = changed.Select(account => account.State.Balance).ToArray(),
                changed_held = changed.Select(account => account.State.Held).ToArray(),
                changed_limits = changed.Select(account => account.State.OverdraftLimit).ToArray(),
                hold_ids = holds.Select(hold => hold.Row.HoldId).ToArray(),
                hold_captured = holds.Select(hold => hold.Row.CapturedAmount).ToArray(),
                hold_statuses = holds.Select(hold => hold.Row.Status).ToArray(),
                block_id = head.LastBlockId + 1,
                last_transaction_id = book.LastTransactionId,
                last_account_event_id = book.LastAccountEventId,
                last_account_id = book.LastAccountId,
                previous_hash = head.LastHash,
                after_transaction_id = head.LastTransactionId,
                after_account_event_id = head.LastAccountEventId,
            },
            transaction);
        var expected = opened.Count + placed.Count + posted.Count + events.Count + moved.Count + changed.Count + holds.Count + 2; // the block and the head
        if (rows != expected)
        {
            throw new InvalidOperationException($"A batch wrote {rows} rows where it decided on {expected}; it is rolled back.");
        }
    }
}
