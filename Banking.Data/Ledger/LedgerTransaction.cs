using System.Diagnostics;
using Dapper;
using Npgsql;
using static Banking.Data.WriteBatch;

namespace Banking.Data;

/// <summary>One write transaction, in two round trips: lock and look up; write and commit (<see cref="LedgerWriter"/>).</summary>
internal sealed class LedgerTransaction(NpgsqlDataSource dataSource, Currencies currencies, CommittedHead committed)
{
    private readonly record struct AccountRow(
        long AccountId, bool IsCustomer, string Currency, string Status, decimal Balance, decimal Held, decimal OverdraftLimit);

    private sealed record DetailsRow(long AccountId, string OwnerName, string? Reference, string? Metadata, DateTime CreatedAt);

    private sealed record ReversedRow(long TransactionId, decimal Amount);

    private sealed record DueRow(long AccountId, long Holds);

    // The head first: one write transaction follows another, and each sees all that those before it did. The same statement pins the
    // settings that the commit relies on. They may change on the server while sessions are open, and what is acknowledged must be on
    // disk all the same. The clock is read outside the inner query, so after the lock: a write transaction that still waits for the
    // head can't get a time that has passed, and what the book says of a past instant stays true.
    private const string HeadSql = """
        SELECT last_block_id
             , last_transaction_id
             , last_account_event_id
             , last_account_id
             , last_hash
             , last_created_at
             , clock_timestamp() AS clock
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
        """;

    // The accounts in ascending id order, with the settlement accounts of deposits and withdrawals. A row that another session has
    // locked is left out, so that only the requests for it wait.
    private const string AccountsSql = """
        SELECT account_id
             , kind = 'customer' AS is_customer
             , currency
             , status
             , balance
             , held
             , overdraft_limit
          FROM account
         WHERE account_id = ANY ($1 || ARRAY(SELECT currency.numeric_code::bigint
                                               FROM account AS customer
                                               JOIN currency ON currency.code = customer.currency
                                              WHERE customer.account_id = ANY ($2)))
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
         WHERE account_id = ANY ($1);
        """;

    // The holds that requests name. The head orders all writers, so a hold is missing only where another session has locked it.
    private const string HoldsSql = $"""
        SELECT {Holds.Columns}
          FROM hold
         WHERE hold_id = ANY ($1)
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
         WHERE reverses_transaction_id = ANY ($1)
         GROUP BY reverses_transaction_id;
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

        var decided = Stopwatch.GetTimestamp();
        var last = await CommitAsync(connection, transaction, book);
        committed.Observe(last, connection);
        Telemetry.WriteDuration.Record(Stopwatch.GetElapsedTime(decided).TotalSeconds);
        Telemetry.BatchDuration.Record(Stopwatch.GetElapsedTime(began).TotalSeconds);
        return book;
    });

    private async Task<LockedBook> LockAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockSet needs, List<RequestId> keys)
    {
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.Add(HeadSql);
        batch.Add(AccountsSql, Value(needs.AccountIds.ToArray()), Value(needs.WithSettlement.ToArray()));
        if (needs.WithDetails.Count > 0)
        {
            batch.Add(DetailsSql, Value(needs.WithDetails.ToArray()));
        }

        if (needs.HoldIds.Count > 0)
        {
            batch.Add(HoldsSql, Value(needs.HoldIds.ToArray()));
        }

        if (needs.OriginalIds.Count > 0)
        {
            batch.Add(ReversedSql, Value(needs.OriginalIds.ToArray()));
        }

        if (keys.Count > 0)
        {
            RecordedRequests.AskFor(keys, batch);
        }

        await using var read = await batch.ExecuteReaderAsync();
        await read.ReadAsync();
        var (last, clock) = (read.GetDateTime(5), read.GetDateTime(6));
        // Times in the book never go back, not even where the clock does.
        var head = new LockedHead(
            read.GetInt64(0), read.GetInt64(1), read.GetInt64(2), read.GetInt64(3), read.GetFieldValue<byte[]>(4), last > clock ? last : clock, last - clock);
        await read.NextResultAsync();
        var rows = new List<AccountRow>(needs.AccountIds.Count);
        while (await read.ReadAsync())
        {
            rows.Add(new(
                read.GetInt64(0), read.GetBoolean(1), read.GetString(2), read.GetString(3), read.GetDecimal(4), read.GetDecimal(5), read.GetDecimal(6)));
        }

        var details = needs.WithDetails.Count > 0 ? (await read.NextRowsAsync<DetailsRow>()).ToDictionary(row => row.AccountId) : [];
        var holds = needs.HoldIds.Count > 0 ? (await read.NextRowsAsync<Hold>()).ToDictionary(row => row.HoldId, row => new LockedHold(row)) : [];
        var hasBusyHolds = holds.Count < needs.HoldIds.Count;
        var reversed = needs.OriginalIds.Count > 0 ? (await read.NextRowsAsync<ReversedRow>()).ToDictionary(row => row.TransactionId, row => row.Amount) : [];
        var recorded = keys.Count > 0 ? await RecordedRequests.ReadAsync(read) : RecordedRequests.None;
        await read.CloseAsync();

        var accounts = new Dictionary<long, LockedAccount>(rows.Count);
        foreach (var row in rows)
        {
            var shown = details.GetValueOrDefault(row.AccountId);
            accounts.Add(row.AccountId, new(
                row.AccountId, row.IsCustomer, await currencies.OfAsync(row.Currency),
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

        var recordedHolds = recorded.HoldIds is { Length: > 0 } ids
            ? (await connection.QueryAsync<Hold>(Holds.GetSql, new { ids }, transaction)).ToDictionary(hold => hold.HoldId)
            : [];
        return new(new(head, accounts, busy, holds, hasBusyHolds, reversed, recorded.ById(recordedHolds)));
    }

    /// <summary>
    /// Writes and commits. Where the wait for a synchronous standby was cut short, the commit is on this one server only: that counts as
    /// failed. Returns the last block.
    /// </summary>
    private static async Task<CommittedHead.Block> CommitAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, LockedBook book)
    {
        var isConfirmed = true;
        // Known by its place in PostgreSQL's source: the text comes in the server's language. Other warnings mean something else.
        void Listen(object sender, NpgsqlNoticeEventArgs said) => isConfirmed &= said.Notice.Routine != "SyncRepWaitForLSN";
        connection.Notice += Listen;
        CommittedHead.Block last;
        if (book.WritesNothing)
        {
            // The commit is waited for all the same: a replayed answer's own row may still wait for the disk or the standby, and the lock
            // of the head stands behind it in the write-ahead log.
            await transaction.CommitAsync();
            last = new(book.Head.LastBlockId, book.Head.LastHash);
        }
        else
        {
            last = await LedgerWriter.CommitAsync(connection, transaction, book);
        }

        return isConfirmed ? last : throw new NpgsqlException("The standby that the commit was to wait for has not confirmed it.");
    }
}
