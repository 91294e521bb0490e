using System.Text.RegularExpressions;
using Banking.Data;
using CsvHelper;

namespace Banking.Api;

/// <summary>Writes a statement as CSV (RFC 4180). No spreadsheet runs a client's text as a formula.</summary>
internal sealed partial class StatementCsv : StatementWriter
{
    private static readonly string[] Columns =
    [
        "record", "transaction_id", "created_at", "type", "direction", "amount", "balance_after", "currency", "counterparty_account_id",
        "reverses_transaction_id", "hold_id", "reference", "metadata", "count",
    ];

    private readonly Statement statement;
    private readonly Period period;
    private readonly Currency currency;
    private readonly CsvWriter csv;

    public StatementCsv(Statement statement, Period period, Currency currency)
    {
        (this.statement, this.period, this.currency) = (statement, period, currency);
        csv = CsvWriter.Create(Buffer);
    }

    public override string ContentType => "text/csv; charset=utf-8; header=present";

    public override string Extension => "csv";

    public override void Begin(StatementTotals? totals)
    {
        csv.WriteHeader(Columns);
        WriteRow("opening_balance", createdAt: period.From, balance: statement.OpeningBalance);
    }

    public override void Write(IReadOnlyList<Entry> entries)
    {
        foreach (var entry in entries)
        {
            WriteRow(
                "entry", entry.TransactionId, entry.CreatedAt, entry.Type, entry.IsCredit ? "credit" : "debit", entry.Amount, entry.BalanceAfter,
                entry.CounterpartyAccountId, entry.ReversesTransactionId, entry.HoldId, entry.Reference, entry.Metadata);
        }

        csv.Flush();
    }

    public override void End(StatementTotals totals)
    {
        WriteRow("total_credits", direction: "credit", amount: totals.Credits, count: totals.CreditCount);
        WriteRow("total_debits", direction: "debit", amount: totals.Debits, count: totals.DebitCount);
        WriteRow("closing_balance", createdAt: period.To, balance: statement.ClosingBalance);
        csv.Flush();
    }

    public override void Dispose() => csv.Dispose();

    private void WriteRow(
        string record, long? transactionId = null, DateTime? createdAt = null, string? type = null, string? direction = null, decimal? amount = null,
        decimal? balance = null, long? counterparty = null, long? reverses = null, long? hold = null, string? reference = null, string? metadata = null, long? count = null)
    {
        csv.WriteField(record);
        csv.WriteField(transactionId, "");
        csv.WriteField(createdAt, TimeConverter.Form);
        csv.WriteField(type);
        csv.WriteField(direction);
        csv.WriteField(amount, currency.AmountFormat);
        csv.WriteField(balance, currency.AmountFormat);
        csv.WriteField(currency.Code);
        csv.WriteField(counterparty, "");
        csv.WriteField(reverses, "");
        csv.WriteField(hold, "");
        WriteText(reference);
        WriteText(metadata);
        csv.WriteField(count, "");
        csv.EndRecord();
    }

    /// <summary>Writes a client's text, in quotes: a program that takes ; or a tab for the separator then cuts less of it into cells.</summary>
    private void WriteText(string? text) =>
        csv.WriteField(text is null ? null : FormulaStart().Replace(text, "'"), text is null ? CsvQuoting.WhenNeeded : CsvQuoting.Always);

    // What spreadsheets take for the start of a formula (OWASP: CSV Injection), with the full-width forms, after characters that some of them
    // strip. It can be where the text starts, or where a program with another separator than ours starts a cell.
    [GeneratedRegex("""^(?=[\t\r\n])|(?<=^|[;\t\r\n])(?=[\s\p{C}"'-[\t\r\n]]*[=+\-@＝＋－＠])""")]
    private static partial Regex FormulaStart();
}
