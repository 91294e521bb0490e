using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Banking.Data;

namespace Banking.Api;

/// <summary>Writes a <see cref="StatementResponse"/> as ASP.NET would, without having all of it in memory.</summary>
internal sealed class StatementJson : StatementWriter
{
    private const int LongestAmount = 31; // 29 digits, a point and a sign

    private static readonly JsonEncodedText TransactionId = Name(nameof(TransactionId)), Type = Name(nameof(Type)), Direction = Name(nameof(Direction)),
        Amount = Name(nameof(Amount)), BalanceAfter = Name(nameof(BalanceAfter)), CounterpartyAccountId = Name(nameof(CounterpartyAccountId)),
        ReversesTransactionId = Name(nameof(ReversesTransactionId)), HoldId = Name(nameof(HoldId)), Reference = Name(nameof(Reference)),
        Metadata = Name(nameof(Metadata)), CreatedAt = Name(nameof(CreatedAt)), Credit = Name("credit"), Debit = Name("debit");

    private readonly Statement statement;
    private readonly Period period;
    private readonly Currency currency;
    private readonly Utf8JsonWriter json;

    public StatementJson(Statement statement, Period period, Currency currency)
    {
        (this.statement, this.period, this.currency) = (statement, period, currency);
        json = new(Buffer, new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    }

    public override string ContentType => "application/json; charset=utf-8";

    public override string Extension => "json";

    public override void Begin(StatementTotals? totals)
    {
        json.WriteStartObject();
        json.WriteNumber("account_id", statement.AccountId);
        json.WriteString("owner_name", statement.OwnerName);
        json.WriteString("currency", statement.Currency);
        WriteTime(Name("from"), period.From);
        WriteTime(Name("to"), period.To);
        WriteMoney(Name("opening_balance"), statement.OpeningBalance);
        json.WriteStartArray("entries");
    }

    public override void Write(IReadOnlyList<StatementEntry> entries)
    {
        foreach (var entry in entries)
        {
            json.WriteStartObject();
            json.WriteNumber(TransactionId, entry.TransactionId);
            json.WriteString(Type, entry.Type);
            json.WriteString(Direction, entry.IsCredit ? Credit : Debit);
            WriteMoney(Amount, entry.Amount);
            WriteMoney(BalanceAfter, entry.BalanceAfter);
            json.WriteNumber(CounterpartyAccountId, entry.CounterpartyAccountId);
            WriteId(ReversesTransactionId, entry.ReversesTransactionId);
            WriteId(HoldId, entry.HoldId);
            json.WriteString(Reference, entry.Reference);
            WriteMetadata(entry.Metadata);
            WriteTime(CreatedAt, entry.CreatedAt);
            json.WriteEndObject();
        }

        json.Flush();
    }

    public override void End(StatementTotals totals)
    {
        json.WriteEndArray();
        json.WriteStartObject("totals");
        WriteTotal("credits", totals.CreditCount, totals.Credits);
        WriteTotal("debits", totals.DebitCount, totals.Debits);
        json.WriteEndObject();
        WriteMoney(Name("closing_balance"), statement.ClosingBalance);
        json.WriteEndObject();
        json.Flush();
    }

    public override void Dispose() => json.Dispose();

    private void WriteTotal(string name, long count, decimal amount)
    {
        json.WriteStartObject(name);
        json.WriteNumber("count", count);
        WriteMoney(Amount, amount);
        json.WriteEndObject();
    }

    private void WriteId(JsonEncodedText name, long? id)
    {
        if (id is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private void WriteMoney(JsonEncodedText name, decimal amount)
    {
        Span<byte> digits = stackalloc byte[LongestAmount];
        amount.TryFormat(digits, out var length, currency.AmountFormat, CultureInfo.InvariantCulture);
        json.WriteString(name, digits[..length]);
    }

    private void WriteTime(JsonEncodedText name, DateTime time)
    {
        Span<byte> text = stackalloc byte[TimeConverter.Length];
        TimeConverter.Format(time, text);
        json.WriteString(name, text);
    }

    private void WriteMetadata(string? metadata)
    {
        if (Data.Metadata.Read(metadata) is not { } members)
        {
            json.WriteNull(Metadata);
            return;
        }

        json.WriteStartObject(Metadata);
        foreach (var (name, text) in members)
        {
            json.WriteString(name, text);
        }

        json.WriteEndObject();
    }

    private static JsonEncodedText Name(string member) => JsonEncodedText.Encode(JsonNamingPolicy.SnakeCaseLower.ConvertName(member));
}
