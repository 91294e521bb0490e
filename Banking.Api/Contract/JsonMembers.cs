using System.Globalization;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using Banking.Data;

namespace Banking.Api;

/// <summary>
/// Writes answers of many rows as the serializer would write the described types, but with no object for each row and no text for
/// each amount: a page takes half the memory, and a third less of the processor.
/// </summary>
internal static class JsonMembers
{
    public static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private const int FlushBytes = 32_768;
    private const int LongestAmount = 31; // 29 digits, a point and a sign

    /// <summary>Sends what is written so far if it is much.</summary>
    public static ValueTask<FlushResult> FlushIfLargeAsync(this Utf8JsonWriter json, PipeWriter output, CancellationToken cancellationToken)
    {
        if (json.BytesPending + output.UnflushedBytes < FlushBytes)
        {
            return default;
        }

        json.Flush();
        return output.FlushAsync(cancellationToken);
    }

    public static void WriteEntry(this Utf8JsonWriter json, Entry entry, Currency currency)
    {
        json.WriteStartObject();
        json.WriteNumber("transaction_id"u8, entry.TransactionId);
        json.WriteString("type"u8, entry.Type);
        json.WriteString("direction"u8, entry.IsCredit ? "credit"u8 : "debit"u8);
        json.WriteMoney("amount"u8, entry.Amount, currency);
        json.WriteMoney("balance_after"u8, entry.BalanceAfter, currency);
        json.WriteNumber("counterparty_account_id"u8, entry.CounterpartyAccountId);
        json.WriteId("reverses_transaction_id"u8, entry.ReversesTransactionId);
        if (entry.ReversedBy is { } reversals)
        {
            json.WriteStartArray("reversed_by_transaction_ids"u8);
            foreach (var reversal in reversals)
            {
                json.WriteNumberValue(reversal);
            }

            json.WriteEndArray();
        }

        json.WriteId("hold_id"u8, entry.HoldId);
        json.WriteString("reference"u8, entry.Reference);
        json.WriteMetadata("metadata"u8, entry.Metadata);
        json.WriteTime("created_at"u8, entry.CreatedAt);
        json.WriteEndObject();
    }

    public static void WriteId(this Utf8JsonWriter json, ReadOnlySpan<byte> name, long? id)
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

    public static void WriteMoney(this Utf8JsonWriter json, ReadOnlySpan<byte> name, decimal? amount, Currency currency)
    {
        if (amount is not { } money)
        {
            json.WriteNull(name);
            return;
        }

        Span<byte> digits = stackalloc byte[LongestAmount];
        money.TryFormat(digits, out var length, currency.AmountFormat, CultureInfo.InvariantCulture);
        json.WriteString(name, digits[..length]);
    }

    public static void WriteTime(this Utf8JsonWriter json, ReadOnlySpan<byte> name, DateTime? time)
    {
        if (time is not { } instant)
        {
            json.WriteNull(name);
            return;
        }

        Span<byte> text = stackalloc byte[TimeConverter.Length];
        TimeConverter.Format(instant, text);
        json.WriteString(name, text);
    }

    public static void WriteMetadata(this Utf8JsonWriter json, ReadOnlySpan<byte> name, string? metadata)
    {
        if (Metadata.Read(metadata) is not { } members)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        foreach (var (member, text) in members)
        {
            json.WriteString(member, text);
        }

        json.WriteEndObject();
    }
}
