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
