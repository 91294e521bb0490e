using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Dapper;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// The one path by which anything is written. Requests wait in a bounded queue; each database transaction takes all that
/// wait, so that an idle service commits one request at once and a busy one hundreds with a single flush to disk.
/// An answer is given after the commit, never before.
/// </summary>
public sealed partial class Ledger : IAsyncDisposable
{
    private static readonly TimeSpan BusyAccountRecheck = TimeSpan.FromMilliseconds(50);

    private readonly NpgsqlDataSource dataSource;
    private readonly Currencies currencies;
    private readonly BankingOptions options;
    private readonly ILogger<Ledger> logger;
    private readonly Channel<Pending> queue = Channel.CreateUnbounded<Pending>(new() { SingleReader = true });
    private readonly Task writer;
    private readonly Meter meter = new(Telemetry.Name); // of what is this ledger's own
    private bool isFailing; // the database, so that those whose time passed in the queue are not tried for as long again
    private int waiting;
    private long oldest;
    private long head;

    public Ledger(NpgsqlDataSource dataSource, Currencies currencies, BankingOptions options, ILogger<Ledger> logger)
    {
        this.dataSource = dataSource;
        this.currencies = currencies;
        this.options = options;
        this.logger = logger;
        meter.CreateObservableGauge("banking.queue.depth", () => Waiting, "{request}", "Requests that wait for their answer.");
        meter.CreateObservableGauge(
            "banking.queue.age", () => Age.TotalSeconds, "s", "How long the oldest of those in the transaction under way has waited.");
        meter.CreateObservableGauge(
            "banking.head", () => Volatile.Read(ref head), "{transaction}", "The last transaction id that this instance has committed.");
        writer = Task.Run(WriteAsync);
    }

    /// <summary>How many requests wait for their answer.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    private TimeSpan Age => Volatile.Read(ref oldest) is var since and not 0 ? Stopwatch.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>Carries the request out, exactly once, or says why not. Faults where the fault is ours.</summary>
    public async Task<Outcome> SubmitAsync(LedgerRequest request)
    {
        Outcome? outcome = null;
        try
        {
            var pending = new Pending(request);
            outcome = Interlocked.Increment(ref waiting) > options.QueueLimit
                ? new Outcome.Refused(Refusal.Overloaded, "More requests are waiting than this service takes; nothing was done.")
                : queue.Writer.TryWrite(pending)
                    ? await pending.Answered
                    : new Outcome.Refused(Refusal.DatabaseUnavailable, "This instance is shutting down; nothing was done.");
            return outcome;
        }
        finally
        {
            Interlocked.Decrement(ref waiting);
            Telemetry.Answered(request, outcome);
        }
    }

    /// <summary>
    /// Takes no more requests, and returns when all that were taken have their answers. Where the database hangs, it gives up
    /// after a second: their clients are gone by then, and find out the truth with their keys.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        queue.Writer.TryComplete();
        meter.Dispose();
        await writer.WaitAsync(TimeSpan.FromSeconds(1)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task WriteAsync()
    {
        while (await queue.Reader.WaitToReadAsync())
        {
            var batch = new List<Pending>();
            while (batch.Count < options.BatchLimit && queue.Reader.TryRead(out var pending))
            {
                batch.Add(pending);
                Telemetry.QueueWait.Record(Stopwatch.GetElapsedTime(pending.QueuedAt).TotalSeconds);
            }

            Volatile.Write(ref oldest, batch[0].QueuedAt);
            await PersistAsync(batch);
            Volatile.Write(ref oldest, 0);
        }
    }

    /// <summary>Gives every request of the batch its answer, running the transaction again after a fault that passes.</summary>
    private async Task PersistAsync(List<Pending> batch, int attempt = 1)
    {
        for (; !isFailing || AnswerTheOverdue(batch); attempt++)
        {
            using var span = Telemetry.Together("write transaction", batch.Select(pending => pending.Span))?.SetTag("banking.attempt", attempt);
            try
            {
                await PostAsync(batch, attempt);
                isFailing = false;
                return;
            }
            catch (Exception exception) when (Database.IsTransient(exception))
            {
                isFailing = true;
                span?.SetStatus(ActivityStatusCode.Error).Stop();
                Telemetry.Retries.Add(1);
                LogTryingAgain(exception, batch.Count, attempt);
                // Jitter keeps several instances from coming back in step.
                var longest = Math.Min(20 << Math.Min(attempt, 5), 500);
                await Task.Delay(Random.Shared.Next(longest / 2, longest));
            }
            catch (Exception exception) when (batch.Count > 1)
            {
                // One of them broke the transaction: alone, each gets the answer that is its own.
                span?.SetStatus(ActivityStatusCode.Error).Stop();
                LogOneByOne(exception, batch.Count);
                foreach (var pending in batch)
                {
                    await PersistAsync([pending], attempt + 1);
                }

                return;
            }
            catch (Exception exception)
            {
                span?.SetStatus(ActivityStatusCode.Error);
                batch[0].Fail(exception);
                return;
            }
        }
    }

    /// <summary>Takes those out whose time is up. Whether any are left.</summary>
    private bool AnswerTheOverdue(List<Pending> batch)
    {
        batch.RemoveAll(pending =>
        {
            var isOverdue = pending.Waited.TotalSeconds > options.RetrySeconds;
            if (isOverdue)
            {
                pending.Answer(new Outcome.Refused(
                    Refusal.DatabaseUnavailable,
                    "The database did not take the request in time. Sent again with the same Idempotency-Key, it is done once at most."));
            }

            return isOverdue;
        });
        return batch.Count > 0;
    }

    private sealed record Head(long LastTransactionId, DateTime Now);

    private sealed record KeyedTransaction(
        string ClientId, string IdempotencyKey, long TransactionId, string Type, long FromAccountId, long ToAccountId, decimal Amount,
        string Currency, decimal FromBalanceAfter, decimal ToBalanceAfter, string? Reference, string? Metadata, DateTime CreatedAt);

    private sealed record KeyedAccount(
        string ClientId, string IdempotencyKey, long AccountId, string OwnerName, string Currency, decimal OverdraftLimit, DateTime CreatedAt);

    // The head first, so that one write transaction follows another and each sees all that those before it did. Then the
    // accounts in ascending id order, the settlement accounts of deposits and withdrawals among them; a row that somebody
    // else has locked is left out, so that only the requests for it wait.
    private const string LockSql = """
        SELECT last_transaction_id
             , GREATEST(clock_timestamp(), last_created_at) AS now
          FROM ledger_head
         WHERE only_row
           FOR UPDATE;

        SELECT account_id
             , currency
             , kind
             , status
             , balance
             , overdraft_limit
          FROM account
         WHERE account_id = ANY (@account_ids || ARRAY(SELECT currency.numeric_code::bigint
                                                         FROM account AS customer
                                                         JOIN currency ON currency.code = customer.currency
                                                        WHERE customer.account_id = ANY (@external_ids)))
         ORDER BY account_id
           FOR UPDATE SKIP LOCKED;

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

        SELECT account.client_id
             , account.idempotency_key
             , account.account_id
             , account.opening_owner_name AS owner_name
             , account.currency
             , account.opening_overdraft_limit AS overdraft_limit
             , account.created_at
          FROM unnest(@client_ids, @idempotency_keys) AS asked (client_id, idempotency_key)
          JOIN account USING (client_id, idempotency_key);

        """;

    private const string NextAccountIdsSql = """
        SELECT nextval(pg_get_serial_sequence('account', 'account_id'))
          FROM generate_series(1, @openings);
        """;

    private const string WhichExistSql = """
        SELECT account_id
          FROM account
         WHERE account_id = ANY (@account_ids);
        """;

    private const string OpenSql = """
        INSERT INTO account (account_id, owner_name, currency, balance, overdraft_limit, created_at,
                             client_id, idempotency_key, opening_owner_name, opening_overdraft_limit)
        SELECT opened.account_id
             , opened.owner_name
             , opened.currency
             , opened.balance
             , opened.overdraft_limit
             , @now
             , opened.client_id
             , opened.idempotency_key
             , opened.owner_name
             , opened.overdraft_limit
          FROM unnest(@opened_ids, @owner_names, @opened_currencies, @opened_balances, @overdraft_limits, @opened_client_ids, @opened_keys)
            AS opened (account_id, owner_name, currency, balance, overdraft_limit, client_id, idempotency_key);

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
                      @client_ids, @idempotency_keys, @references, @metadata)
            AS posted (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                       client_id, idempotency_key, reference, metadata);

        UPDATE account
           SET balance = changed.balance
          FROM unnest(@changed_ids, @changed_balances) AS changed (account_id, balance)
         WHERE account.account_id = changed.account_id;

        WITH block AS (
            INSERT INTO ledger_block (last_transaction_id, previous_hash, hash, created_at)
            SELECT @last_transaction_id
                 , last_hash
                 , ledger_block_hash(last_hash, last_transaction_id, @last_transaction_id)
                 , @now
              FROM ledger_head
             WHERE only_row
            RETURNING last_transaction_id, hash, created_at)
        UPDATE ledger_head
           SET last_transaction_id = block.last_transaction_id
             , last_created_at = block.created_at
             , last_hash = block.hash
          FROM block
         WHERE only_row;
        """;

    // Changes nothing, but makes the commit after it wait until everything before it is as durable as itself.
    private const string ConfirmSql = """
        UPDATE ledger_head
           SET last_created_at = last_created_at
         WHERE only_row;
        """;

    /// <summary>One transaction in three round trips: lock and look up, write, commit.</summary>
    private async Task PostAsync(List<Pending> batch, int attempt)
    {
        var began = Stopwatch.GetTimestamp();
        await using var connection = await dataSource.OpenConnectionAsync();
        // A commit whose wait for a synchronous standby is cut short succeeds, with a warning: it is on this one server only.
        var isConfirmed = true;
        connection.Notice += (_, said) => isConfirmed &= said.Notice.InvariantSeverity != "WARNING";
        await using var transaction = await connection.BeginTransactionAsync();

        var postings = batch.Select(pending => pending.Request).OfType<Posting>().ToList();
        var openings = batch.Select(pending => pending.Request).OfType<Opening>().ToList();
        long[] accountIds =
        [
            .. postings.SelectMany(posting => new[] { posting.FromAccountId, posting.ToAccountId }).OfType<long>()
                .Concat(openings.Where(opening => opening.InitialDeposit > 0).Select(opening => opening.Currency.SettlementAccountId))
                .Distinct(),
        ];
        // A key made here can't be in the log before the transaction that may have written it was tried.
        var lookedUp = batch.Where(pending => attempt > 1 || pending.Request.IdempotencyKey is not null).DistinctBy(pending => pending.Key).ToList();

        Head before;
        Dictionary<long, LockedAccount> accounts;
        Dictionary<RequestKey, Recorded> recorded;
        Queue<long> newAccountIds;
        using (var read = await connection.QueryMultipleAsync(
            LockSql + (lookedUp.Count > 0 ? LookUpSql : "") + (openings.Count > 0 ? NextAccountIdsSql : ""),
            new
            {
                account_ids = accountIds,
                external_ids = postings.Where(posting => posting.FromAccountId is null || posting.ToAccountId is null)
                    .Select(posting => (posting.FromAccountId ?? posting.ToAccountId)!.Value).Distinct().ToArray(),
                client_ids = lookedUp.Select(pending => pending.Key.ClientId).ToArray(),
                idempotency_keys = lookedUp.Select(pending => pending.Key.IdempotencyKey).ToArray(),
                openings = openings.Count,
            },
            transaction))
        {
            before = await read.ReadSingleAsync<Head>();
            accounts = (await read.ReadAsync<LockedAccount>()).ToDictionary(account => account.AccountId);
            recorded = lookedUp.Count > 0 ? Record(await read.ReadAsync<KeyedTransaction>(), await read.ReadAsync<KeyedAccount>()) : [];
            newAccountIds = new(openings.Count > 0 ? await read.ReadAsync<long>() : []);
        }

        // Not locked by us: there is no such account, or somebody else holds it.
        var missing = accountIds.Where(accountId => !accounts.ContainsKey(accountId)).ToArray();
        HashSet<long> busy = missing.Length == 0 ? []
            : [.. await connection.QueryAsync<long>(WhichExistSql, new { account_ids = missing }, transaction)];

        var decisions = new Batch(currencies, before.LastTransactionId, before.Now, accounts, busy, recorded, newAccountIds);
        var outcomes = batch.ConvertAll(pending => pending.Decided(decisions.Decide(pending.Request, pending.Key)));
        if (!decisions.WritesNothing)
        {
            await WriteDownAsync(connection, transaction, decisions, before);
        }
        else if (recorded.Count > 0)
        {
            // What was found may itself still be waiting for the standby.
            await connection.ExecuteAsync(ConfirmSql, transaction: transaction);
        }

        var written = Stopwatch.GetTimestamp();
        await transaction.CommitAsync();
        if (!isConfirmed)
        {
            throw new NpgsqlException("The standby that the commit was to wait for has not confirmed it.");
        }

        Telemetry.CommitDuration.Record(Stopwatch.GetElapsedTime(written).TotalSeconds);
        Telemetry.BatchDuration.Record(Stopwatch.GetElapsedTime(began).TotalSeconds);
        Telemetry.BatchSize.Record(batch.Count);
        Volatile.Write(ref head, before.LastTransactionId + decisions.Transactions.Count);
        for (var i = 0; i < batch.Count; i++)
        {
            if (outcomes[i] is { } outcome)
            {
                batch[i].Answer(outcome);
            }
            else
            {
                _ = WaitForAccountAsync(batch[i]);
            }
        }
    }

    private static Dictionary<RequestKey, Recorded> Record(IEnumerable<KeyedTransaction> transactions, IEnumerable<KeyedAccount> accounts)
    {
        var recorded = transactions.ToDictionary(
            row => new RequestKey(row.ClientId, row.IdempotencyKey),
            row => new Recorded(Account: null, new(
                row.TransactionId, row.Type, row.FromAccountId, row.ToAccountId, row.Amount, row.Currency,
                row.FromBalanceAfter, row.ToBalanceAfter, row.Reference, row.Metadata, row.CreatedAt)));
        foreach (var row in accounts)
        {
            var key = new RequestKey(row.ClientId, row.IdempotencyKey);
            var deposit = recorded.GetValueOrDefault(key)?.Transaction;
            recorded[key] = new(
                new(row.AccountId, row.OwnerName, row.Currency, "active", deposit?.Amount ?? 0, row.OverdraftLimit, row.CreatedAt),
                deposit);
        }

        return recorded;
    }

    private static async Task WriteDownAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, Batch decisions, Head head)
    {
        var (opened, posted, changed) = (decisions.OpenedAccounts, decisions.Transactions, decisions.ChangedAccounts);
        var rows = await connection.ExecuteAsync(
            (opened.Count > 0, posted.Count > 0) switch
            {
                (true, true) => OpenSql + PostSql,
                (true, false) => OpenSql,
                _ => PostSql,
            },
            new
            {
                now = head.Now,
                opened_ids = opened.Select(row => row.Account.AccountId).ToArray(),
                owner_names = opened.Select(row => row.Account.OwnerName).ToArray(),
                opened_currencies = opened.Select(row => row.Account.Currency).ToArray(),
                opened_balances = opened.Select(row => row.Account.Balance).ToArray(),
                overdraft_limits = opened.Select(row => row.Account.OverdraftLimit).ToArray(),
                opened_client_ids = opened.Select(row => row.Key.ClientId).ToArray(),
                opened_keys = opened.Select(row => row.Key.IdempotencyKey).ToArray(),
                changed_ids = changed.Select(account => account.AccountId).ToArray(),
                changed_balances = changed.Select(account => account.Balance).ToArray(),
                transaction_ids = posted.Select(row => row.Transaction.TransactionId).ToArray(),
                types = posted.Select(row => row.Transaction.Type).ToArray(),
                from_ids = posted.Select(row => row.Transaction.FromAccountId).ToArray(),
                to_ids = posted.Select(row => row.Transaction.ToAccountId).ToArray(),
                amounts = posted.Select(row => row.Transaction.Amount).ToArray(),
                currencies = posted.Select(row => row.Transaction.Currency).ToArray(),
                from_balances = posted.Select(row => row.Transaction.FromBalanceAfter).ToArray(),
                to_balances = posted.Select(row => row.Transaction.ToBalanceAfter).ToArray(),
                client_ids = posted.Select(row => row.Key.ClientId).ToArray(),
                idempotency_keys = posted.Select(row => row.Key.IdempotencyKey).ToArray(),
                references = posted.Select(row => row.Transaction.Reference).ToArray(),
                metadata = posted.Select(row => row.Transaction.Metadata).ToArray(),
                last_transaction_id = head.LastTransactionId + posted.Count,
            },
            transaction);
        var expected = opened.Count + changed.Count + posted.Count + (posted.Count > 0 ? 1 : 0); // the head, with its block
        if (rows != expected)
        {
            throw new InvalidOperationException($"A batch wrote {rows} rows where it decided on {expected}; it is rolled back.");
        }
    }

    /// <summary>Puts a request back in the queue for another look at its account, until its time is up.</summary>
    private async Task WaitForAccountAsync(Pending pending)
    {
        await Task.Delay(BusyAccountRecheck);
        pending.QueuedAt = Stopwatch.GetTimestamp();
        if (pending.Waited.TotalSeconds > options.AccountBusySeconds || !queue.Writer.TryWrite(pending))
        {
            pending.Answer(new Outcome.Refused(Refusal.AccountBusy, "Another session holds the account; nothing was done."));
        }
    }

    [LoggerMessage(LogLevel.Warning, "The database failed a batch of {Requests} requests (attempt {Attempt}); it is run again with the same keys.")]
    private partial void LogTryingAgain(Exception exception, int requests, int attempt);

    [LoggerMessage(LogLevel.Error, "One of {Requests} requests broke their transaction; each is now run alone.")]
    private partial void LogOneByOne(Exception exception, int requests);

    /// <summary>A request on its way to its answer.</summary>
    private sealed class Pending(LedgerRequest request)
    {
        private readonly TaskCompletionSource<Outcome> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly long arrivedAt = Stopwatch.GetTimestamp();
        private bool decided;

        public LedgerRequest Request { get; } = request;

        public RequestKey Key { get; } = new(request.ClientId, request.IdempotencyKey ?? Guid.CreateVersion7().ToString("N"));

        /// <summary>When it came into the queue: the last time, where it came back for another look at its account.</summary>
        public long QueuedAt { get; set; } = Stopwatch.GetTimestamp();

        /// <summary>The span of the HTTP request.</summary>
        public Activity? Span { get; } = Activity.Current;

        public Task<Outcome> Answered => answer.Task;

        public TimeSpan Waited => Stopwatch.GetElapsedTime(arrivedAt);

        /// <summary>
        /// What this request itself wrote is no replay to its client, also where a lost answer to the commit has the batch run
        /// again and find it in the log.
        /// </summary>
        public Outcome? Decided(Outcome? outcome)
        {
            outcome = outcome switch
            {
                Outcome.Posted posted when decided => posted with { Replayed = false },
                Outcome.Opened opened when decided => opened with { Replayed = false },
                _ => outcome,
            };
            decided |= outcome is Outcome.Posted { Replayed: false } or Outcome.Opened { Replayed: false };
            return outcome;
        }

        public void Answer(Outcome outcome) => answer.TrySetResult(outcome);

        public void Fail(Exception exception) => answer.TrySetException(exception);
    }
}
