using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Which entries to list: from an instant on, up to another but not at it, of one type, of one direction. A null does not filter.</summary>
public sealed record HistoryFilter(DateTime? From = null, DateTime? To = null, string? Type = null, string? Direction = null)
{
    public static readonly HistoryFilter None = new();
}

/// <summary>One page of an account's entries, newest first. <c>Next</c> is the id before which the next page starts, or null on the last.</summary>
public sealed record HistoryPage(string Currency, IReadOnlyList<Entry> Entries, long? Next);

/// <summary>Reads the entries of an account in pages.</summary>
public sealed class History(ReplicaReads database)
{
    // Infinity to Npgsql. A null instant would have no type, and Npgsql prepares a statement for one list of types only.
    private static readonly DateTime Earliest = DateTime.SpecifyKind(DateTime.MinValue, DateTimeKind.Utc);
    private static readonly DateTime Latest = DateTime.SpecifyKind(DateTime.MaxValue, DateTimeKind.Utc);

    // A page looks at no more entries than this. A type that few entries have makes a page short, not slow.
    private const int MostLookedAt = 5_000;

    // Each side of account_entry walks its own index (account, transaction_id) from the cursor down. PostgreSQL merges the two until the
    // page is full, so a page costs the same at any depth. Both columns are compared and sorted as one pair, which only these
    // indexes can serve. With "account_id = x ORDER BY transaction_id" the planner may walk the whole log by its primary key and
    // look for x. A side that the direction leaves out is not walked. A period becomes ids: the last one before each instant.
    private const string LookSql = $"""
          FROM account_entry
         WHERE (account_id, transaction_id) < (@account_id, CASE
                   WHEN @to = 'infinity' THEN @before
                   ELSE LEAST(@before, COALESCE(({Instants.LastBeforeSql} @to {Instants.LastSql}), 0) + 1)
               END)
           AND (account_id, transaction_id) > (@account_id, COALESCE(({Instants.LastBeforeSql} @from {Instants.LastSql}), 0))
           AND (@direction::text IS NULL OR direction = @direction)
         ORDER BY account_id DESC, transaction_id DESC
        """;

    private const string Columns = $$"""
        {{Entry.Columns}}
             , currency
             , NULLIF(ARRAY(SELECT reversal.transaction_id
                              FROM transaction_log AS reversal
                             WHERE reversal.reverses_transaction_id = entry.transaction_id
                             ORDER BY reversal.transaction_id), '{}') AS reversed_by
        """;

    // Without a filter. The other statement would find the same, at a sixth more of PostgreSQL's time.
    private const string PlainSql = $"""
        SELECT {Columns}
          FROM account_entry AS entry
         WHERE (account_id, transaction_id) < (@account_id, @before)
           AND account_id >= @account_id
         ORDER BY account_id DESC, transaction_id DESC
         LIMIT @rows;
        """;

    private const string FilteredSql = $"""
        SELECT {Columns}
          FROM (SELECT account_id
                     , transaction_id
                     , type
                     , direction
                     , amount
                     , currency
                     , balance_after
                     , counterparty_account_id
                     , reverses_transaction_id
                     , hold_id
                     , reference
                     , metadata
                     , created_at
                {LookSql}
                 LIMIT @most) AS entry
         WHERE @type::text IS NULL OR type = @type
         ORDER BY account_id DESC, transaction_id DESC
         LIMIT @rows;
        """;

    /// <summary>The last entry that a page looks at; null if there are fewer.</summary>
    private const string EndSql = $"""
        SELECT transaction_id
        {LookSql}
        OFFSET @most - 1
         LIMIT 1;
        """;

    private const string CurrencySql = """
        SELECT currency
          FROM account
         WHERE account_id = @account_id;
        """;

    /// <summary>At most <paramref name="limit"/> entries older than transaction <paramref name="before"/> that pass the filter, or null if there is no such account.</summary>
    public Task<HistoryPage?> PageAsync(long accountId, HistoryFilter filter, int limit, long before, CancellationToken cancellationToken) => database.ReadAsync(
        connection => PageAsync(connection, accountId, filter, limit, before), cancellationToken, transactionId: before == long.MaxValue ? 0 : before);

    private static async Task<HistoryPage?> PageAsync(NpgsqlConnection connection, long accountId, HistoryFilter filter, int limit, long before)
    {
        var parameters = new
        {
            account_id = accountId,
            before,
            from = filter.From ?? Earliest,
            to = filter.To ?? Latest,
            type = filter.Type,
            direction = filter.Direction,
            most = MostLookedAt,
            rows = limit + 1, // one more than asked for shows whether there is a next page
        };
        var (entries, currency) = (new List<Entry>(limit + 1), (string?)null);
        await using (var reader = await connection.ExecuteReaderAsync(filter == HistoryFilter.None ? PlainSql : FilteredSql, parameters))
        {
            while (await reader.ReadAsync())
            {
                currency ??= reader.GetString(Entry.ColumnCount);
                entries.Add(Entry.Of(reader, reader.IsDBNull(Entry.ColumnCount + 1) ? [] : reader.GetFieldValue<long[]>(Entry.ColumnCount + 1)));
            }
        }

        currency ??= await connection.ExecuteScalarAsync<string?>(CurrencySql, parameters); // of an account without such entries
        if (currency is null)
        {
            return null;
        }

        if (entries.Count <= limit)
        {
            return new(currency, entries, Next: filter.Type is null ? null : await connection.ExecuteScalarAsync<long?>(EndSql, parameters));
        }

        entries.RemoveAt(limit);
        return new(currency, entries, Next: entries[^1].TransactionId);
    }
}
