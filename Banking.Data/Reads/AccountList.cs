using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>Which accounts to list. A null does not filter.</summary>
public sealed record AccountFilter(string? Currency, string? Status, string? Reference);

/// <summary>One page of accounts, by id. The next page starts after the id <c>Next</c>, which is null on the last page.</summary>
public sealed record AccountPage(IReadOnlyList<Account> Accounts, long? Next);

/// <summary>Lists customers' accounts in pages.</summary>
public sealed class AccountList(ReplicaReads database)
{
    /// <summary>The id before the first customer's account.</summary>
    public const long Start = 999;

    // A page looks at no more accounts than this. A filter that few accounts pass makes a page short, not slow.
    private const int MostLookedAt = 5_000;

    private const string ById = "account_id > @after";

    private const string ByIdOrder = "account_id";

    // Compared as one pair. With one comparison per column, the planner may walk all accounts by id and look for the reference.
    private const string ByReference = "(reference, account_id) > (@reference, @after) AND reference <= @reference";

    private const string ByReferenceOrder = "reference, account_id";

    /// <summary>The last account to look at; null if there are fewer.</summary>
    private static string EndSql(string where, string order) => $"""
        SELECT account_id
          FROM account
         WHERE {where}
         ORDER BY {order}
        OFFSET @most - 1
         LIMIT 1;
        """;

    private static string PageSql(string where, string order) => $"""
        SELECT {Accounts.Columns}
          FROM account
         WHERE {where}
           AND account_id <= @end
           AND (@currency::text IS NULL OR currency = @currency)
           AND (@status::text IS NULL OR status = @status)
         ORDER BY {order}
         LIMIT @rows;
        """;

    private static readonly (string End, string Page) Any = (EndSql(ById, ByIdOrder), PageSql(ById, ByIdOrder));

    private static readonly (string End, string Page) OfOneReference =
        (EndSql(ByReference, ByReferenceOrder), PageSql(ByReference, ByReferenceOrder));

    /// <summary>At most <paramref name="limit"/> accounts with ids above <paramref name="after"/> that pass the filter.</summary>
    public Task<AccountPage> PageAsync(AccountFilter filter, int limit, long after, CancellationToken cancellationToken) =>
        database.ReadAsync(connection => PageAsync(connection, filter, limit, after), cancellationToken);

    private static async Task<AccountPage> PageAsync(NpgsqlConnection connection, AccountFilter filter, int limit, long after)
    {
        var sql = filter.Reference is null ? Any : OfOneReference;
        var end = await connection.ExecuteScalarAsync<long?>(sql.End, new { after, reference = filter.Reference, most = MostLookedAt });
        // One more row than asked for shows whether there is a next page.
        var accounts = (await connection.QueryAsync<Account>(sql.Page, new
        {
            after,
            reference = filter.Reference,
            end = end ?? long.MaxValue,
            currency = filter.Currency,
            status = filter.Status,
            rows = limit + 1,
        })).AsList();
        if (accounts.Count <= limit)
        {
            return new(accounts, Next: end);
        }

        accounts.RemoveAt(limit);
        return new(accounts, Next: accounts[^1].AccountId);
    }
}
