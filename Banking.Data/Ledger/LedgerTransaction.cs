using System.Diagnostics;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>All SQL of one write transaction, in three round trips: lock and look up, write, commit.</summary>
internal sealed class LedgerTransaction(NpgsqlDataSource dataSource, Currencies currencies)
{
    private sealed record HeadRow(
        long LastBlockId, long LastTransactionId, long LastAccountEventId, long LastAccountId, byte[] LastHash, DateTime Now, string Pinned);

    private sealed record AccountRow(
        long AccountId, string Kind, string Currency, string Status, decimal Balance, decimal Held, decimal OverdraftLimit);

    private sealed record DetailsRow(long AccountId, string OwnerName, string? Reference, string? Metadata, DateTime CreatedAt);

    private sealed record KeyedTransaction(
        string ClientId, string IdempotencyKey, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount,
        string Currency, decimal FromBalanceAfter, decimal ToBalanceAfter, string? Reference, string? Metadata, DateTime CreatedAt);

    private sealed record KeyedEvent(
        string ClientId, string IdempotencyKey, byte[] RequestHash, long AccountId, string OwnerName, string Currency, string StatusAfter,
        decimal BalanceAfter, decimal HeldAfter, decimal OverdraftLimitAfter, string? Reference, string? Metadata, DateTime CreatedAt);

    // The head first, so that one write transaction follows another and each sees all that those before it did. With it, what
    // the commit relies on is pinned for this transaction: a server's settings may change while sessions are open, and what is
    // acknowledged is on disk all the same.
    // Then the accounts in ascending id order, the settlement accounts of deposits and withdrawals among them. A row that
    // somebody else has locked is left out, so that only the requests for it wait.
    private const string LockSql = """
        SELECT last_block_id
             , last_transaction_id
             , last_account_event_id
             , last_account_id
             , last_hash
             , GREATEST(clock_timestamp(), last_created_at) AS now
             , set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)
               || set_config('client_min_messages', 'warning', true) AS pinned
          FROM ledger_head
         WHERE only_row
           FOR UPDATE;

        SELECT account_id
             , kind
             , currency
             , status
             , balance
             , held
             , overdraft_limit
          FROM account
         WHERE account_id = ANY (@account_ids || ARRAY(SELECT currency.numeric_code::bigint
                                                         FROM account AS customer
                                                         JOIN currency ON currency.code = customer.currency
                                                        WHERE customer.account_id = ANY (@with_settlement)))
         ORDER BY account_id
           FOR UPDATE SKIP LOCKED;

        """;

    private const string DetailsSql = """
        SELECT account_id
             , owner_name
             , reference
             , metadata::text
             , created_at
          FROM account
         WHERE account_id = ANY (@with_details);

        """;

    // What the keys of the batch already stand for.
    private const string LookUpSql = """
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
             , log.reference
             , log.metadata::text
             , log.created_at
          FROM unnest(@client_ids, @idempotency_keys) AS asked (client_id, idempotency_key)
          JOIN transaction_log AS log USING (client_id, idempotency_key);

        SELECT log.client_id
             , log.idempotency_key
             , log.request_hash
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
          FROM unnest(@client_ids, @idempotency_keys) AS asked (client_id, idempotency_key)
          JOIN account_log AS log USING (client_id, idempotency_key)
          JOIN account ON account.account_id = log.account_id;

        """;

    private const string WhichExistSql = """
        SELECT account_id
          FROM account
         WHERE account_id = ANY (@account_ids);
        """;

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

    // The log rows before the balances: their foreign keys then find the accounts' rows as they were locked, and needn't lock
    // each one's new version too.
    private const string PostSql = """
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after,
                                     to_balance_after, client_id, idempotency_key, reference, metadata, created_at)
        SELECT posted.transaction_id
             , posted.type
             , posted.from_account_id
             , posted.to_account_id
             , posted.amount
             , posted.currency
             , posted.from_balance_after
             , posted.to_balance_after
             , posted.client_id
             , posted.idempotency_key
             , posted.reference
             , posted.metadata::jsonb
             , @now
          FROM unnest(@transaction_ids, @types, @from_ids, @to_ids, @amounts, @currencies, @from_balances, @to_balances,
                      @posted_client_ids, @posted_keys, @references, @metadata)
            AS posted (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                       client_id, idempotency_key, reference, metadata);

        """;

    private const string MoveSql = """
        UPDATE account
           SET balance = moved.balance
          FROM unnest(@moved_ids, @moved_balances) AS moved (account_id, balance)
         WHERE account.account_id = moved.account_id;

        """;

    private const string RecordSql = """
        INSERT INTO account_log (account_event_id, type, account_id, hold_id, amount, status_after, overdraft_limit_after, held_after,
                                 balance_after, after_transaction_id, client_id, idempotency_key, request_hash, reason, created_at)
        SELECT event.account_event_id
             , event.type
             , event.account_id
             , event.hold_id
             , event.amount
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
          FROM unnest(@event_ids, @event_types, @event_account_ids, @event_hold_ids, @event_amounts, @event_statuses, @event_limits,
                      @event_held, @event_balances, @event_transaction_ids, @event_client_ids, @event_keys, @event_hashes, @event_reasons)
            AS event (account_event_id, type, account_id, hold_id, amount, status_after, overdraft_limit_after, held_after,
                      balance_after, after_transaction_id, client_id, idempotency_key, request_hash, reason);

        """;

    // The balance with the rest: between two updates of a row, a limit that was raised and used, or a closing after the last
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

    /// <summary>
    /// Locks what the batch needs, has it decided, and writes and commits what was decided. A key made here can't be in the log
    /// before the transaction that may have written it was tried.
    /// </summary>
    public Task<LockedBook> RunAsync(IReadOnlyList<Pending> batch, bool isFirstAttempt) => dataSource.UseAsync(async connection =>
    {
        var began = Stopwatch.GetTimestamp();
        await using var transaction = await connection.BeginTransactionAsync();
        var needs = new LockSet();
        foreach (var pending in batch)
        {
            pending.Collect(needs);
        }

        List<RequestId> keys = [.. batch.Where(pending => pending.Id.IsFromClient || !isFirstAttempt).Select(pending => pending.Id).Distinct()];
        var book = await LockAsync(connection, transaction, needs, keys);
        foreach (var pending in batch)
        {
            pending.Decide(book);
        }

        // Without anything to write, the commit is still waited for: what a key was found to stand for may itself be waiting for the
        // disk or the standby, and the head's lock is in the write-ahead log behind it.
        if (!book.WritesNothing)
        {
            await WriteAsync(connection, transaction, book);
        }

        var written = Stopwatch.GetTimestamp();
        await CommitAsync(connection, transaction);
        Telemetry.CommitDuration.Record(Stopwatch.GetElapsedTime(written).TotalSeconds);
        Telemetry.BatchDuration.Record(Stopwatch.GetElapsedTime(began).TotalSeconds);
        return book;
    });

    private async Task<LockedBook> LockAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockSet needs, List<RequestId> keys)
    {
        using var read = await connection.QueryMultipleAsync(
            LockSql + (needs.WithDetails.Count > 0 ? DetailsSql : "") + (keys.Count > 0 ? LookUpSql : ""),
            new
            {
                account_ids = needs.AccountIds.ToArray(),
                with_settlement = needs.WithSettlement.ToArray(),
                with_details = needs.WithDetails.ToArray(),
                client_ids = keys.Select(id => id.ClientId).ToArray(),
                idempotency_keys = keys.Select(id => id.Key).ToArray(),
            },
            transaction);
        var head = await read.ReadSingleAsync<HeadRow>();
        var rows = (await read.ReadAsync<AccountRow>()).AsList();
        var details = needs.WithDetails.Count > 0 ? (await read.ReadAsync<DetailsRow>()).ToDictionary(row => row.AccountId) : [];
        var recorded = keys.Count > 0 ? Record(await read.ReadAsync<KeyedTransaction>(), await read.ReadAsync<KeyedEvent>()) : [];

        var accounts = new Dictionary<long, LockedAccount>(rows.Count);
        foreach (var row in rows)
        {
            var shown = details.GetValueOrDefault(row.AccountId);
            accounts.Add(row.AccountId, new(
                row.AccountId, row.Kind == "customer", await currencies.OfAsync(row.Currency),
                new(row.Status, row.Balance, row.Held, row.OverdraftLimit, shown?.OwnerName),
                shown is null ? null : new(shown.Reference, shown.Metadata, shown.CreatedAt)));
        }

        // Not locked by us: there is no such account, or somebody else holds it.
        var missing = needs.AccountIds.Where(id => !accounts.ContainsKey(id)).ToArray();
        HashSet<long> busy = missing.Length == 0 ? []
            : [.. await connection.QueryAsync<long>(WhichExistSql, new { account_ids = missing }, transaction)];
        busy.UnionWith(needs.WithSettlement
            .Where(accounts.ContainsKey)
            .Select(id => accounts[id].Currency.SettlementAccountId)
            .Where(id => !accounts.ContainsKey(id)));
        var lockedHead = new LockedHead(
            head.LastBlockId, head.LastTransactionId, head.LastAccountEventId, head.LastAccountId, head.LastHash, head.Now);
        return new(lockedHead, accounts, busy, recorded);
    }

    private static Dictionary<RequestId, Recorded> Record(IEnumerable<KeyedTransaction> transactions, IEnumerable<KeyedEvent> events)
    {
        var recorded = transactions.ToDictionary(
            row => new RequestId(row.ClientId, row.IdempotencyKey),
            row => new Recorded(
                new(row.TransactionId, row.Type, row.FromAccountId, row.ToAccountId, row.Amount, row.Currency,
                    row.FromBalanceAfter, row.ToBalanceAfter, row.Reference, row.Metadata, row.CreatedAt),
                Event: null));
        foreach (var row in events)
        {
            var id = new RequestId(row.ClientId, row.IdempotencyKey);
            var deposit = recorded.GetValueOrDefault(id)?.Transaction;
            var account = new Account(
                row.AccountId, row.OwnerName, row.Currency, row.StatusAfter, row.BalanceAfter, row.HeldAfter, row.OverdraftLimitAfter,
                row.Reference, row.Metadata, row.CreatedAt);
            recorded[id] = new(deposit, new(row.RequestHash, OpenedAccount.AfterDeposit(account, deposit)));
        }

        return recorded;
    }

    private static async Task WriteAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedBook book)
    {
        var (head, opened, posted, moved, events, changed) =
            (book.Head, book.Opened, book.Transactions, book.Moved.ToList(), book.Events, book.Changed.ToList());
        var rows = await connection.ExecuteAsync(
            (opened.Count > 0 ? OpenSql : "") + (posted.Count > 0 ? PostSql : "") + (events.Count > 0 ? RecordSql : "")
            + (moved.Count > 0 ? MoveSql : "") + (changed.Count > 0 ? ChangeSql : "") + BlockSql,
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
                transaction_ids = posted.Select(row => row.Transaction.TransactionId).ToArray(),
                types = posted.Select(row => row.Transaction.Type).ToArray(),
                from_ids = posted.Select(row => row.Transaction.FromAccountId).ToArray(),
                to_ids = posted.Select(row => row.Transaction.ToAccountId).ToArray(),
                amounts = posted.Select(row => row.Transaction.Amount).ToArray(),
                currencies = posted.Select(row => row.Transaction.Currency).ToArray(),
                from_balances = posted.Select(row => row.Transaction.FromBalanceAfter).ToArray(),
                to_balances = posted.Select(row => row.Transaction.ToBalanceAfter).ToArray(),
                posted_client_ids = posted.Select(row => row.Id.ClientId).ToArray(),
                posted_keys = posted.Select(row => row.Id.Key).ToArray(),
                references = posted.Select(row => row.Transaction.Reference).ToArray(),
                metadata = posted.Select(row => row.Transaction.Metadata).ToArray(),
                event_ids = events.Select(row => row.Event.AccountEventId).ToArray(),
                event_types = events.Select(row => row.Event.Type).ToArray(),
                event_account_ids = events.Select(row => row.Event.AccountId).ToArray(),
                event_hold_ids = events.Select(row => row.Event.HoldId).ToArray(),
                event_amounts = events.Select(row => row.Event.Amount).ToArray(),
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
                block_id = head.LastBlockId + 1,
                last_transaction_id = book.LastTransactionId,
                last_account_event_id = book.LastAccountEventId,
                last_account_id = book.LastAccountId,
                previous_hash = head.LastHash,
                after_transaction_id = head.LastTransactionId,
                after_account_event_id = head.LastAccountEventId,
            },
            transaction);
        var expected = opened.Count + posted.Count + events.Count + moved.Count + changed.Count + 2; // the block and the head
        if (rows != expected)
        {
            throw new InvalidOperationException($"A batch wrote {rows} rows where it decided on {expected}; it is rolled back.");
        }
    }

    /// <summary>Commits. Where a standby was to confirm it and the wait was cut short, the commit is on this one server only: that counts as failed.</summary>
    private static async Task CommitAsync(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var isConfirmed = true;
        // By the place in PostgreSQL's source, as the text comes in the server's language. Other warnings mean something else.
        void Listen(object sender, NpgsqlNoticeEventArgs said) => isConfirmed &= said.Notice.Routine != "SyncRepWaitForLSN";
        connection.Notice += Listen;
        await transaction.CommitAsync();
        if (!isConfirmed)
        {
            throw new NpgsqlException("The standby that the commit was to wait for has not confirmed it.");
        }
    }
}
