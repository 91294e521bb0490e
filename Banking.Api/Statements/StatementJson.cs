using System.Text.Json;
using Banking.Data;

namespace Banking.Api;

/// <summary>Writes a <see cref="StatementResponse"/> as ASP.NET would, without having all of it in memory.</summary>
internal sealed class StatementJson : StatementWriter
{
    private readonly Statement statement;
    private readonly Period period;
    private readonly Currency currency;
    private readonly Utf8JsonWriter json;

    public StatementJson(Statement statement, Period period, Currency currency)
    {
        (this.statement, this.period, this.currency) = (statement, period, currency);
        json = new(Buffer, JsonMembers.Options);
    }

    public override string ContentType => "application/json; charset=utf-8";

    public override string Extension => "json";

    public override void Begin(StatementTotals? totals)
    {
        json.WriteStartObject();
        json.WriteNumber("account_id"u8, statement.AccountId);
        json.WriteString("owner_name"u8, statement.OwnerName);
        json.WriteString("currency"u8, statement.Currency);
        json.WriteTime("from"u8, period.From);
        json.WriteTime("to"u8, period.To);
        json.WriteMoney("opening_balance"u8, statement.OpeningBalance, currency);
        json.WriteStartArray("entries"u8);
    }

    public override void Write(IReadOnlyList<Entry> entries)
    {
        foreach (var entry in entries)
        {
            json.WriteEntry(entry, currency);
        }

        json.Flush();
    }

    public override void End(StatementTotals totals)
    {
        json.WriteEndArray();
        json.WriteStartObject("totals"u8);
        WriteTotal("credits"u8, totals.CreditCount, totals.Credits);
        WriteTotal("debits"u8, totals.DebitCount, totals.Debits);
        json.WriteEndObject();
        json.WriteMoney("closing_balance"u8, statement.ClosingBalance, currency);
        json.WriteEndObject();
        json.Flush();
    }

    public override void Dispose() => json.Dispose();

    private void WriteTotal(ReadOnlySpan<byte> name, long count, decimal amount)
    {
        json.WriteStartObject(name);
        json.WriteNumber("count"u8, count);
        json.WriteMoney("amount"u8, amount, currency);
        json.WriteEndObject();
    }
}
