using System.Diagnostics;
using System.Runtime.CompilerServices;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>
/// An account's statement of a period. The log only grows, so its entries, between the transactions <c>After</c> (exclusive) and
/// <c>Last</c>, never change. The owner's name is the current one.
/// </summary>
public sealed record Statement(
    long AccountId, string OwnerName, string Currency, decimal OpeningBalance, decimal ClosingBalance, long After, long Last, DateTime MadeAt);

/// <summary>The number and the sum of the credits, and of the debits.</summary>
public sealed record StatementTotals(long CreditCount, decimal Credits, long DebitCount, decimal Debits)
{
    public static readonly StatementTotals None = new(0, 0, 0, 0);

    public StatementTotals With(IReadOnlyList<Entry> entries)
    {
        var (creditCount, credits, debitCount, debits) = this;
        foreach (var entry in entries)
        {
            if (entry.IsCredit)
            {
                creditCount++;
                credits += entry.Amount;
            }
            else
            {
                debitCount++;
                debits += entry.Amount;
            }
        }

        return new(creditCount, credits, debitCount, debits);
    }
}

/// <summary>Reads statements in chunks. No connection and no snapshot is held between two chunks, so a slow client costs the database nothing.</summary>
public sealed class Statements(ReplicaReads database, Instants instants, LedgerOptions options)
{
    private const int FirstChunk = 50;
    private const int LargestChunk = 1_000;
    private const int LongestSum = 20_000;

    // Bounds the memory of a chunk whose metadata is large.
    private const int MostMetadataCharacters = 262_144;

    private static readonly TimeSpan BeforeRetry = TimeSpan.FromMilliseconds(100);

    // Compared as one pair, as in History, so that only the indexes (account, transaction_id) can serve it.
    private const string GetSql = """
        SELECT account_id
             , owner_name
             , currency
             , COALESCE(opening.balance_after, 0) AS opening_balance
             , COALESCE(closing.balance_after, 0) AS closing_balance
             , @after AS after
             , COALESCE(closing.transaction_id, 0) AS last
             , clock_timestamp() AS made_at
          FROM account
          LEFT JOIN LATERAL (SELECT balance_after
                               FROM account_entry AS entry
                              WHERE (entry.account_id, entry.transaction_id) <= (@account_id, @after)
                                AND entry.account_id >= @account_id
                              ORDER BY entry.account_id DESC, entry.transaction_id DESC
                              LIMIT 1) AS opening ON true
          LEFT JOIN LATERAL (SELECT transaction_id, balance_after
                               FROM account_entry AS entry
                              WHERE (entry.account_id, entry.transaction_id) <= (@account_id, @until)
                                AND entry.account_id >= @account_id
                              ORDER BY entry.account_id DESC, entry.transaction_id DESC
                              LIMIT 1) AS closing ON true
         WHERE account_id = @account_id;
        """;

    private const string Range = """
        WHERE (account_id, transaction_id) > (@account_id, @after)
                   AND (account_id, transaction_id) <= (@account_id, @last)
                 ORDER BY account_id, transaction_id
                 LIMIT @rows
        """;

    private const string ChunkSql = $"""
        SELECT {Entry.Columns}
          FROM account_entry
         {Range};
        """;

    private const string SumSql = $"""
        SELECT max(transaction_id) AS last
             , count(*) FILTER (WHERE is_credit) AS credit_count
             , COALESCE(sum(amount) FILTER (WHERE is_credit), 0) AS credits
             , count(*) FILTER (WHERE NOT is_credit) AS debit_count
             , COALESCE(sum(amount) FILTER (WHERE NOT is_credit), 0) AS debits
          FROM (SELECT transaction_id
                     , direction = 'credit' AS is_credit
                     , amount
                  FROM account_entry
                 {Range}) AS part;
        """;

    private sealed record Sum(long? Last, long CreditCount, decimal Credits, long DebitCount, decimal Debits);

    /// <summary>
    /// The statement from an instant (inclusive) to another (exclusive), which must have passed, or it could still change:
    /// <c>IsOver</c> says so. Null if there is no such account.
    /// </summary>
    public async Task<(bool IsOver, Statement? Statement)> GetAsync(long accountId, DateTime from, DateTime to, CancellationToken cancellationToken)
    {
        if (await instants.LastEverBeforeAsync(to, cancellationToken) is not { } until)
        {
            return (false, null);
        }

        return (true, await database.ReadAsync(ReadAsync, cancellationToken, transactionId: until));

        async Task<Statement?> ReadAsync(NpgsqlConnection connection)
        {
            var after = await Instants.LastBeforeAsync(connection, from);
            return await connection.QuerySingleOrDefaultAsync<Statement>(GetSql, new { account_id = accountId, after, until });
        }
    }

    /// <summary>The entries, oldest first, in chunks. The next chunk is read while the caller works on one.</summary>
    public async IAsyncEnumerable<IReadOnlyList<Entry>> ReadAsync(Statement statement, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var reading = statement.Last > statement.After ? ChunkAsync(statement, statement.After, FirstChunk, cancellationToken) : null;
        while (reading is not null)
        {
            var chunk = await reading;
            // Four times the last one: small statements are read quickly, and of rows with large metadata few are read in vain.
            reading = chunk[^1].TransactionId < statement.Last
                ? ChunkAsync(statement, chunk[^1].TransactionId, Math.Min(chunk.Count * 4, LargestChunk), cancellationToken)
                : null;
            yield return chunk;
        }
    }

    /// <summary>The totals, for a format that needs them before the entries.</summary>
    public async Task<StatementTotals> SumAsync(Statement statement, CancellationToken cancellationToken)
    {
        var totals = StatementTotals.None;
        for (var after = statement.After; after < statement.Last;)
        {
            var parameters = new { account_id = statement.AccountId, after, last = statement.Last, rows = LongestSum };
            var part = await RetryAsync(statement, connection => connection.QuerySingleAsync<Sum>(SumSql, parameters), cancellationToken);
            after = part.Last ?? throw EndsEarly(statement);
            totals = new(totals.CreditCount + part.CreditCount, totals.Credits + part.Credits, totals.DebitCount + part.DebitCount, totals.Debits + part.Debits);
        }

        return totals;
    }

    private async Task<List<Entry>> ChunkAsync(Statement statement, long after, int rows, CancellationToken cancellationToken)
    {
        var chunk = await RetryAsync(statement, ReadChunkAsync, cancellationToken);
        return chunk.Count > 0 ? chunk : throw EndsEarly(statement);

        async Task<List<Entry>> ReadChunkAsync(NpgsqlConnection connection)
        {
            var (entries, metadata) = (new List<Entry>(rows), 0);
            var parameters = new { account_id = statement.AccountId, after, last = statement.Last, rows };
            await using var reader = await connection.ExecuteReaderAsync(ChunkSql, parameters);
            while (metadata <= MostMetadataCharacters && await reader.ReadAsync(CancellationToken.None))
            {
                entries.Add(Entry.Of(reader));
                metadata += entries[^1].Metadata?.Length ?? 0;
            }

            return entries;
        }
    }

    /// <summary>Retries what fails in passing: the client already has a part of the statement.</summary>
    private async Task<T> RetryAsync<T>(Statement statement, Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellationToken)
    {
        for (var since = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                return await database.ReadAsync(read, cancellationToken, transactionId: statement.Last);
            }
            catch (Exception exception) when ((exception is OverloadedException || Database.IsTransient(exception))
                && Stopwatch.GetElapsedTime(since).TotalSeconds < options.RetrySeconds)
            {
                await Task.Delay(BeforeRetry, cancellationToken);
            }
        }
    }

    private static InvalidOperationException EndsEarly(Statement statement) =>
        new($"The entries of account {statement.AccountId} end before transaction {statement.Last}, which was there a moment ago. The database has lost transactions.");
}
