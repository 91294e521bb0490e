using System.Diagnostics;
using System.Globalization;
using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>An ISO 4217 currency. Its numeric code is also the id of its settlement account.</summary>
public sealed record Currency(string Code, short NumericCode, short MinorUnit)
{
    public long SettlementAccountId => NumericCode;

    /// <summary>Whether an amount has no more decimals than the currency.</summary>
    public bool Fits(decimal amount) => decimal.Round(amount, MinorUnit) == amount;

    /// <summary>The amount with the currency's own digits: 10.50, 150, 1.250.</summary>
    public string Format(decimal amount) => amount.ToString(AmountFormat, CultureInfo.InvariantCulture);

    /// <summary>The format of <see cref="Format"/>, for writers that need no string.</summary>
    public string AmountFormat => DigitFormats[MinorUnit];

    private static readonly string[] DigitFormats = ["F0", "F1", "F2", "F3", "F4"];
}

/// <summary>The book's currencies by code. They never change, but a DBA may add one while the service runs.</summary>
public sealed class Currencies(NpgsqlDataSource dataSource)
{
    private static readonly TimeSpan LeastAge = TimeSpan.FromSeconds(1);

    private volatile Dictionary<string, Currency> byCode = [];
    private long loadedAt;

    private readonly record struct Row(string Code, short NumericCode, short MinorUnit, decimal SettlementBalance);

    // A currency without its settlement account cannot be used yet.
    private const string LoadSql = """
        SELECT currency.code
             , currency.numeric_code
             , currency.minor_unit
             , account.balance AS settlement_balance
          FROM currency
          JOIN account ON account.account_id = currency.numeric_code;
        """;

    /// <summary>The currency that a client names, or null if the book does not have it. A new one is found after at most a second.</summary>
    public async ValueTask<Currency?> FindAsync(string code)
    {
        if (!byCode.ContainsKey(code) && Stopwatch.GetElapsedTime(Volatile.Read(ref loadedAt)) > LeastAge)
        {
            await LoadAsync();
        }

        return byCode.GetValueOrDefault(code);
    }

    /// <summary>The currency of a row.</summary>
    public async ValueTask<Currency> OfAsync(string code)
    {
        if (byCode.TryGetValue(code, out var currency))
        {
            return currency;
        }

        await LoadAsync();
        return byCode.GetValueOrDefault(code) ?? throw new InvalidOperationException($"The currency {code} has no settlement account. Run verify: somebody changed the book by hand.");
    }

    public async Task LoadAsync()
    {
        Volatile.Write(ref loadedAt, Stopwatch.GetTimestamp());
        var rows = (await dataSource.UseAsync(connection => connection.QueryAsync<Row>(LoadSql))).AsList();
        byCode = rows.ToDictionary(row => row.Code, row => new Currency(row.Code, row.NumericCode, row.MinorUnit));
        foreach (var used in rows.Where(row => row.SettlementBalance != 0))
        {
            Telemetry.Settled(used.Code, used.SettlementBalance); // until this instance's first deposit or withdrawal
        }
    }
}
