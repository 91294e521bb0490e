using System.Data.Common;
using System.Globalization;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>A place in the book: the last transaction and the last account event up to it. 0-0 is the beginning.</summary>
public readonly record struct EventCursor(long TransactionId, long AccountEventId)
{
    /// <summary>How many events there are up to here. Ids have no gaps.</summary>
    public long Count => TransactionId + AccountEventId;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{TransactionId}-{AccountEventId}");

    /// <summary>Reads the form that <see cref="ToString"/> writes, and no other.</summary>
    public static bool TryParse(string text, out EventCursor cursor)
    {
        var dash = text.IndexOf('-', StringComparison.Ordinal);
        var isPair = IsId(text.AsSpan(0, Math.Max(dash, 0)), out var transactionId) & IsId(text.AsSpan(dash + 1), out var accountEventId);
        cursor = new(transactionId, accountEventId);
        return isPair && cursor.ToString() == text;

        static bool IsId(ReadOnlySpan<char> digits, out long id) => long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out id);
    }
}

/// <summary>A row of the transaction log, as everybody may see it. Metadata is JSON text.</summary>
public sealed record LoggedTransaction(
    long TransactionId,
    string Type,
    long FromAccountId,
    long ToAccountId,
    decimal Amount,
    string Currency,
    decimal FromBalanceAfter,
    decimal ToBalanceAfter,
    long? ReversesTransactionId,
    long? HoldId,
    string? Reference,
    string? Metadata,
    DateTime CreatedAt,
    string ClientId);

/// <summary>A row of the account log, as everybody may see it.</summary>
public sealed record LoggedAccountEvent(
    long AccountEventId,
    string Type,
    long AccountId,
    string Currency,
    string StatusAfter,
    decimal BalanceAfter,
    decimal HeldAfter,
    decimal OverdraftLimitAfter,
    long? HoldId,
    decimal? Amount,
    long? ToAccountId,
    DateTime? ExpiresAt,
    long AfterTransactionId,
    string ClientId,
    string? Reason,
    DateTime CreatedAt);

/// <summary>A row of either log, at its place in the order of both.</summary>
public sealed record BookEvent(EventCursor At, LoggedTransaction? Transaction, LoggedAccountEvent? AccountEvent);

/// <summary>Reads both logs in one order, that of the commits: an account event comes after the transaction that it names as the last before it.</summary>
public sealed class BookEvents(ReadDatabase database)
{
    /// <summary>How much metadata a page may have, in characters. It ends early with more, so that its memory is bounded.</summary>
    internal const int MostMetadata = 1_048_576;

    private readonly AbandonableReads ofFeed = database.ForLoop("events");

    private const string HeadSql = """
        SELECT last_transaction_id AS transaction_id
             , last_account_event_id AS account_event_id
          FROM ledger_head
         WHERE only_row;

        """;

    // The head first. What is committed between the statements is beyond that head, and is left out. So both logs show the same part of
    // the book without a snapshot of their own.
    private const string PageSql = $"""
        {HeadSql}
        SELECT transaction_id
             , type
             , from_account_id
             , to_account_id
             , amount
             , currency
             , from_balance_after
             , to_balance_after
             , reverses_transaction_id
             , hold_id
             , reference
             , metadata::text
             , created_at
             , client_id
          FROM transaction_log
         WHERE transaction_id > @transaction_id
         ORDER BY transaction_id
         LIMIT @rows;

        SELECT log.account_event_id
             , log.type
             , log.account_id
             , account.currency
             , log.status_after
             , log.balance_after
             , log.held_after
             , log.overdraft_limit_after
             , log.hold_id
             , log.amount
             , log.hold_to_account_id AS to_account_id
             , log.hold_expires_at AS expires_at
             , log.after_transaction_id
             , log.client_id
             , log.reason
             , log.created_at
          FROM account_log AS log
          JOIN account ON account.account_id = log.account_id
         WHERE log.account_event_id > @account_event_id
         ORDER BY log.account_event_id
         LIMIT @rows;
        """;

    /// <summary>At most <paramref name="limit"/> events after a place, oldest first. Empty at the end; null where the book has not got so far.</summary>
    public Task<IReadOnlyList<BookEvent>?> PageAsync(EventCursor after, int limit, CancellationToken cancellationToken) =>
        database.ReadAsync(connection => PageAsync(connection, after, limit), cancellationToken);

    /// <summary>The same, without waiting for a turn: for the feed.</summary>
    internal Task<IReadOnlyList<BookEvent>?> PageAsync(EventCursor after, int limit) =>
        ofFeed.ReadAsync(connection => PageAsync(connection, after, limit));

    /// <summary>The end of the book.</summary>
    internal Task<EventCursor> HeadAsync() => ofFeed.ReadAsync(connection => connection.QuerySingleAsync<EventCursor>(HeadSql));

    private static async Task<IReadOnlyList<BookEvent>?> PageAsync(NpgsqlConnection connection, EventCursor after, int limit)
    {
        await using var reader = await connection.ExecuteReaderAsync(
            PageSql, new { transaction_id = after.TransactionId, account_event_id = after.AccountEventId, rows = limit });
        await reader.ReadAsync();
        var head = new EventCursor(reader.GetInt64(0), reader.GetInt64(1));
        if (after.TransactionId > head.TransactionId || after.AccountEventId > head.AccountEventId)
        {
            return null;
        }

        var (transactions, accountEvents, metadata) = (new Queue<LoggedTransaction>(limit), new Queue<LoggedAccountEvent>(), 0);
        await reader.NextResultAsync();
        while (await reader.ReadAsync())
        {
            if (reader.GetInt64(0) <= head.TransactionId && metadata < MostMetadata)
            {
                var transaction = TransactionOf(reader);
                transactions.Enqueue(transaction);
                metadata += transaction.Metadata?.Length ?? 0;
            }
        }

        await reader.NextResultAsync();
        while (await reader.ReadAsync())
        {
            if (reader.GetInt64(0) <= head.AccountEventId)
            {
                accountEvents.Enqueue(AccountEventOf(reader));
            }
        }

        return Merge(after, transactions, accountEvents, limit);
    }

    // By hand: Dapper would put each number into an object of its own.
    private static LoggedTransaction TransactionOf(DbDataReader row) => new(
        row.GetInt64(0), row.GetString(1), row.GetInt64(2), row.GetInt64(3), row.GetDecimal(4), row.GetString(5), row.GetDecimal(6), row.GetDecimal(7),
        row.IsDBNull(8) ? null : row.GetInt64(8), row.IsDBNull(9) ? null : row.GetInt64(9),
        row.IsDBNull(10) ? null : row.GetString(10), row.IsDBNull(11) ? null : row.GetString(11), row.GetDateTime(12), row.GetString(13));

    private static LoggedAccountEvent AccountEventOf(DbDataReader row) => new(
        row.GetInt64(0), row.GetString(1), row.GetInt64(2), row.GetString(3), row.GetString(4), row.GetDecimal(5), row.GetDecimal(6), row.GetDecimal(7),
        row.IsDBNull(8) ? null : row.GetInt64(8), row.IsDBNull(9) ? null : row.GetDecimal(9), row.IsDBNull(10) ? null : row.GetInt64(10),
        row.IsDBNull(11) ? null : row.GetDateTime(11), row.GetInt64(12), row.GetString(13), row.IsDBNull(14) ? null : row.GetString(14), row.GetDateTime(15));

    private static List<BookEvent> Merge(
        EventCursor after, Queue<LoggedTransaction> transactions, Queue<LoggedAccountEvent> accountEvents, int limit)
    {
        var (page, at) = (new List<BookEvent>(), after);
        while (page.Count < limit)
        {
            if (accountEvents.TryPeek(out var accountEvent) && accountEvent.AfterTransactionId <= at.TransactionId)
            {
                at = at with { AccountEventId = accountEvent.AccountEventId };
                page.Add(new(at, null, accountEvents.Dequeue()));
            }
            else if (transactions.TryDequeue(out var transaction))
            {
                at = at with { TransactionId = transaction.TransactionId };
                page.Add(new(at, transaction, null));
            }
            else
            {
                break; // of the events that are left, each comes after a transaction of the next page
            }
        }

        return page;
    }
}
