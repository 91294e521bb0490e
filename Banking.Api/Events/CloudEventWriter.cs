using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Banking.Data;

namespace Banking.Api;

/// <summary>Writes events as <see cref="CloudEvent"/>s.</summary>
internal sealed class CloudEventWriter(Currencies currencies, LedgerOptions book)
{
    public const string BatchType = "application/cloudevents-batch+json";

    private readonly JsonEncodedText source = JsonEncodedText.Encode($"urn:core-banking:book:{book.Schema}", JsonMembers.Options.Encoder);

    /// <summary>Writes a JSON array.</summary>
    public async Task WriteBatchAsync(HttpResponse response, IReadOnlyList<BookEvent> events, CancellationToken cancellationToken)
    {
        await using var json = new Utf8JsonWriter(response.BodyWriter, JsonMembers.Options);
        json.WriteStartArray();
        foreach (var row in events)
        {
            Write(json, row, await CurrencyOfAsync(row));
            await json.FlushIfLargeAsync(response.BodyWriter, cancellationToken);
        }

        json.WriteEndArray();
    }

    /// <summary>Writes server-sent events, and sends them.</summary>
    public async Task WriteStreamAsync(HttpResponse response, IReadOnlyList<BookEvent> events, CancellationToken cancellationToken)
    {
        var output = response.BodyWriter;
        await using var json = new Utf8JsonWriter(output, JsonMembers.Options);
        foreach (var row in events)
        {
            output.Write("id: "u8);
            Encoding.ASCII.GetBytes($"{row.At}".AsSpan(), output);
            output.Write("\ndata: "u8);
            Write(json, row, await CurrencyOfAsync(row));
            json.Flush();
            output.Write("\n\n"u8);
            json.Reset();
            await json.FlushIfLargeAsync(output, cancellationToken);
        }

        await output.FlushAsync(cancellationToken);
    }

    private ValueTask<Currency> CurrencyOfAsync(BookEvent row) => currencies.OfAsync(row.Transaction?.Currency ?? row.AccountEvent!.Currency);

    private void Write(Utf8JsonWriter json, BookEvent row, Currency currency)
    {
        var (kind, change, id, time) = row switch
        {
            { Transaction: { } posted } => ("transaction", posted.Type, posted.TransactionId, posted.CreatedAt),
            { AccountEvent: { HoldId: { } holdId } hold } => ("hold", hold.Type["hold_".Length..], holdId, hold.CreatedAt),
            { AccountEvent: var changed } => ("account", changed!.Type, changed.AccountId, changed.CreatedAt),
        };
        json.WriteStartObject();
        json.WriteString("specversion"u8, "1.0"u8);
        json.WriteString("id"u8, $"{row.At}");
        json.WriteString("source"u8, source);
        json.WriteString("type"u8, $"core-banking.{kind}.{change}");
        json.WriteString("subject"u8, string.Create(CultureInfo.InvariantCulture, $"{kind}/{id}"));
        json.WriteTime("time"u8, time);
        json.WriteString("datacontenttype"u8, "application/json"u8);
        json.WriteStartObject("data"u8);
        if (row.Transaction is { } transaction)
        {
            json.WriteStartObject("transaction"u8);
            WriteMembers(json, transaction, currency);
        }
        else
        {
            json.WriteStartObject("account_event"u8);
            WriteMembers(json, row.AccountEvent!, currency);
        }

        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter json, LoggedTransaction row, Currency currency)
    {
        json.WriteNumber("transaction_id"u8, row.TransactionId);
        json.WriteString("type"u8, row.Type);
        json.WriteNumber("from_account_id"u8, row.FromAccountId);
        json.WriteNumber("to_account_id"u8, row.ToAccountId);
        json.WriteMoney("amount"u8, row.Amount, currency);
        json.WriteString("currency"u8, row.Currency);
        json.WriteMoney("from_balance_after"u8, row.FromBalanceAfter, currency);
        json.WriteMoney("to_balance_after"u8, row.ToBalanceAfter, currency);
        json.WriteId("reverses_transaction_id"u8, row.ReversesTransactionId);
        json.WriteId("hold_id"u8, row.HoldId);
        json.WriteString("reference"u8, row.Reference);
        json.WriteMetadata("metadata"u8, row.Metadata);
        json.WriteTime("created_at"u8, row.CreatedAt);
        json.WriteString("client_id"u8, row.ClientId);
    }

    private static void WriteMembers(Utf8JsonWriter json, LoggedAccountEvent row, Currency currency)
    {
        json.WriteNumber("account_event_id"u8, row.AccountEventId);
        json.WriteString("type"u8, row.Type);
        json.WriteNumber("account_id"u8, row.AccountId);
        json.WriteString("currency"u8, row.Currency);
        json.WriteString("status_after"u8, row.StatusAfter);
        json.WriteMoney("balance_after"u8, row.BalanceAfter, currency);
        json.WriteMoney("held_after"u8, row.HeldAfter, currency);
        json.WriteMoney("overdraft_limit_after"u8, row.OverdraftLimitAfter, currency);
        json.WriteId("hold_id"u8, row.HoldId);
        json.WriteMoney("amount"u8, row.Amount, currency);
        json.WriteId("to_account_id"u8, row.ToAccountId);
        json.WriteTime("expires_at"u8, row.ExpiresAt);
        json.WriteNumber("after_transaction_id"u8, row.AfterTransactionId);
        json.WriteString("client_id"u8, row.ClientId);
        json.WriteString("reason"u8, row.Reason);
        json.WriteTime("created_at"u8, row.CreatedAt);
    }
}
