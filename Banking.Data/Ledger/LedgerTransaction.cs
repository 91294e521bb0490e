using System.Diagnostics;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>One write transaction, in three round trips: lock and look up, write (<see cref="LedgerWriter"/>), commit.</summary>
internal sealed class LedgerTransaction(NpgsqlDataSource dataSource, Currencies currencies)
{
    private sealed record HeadRow(
        long LastBlockId, long LastTransactionId, long LastAccountEventId, long LastAccountId, byte[] LastHash, DateTime Now, string Pinned);

    private sealed record AccountRow(
        long AccountId, string Kind, string Currency, string Status, decimal Balance, decimal Held, decimal OverdraftLimit);

    private sealed record DetailsRow(long AccountId, string OwnerName, string? Reference, string? Metadata, DateTime CreatedAt);

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

    private sealed record ReversedRow(long TransactionId, decimal Amount);

    private sealed record DueRow(long AccountId, long Holds);

    // The head first: one write transaction follows another, and each sees all that those before it did. The same statement pins the
    // settings that the commit relies on. They may change on the server while sessions are open, and what is acknowledged must be on
    // disk all the same. The time is taken outside the inner query, so after the lock: a write transaction that still waits for the
    // head can't get a time that has passed, and what the book says of a past instant stays true.
    // Then the accounts in ascending id order, with the settlement accounts of deposits and withdrawals. A row that another session
    // has locked is left out, so that only the requests for it wait.
    private const string LockSql = """
        SELECT last_block_id
             , last_transaction_id
             , last_account_event_id
             , last_account_id
             , last_hash
             , GREATEST(clock_timestamp(), last_created_at) AS now
             , set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)
               || set_config('client_min_messages', 'warning', true) AS pinned
          FROM (SELECT last_block_id
                     , last_transaction_id
                     , last_account_event_id
                     , last_account_id
                     , last_hash
                     , last_created_at
                  FROM ledger_head
                 WHERE only_row
                   FOR UPDATE) AS head;

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

    // The holds that requests name. The head orders all writers, so a hold is missing only where another session has locked it.
    private const string HoldsSql = $"""
        SELECT {Holds.Columns}
          FROM hold
         WHERE hold_id = ANY (@hold_ids)
         ORDER BY hold_id
           FOR UPDATE SKIP LOCKED;

        """;

    // The due holds of accounts that have something held: they expire with this transaction, so that their money is free for it. Then
    // how many there are: an account that has more waits, as its money is not free yet. Another session has locked one of them, or one
    // transaction can't end them all.
    private const string DueHoldsSql = $"""
        SELECT {Holds.Columns}
          FROM hold
         WHERE account_id = ANY (@held_account_ids)
           AND status = 'pending'
           AND expires_at <= @now
         ORDER BY hold_id
         LIMIT 1000
           FOR UPDATE SKIP LOCKED;

        SELECT account_id
             , count(*) AS holds
          FROM hold
         WHERE account_id = ANY (@held_account_ids)
           AND status = 'pending'
           AND expires_at <= @now
         GROUP BY account_id;
        """;

    // How much of each transaction was reversed so far.
    private const string ReversedSql = """
        SELECT reverses_transaction_id AS transaction_id
             , sum(amount) AS amount
          FROM transaction_log
         WHERE reverses_transaction_id = ANY (@original_ids)
         GROUP BY reverses_transaction_id;

        """;

    // What the logs keep under the keys of the batch.
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
             , log.reverses_transaction_id
             , log.hold_id
             , log.reference
             , log.metadata::text
             , log.created_at
             , log.part
             , log.request_hash
          FROM unnest(@client_ids, @idempotency_keys) AS asked (client_id, idempotency_key)
          JOIN transaction_log AS log USING (client_id, idempotency_key);

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
          FROM unnest(@client_ids, @idempotency_keys) AS asked (client_id, idempotency_key)
          JOIN account_log AS log USING (client_id, idempotency_key)
          JOIN account ON account.account_id = log.account_id;

        """;

    private const string WhichExistSql = """
        SELECT account_id
          FROM account
         WHERE account_id = ANY (@account_ids);
        """;

    /// <summary>
    /// Locks what the batch needs, decides it, writes it and commits. A key that was made here is looked up only after a first attempt:
    /// nothing before that can have written it.
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

        // The commit is waited for even with nothing to write: a replayed answer's own row may still wait for the disk or the standby,
        // and the lock of the head stands behind it in the write-ahead log.
        if (!book.WritesNothing)
        {
            await LedgerWriter.WriteAsync(connection, transaction, book);
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
            LockSql + (needs.WithDetails.Count > 0 ? DetailsSql : "") + (needs.HoldIds.Count > 0 ? HoldsSql : "")
            + (needs.OriginalIds.Count > 0 ? ReversedSql : "") + (keys.Count > 0 ? LookUpSql : ""),
            new
            {
                account_ids = needs.AccountIds.ToArray(),
                with_settlement = needs.WithSettlement.ToArray(),
                with_details = needs.WithDetails.ToArray(),
                hold_ids = needs.HoldIds.ToArray(),
                original_ids = needs.OriginalIds.ToArray(),
                client_ids = keys.Select(id => id.ClientId).ToArray(),
                idempotency_keys = keys.Select(id => id.Key).ToArray(),
            },
            transaction);
        var head = await read.ReadSingleAsync<HeadRow>();
        var rows = (await read.ReadAsync<AccountRow>()).AsList();
        var details = needs.WithDetails.Count > 0 ? (await read.ReadAsync<DetailsRow>()).ToDictionary(row => row.AccountId) : [];
        var holds = needs.HoldIds.Count > 0 ? (await read.ReadAsync<Hold>()).ToDictionary(row => row.HoldId, row => new LockedHold(row)) : [];
        var hasBusyHolds = holds.Count < needs.HoldIds.Count;
        var reversed = needs.OriginalIds.Count > 0 ? (await read.ReadAsync<ReversedRow>()).ToDictionary(row => row.TransactionId, row => row.Amount) : [];
        var (keyed, events) = keys.Count > 0 ? ((await read.ReadAsync<KeyedTransaction>()).AsList(), (await read.ReadAsync<KeyedEvent>()).AsList()) : ([], []);

        var accounts = new Dictionary<long, LockedAccount>(rows.Count);
        foreach (var row in rows)
        {
            var shown = details.GetValueOrDefault(row.AccountId);
            accounts.Add(row.AccountId, new(
                row.AccountId, row.Kind == "customer", await currencies.OfAsync(row.Currency),
                new(row.Status, row.Balance, row.Held, row.OverdraftLimit, shown?.OwnerName),
                shown is null ? null : new(shown.Reference, shown.Metadata, shown.CreatedAt)));
        }

        // Not locked by us: there is no such account, or another session has locked it.
        var missing = needs.AccountIds.Where(id => !accounts.ContainsKey(id)).ToArray();
        HashSet<long> busy = missing.Length == 0 ? []
            : [.. await connection.QueryAsync<long>(WhichExistSql, new { account_ids = missing }, transaction)];
        busy.UnionWith(needs.WithSettlement
            .Where(accounts.ContainsKey)
            .Select(id => accounts[id].Currency.SettlementAccountId)
            .Where(id => !accounts.ContainsKey(id)));
        if (rows.Where(row => row.Held > 0).Select(row => row.AccountId).ToArray() is { Length: > 0 } held)
        {
            using var readDue = await connection.QueryMultipleAsync(DueHoldsSql, new { held_account_ids = held, now = head.Now }, transaction);
            var due = (await readDue.ReadAsync<Hold>()).ToLookup(hold => hold.AccountId);
            foreach (var hold in due.SelectMany(ofAccount => ofAccount))
            {
                holds.TryAdd(hold.HoldId, new(hold));
            }

            busy.UnionWith((await readDue.ReadAsync<DueRow>()).Where(row => row.Holds > due[row.AccountId].Count()).Select(row => row.AccountId));
        }

        var recordedHolds = events.Where(row => row.HoldId is not null).Select(row => row.HoldId!.Value).ToArray() is { Length: > 0 } ids
            ? (await connection.QueryAsync<Hold>(Holds.GetSql, new { ids }, transaction)).ToDictionary(hold => hold.HoldId)
            : [];
        var lockedHead = new LockedHead(
            head.LastBlockId, head.LastTransactionId, head.LastAccountEventId, head.LastAccountId, head.LastHash, head.Now);
        return new(new(lockedHead, accounts, busy, holds, hasBusyHolds, reversed, Record(keyed, events, recordedHolds)));
    }

    private static Dictionary<RequestId, Recorded> Record(
        List<KeyedTransaction> transactions, List<KeyedEvent> events, Dictionary<long, Hold> holds)
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

    /// <summary>Commits. Where the wait for a synchronous standby was cut short, the commit is on this one server only: that counts as failed.</summary>
    private static async Task CommitAsync(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        var isConfirmed = true;
        // Known by its place in PostgreSQL's source: the text comes in the server's language. Other warnings mean something else.
        void Listen(object sender, NpgsqlNoticeEventArgs said) => isConfirmed &= said.Notice.Routine != "SyncRepWaitForLSN";
        connection.Notice += Listen;
        await transaction.CommitAsync();
        if (!isConfirmed)
        {
            throw new NpgsqlException("The standby that the commit was to wait for has not confirmed it.");
        }
    }
}
