using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>What can happen to an account apart from postings, as the log and the API name it.</summary>
public static class AccountEventType
{
    public const string Opened = "opened";
    public const string Changed = "changed";
    public const string Frozen = "frozen";
    public const string Unfrozen = "unfrozen";
    public const string Closed = "closed";
    public const string HoldPlaced = "hold_placed";
    public const string HoldReleased = "hold_released";
    public const string HoldExpired = "hold_expired";
}

/// <summary>A row of the account log: what happened, the account afterwards, who asked and why.</summary>
public sealed record AccountEvent(
    long AccountEventId,
    string Type,
    long AccountId,
    long? HoldId,
    decimal? Amount,
    string StatusAfter,
    decimal OverdraftLimitAfter,
    decimal HeldAfter,
    decimal BalanceAfter,
    long AfterTransactionId,
    string ClientId,
    string? Reason,
    DateTime CreatedAt);

/// <summary>One page of an account's events, newest first. <c>Next</c> is the cursor of the next page, or null on the last.</summary>
public sealed record AccountEventPage(string Currency, IReadOnlyList<AccountEvent> Events, long? Next);

/// <summary>Reads the events of an account in pages.</summary>
public sealed class AccountEvents(ReplicaReads database)
{
    // Compared as one pair, as in History, so that only the index (account_id, account_event_id) can serve it.
    private const string PageSql = """
        SELECT account_event_id
             , type
             , account_id
             , hold_id
             , amount
             , status_after
             , overdraft_limit_after
             , held_after
             , balance_after
             , after_transaction_id
             , client_id
             , reason
             , created_at
          FROM account_log
         WHERE (account_id, account_event_id) < (@account_id, @before)
           AND account_id >= @account_id
         ORDER BY account_id DESC, account_event_id DESC
         LIMIT @rows;
        """;

    private const string CurrencySql = """
        SELECT currency
          FROM account
         WHERE account_id = @account_id;
        """;

    /// <summary>At most <paramref name="limit"/> events older than event <paramref name="before"/>, or null if there is no such account.</summary>
    public Task<AccountEventPage?> PageAsync(long accountId, int limit, long before, CancellationToken cancellationToken) =>
        database.ReadAsync(
            connection => PageAsync(connection, accountId, limit, before), cancellationToken, accountEventId: before == long.MaxValue ? 0 : before);

    private static async Task<AccountEventPage?> PageAsync(NpgsqlConnection connection, long accountId, int limit, long before)
    {
        // One more row than asked for shows whether there is a next page.
        var parameters = new { account_id = accountId, before, rows = limit + 1 };
        if (await connection.ExecuteScalarAsync<string>(CurrencySql, parameters) is not { } currency)
        {
            return null;
        }

        var events = (await connection.QueryAsync<AccountEvent>(PageSql, parameters)).AsList();
        if (events.Count <= limit)
        {
            return new(currency, events, Next: null);
        }

        events.RemoveAt(limit);
        return new(currency, events, Next: events[^1].AccountEventId);
    }
}
