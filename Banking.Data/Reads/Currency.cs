using Dapper;
using Npgsql;

namespace Banking.Data;

/// <summary>An ISO 4217 currency. Its numeric code is also the id of its settlement account.</summary>
public sealed record Currency(string Code, short NumericCode, short MinorUnit)
{
    public long SettlementAccountId => NumericCode;

    /// <summary>Whether an amount has no more decimals than the currency.</summary>
    public bool Fits(decimal amount) => decimal.Round(amount, MinorUnit) == amount;
}

/// <summary>The book's currencies by code. They never change while a process runs, so they are read once.</summary>
public sealed class Currencies
{
    private readonly Dictionary<string, Currency> byCode;

    internal Currencies(IEnumerable<Currency> currencies) =>
        byCode = currencies.ToDictionary(currency => currency.Code);

    public Currency this[string code] => byCode[code];

    public Currency? Find(string code) => byCode.GetValueOrDefault(code);

    private const string LoadSql = """
        SELECT code
             , numeric_code
             , minor_unit
          FROM currency;
        """;

    public static Currencies Load(NpgsqlDataSource dataSource)
    {
        using var connection = dataSource.OpenConnection();
        return new(connection.Query<Currency>(LoadSql));
    }
}
