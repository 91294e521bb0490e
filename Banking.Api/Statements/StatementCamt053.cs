using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Xml;
using Banking.Data;

namespace Banking.Api;

/// <summary>Writes a statement as ISO 20022 camt.053.001.08. Metadata has no place in it.</summary>
internal sealed class StatementCamt053 : StatementWriter
{
    private const string Namespace = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";
    private const int IdLength = 35;
    private const int LongestText = 140; // of Max140Text, as programs count that keep text in UTF-16

    private readonly string book;
    private readonly Statement statement;
    private readonly Period period;
    private readonly Currency currency;
    private readonly XmlWriter xml;

    public StatementCamt053(string book, Statement statement, Period period, Currency currency)
    {
        (this.book, this.statement, this.period, this.currency) = (book, statement, period, currency);
        xml = XmlWriter.Create(Buffer, new() { Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), NewLineHandling = NewLineHandling.Entitize });
    }

    public override string ContentType => "application/xml";

    public override string Extension => "xml";

    public override bool BeginsWithTotals => true;

    public override void Begin(StatementTotals? totals)
    {
        xml.WriteStartDocument();
        Start("Document");
        Start("BkToCstmrStmt");
        Start("GrpHdr");
        Write("MsgId", Id);
        Write("CreDtTm", TimeConverter.Format(statement.MadeAt));
        End();
        Start("Stmt");
        Write("Id", Id);
        Write("CreDtTm", TimeConverter.Format(statement.MadeAt));
        Start("FrToDt");
        Write("FrDtTm", TimeConverter.Format(period.From));
        Write("ToDtTm", TimeConverter.Format(period.To));
        End();
        Start("Acct");
        WriteAccountId(statement.AccountId);
        Write("Ccy", currency.Code);
        Start("Ownr");
        Write("Nm", Parts(statement.OwnerName).First());
        End();
        End();
        WriteBalance("OPBD", statement.OpeningBalance, period.From);
        WriteBalance("CLBD", statement.ClosingBalance, period.To);
        WriteSummary(totals!);
    }

    public override void Write(IReadOnlyList<Entry> entries)
    {
        foreach (var entry in entries)
        {
            Write(entry);
        }

        xml.Flush();
    }

    public override void End(StatementTotals totals)
    {
        xml.WriteEndDocument();
        xml.Flush();
    }

    public override void Dispose() => xml.Dispose();

    /// <summary>The same for the same book, account and period, so that an importer notices a file that it has already.</summary>
    private string Id => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture, $"{book} {statement.AccountId} {period.From:O} {period.To:O}"))))[..IdLength];

    private void Write(Entry entry)
    {
        var id = entry.TransactionId.ToString(CultureInfo.InvariantCulture);
        var time = TimeConverter.Format(entry.CreatedAt);
        Start("Ntry");
        Write("NtryRef", id);
        WriteAmount(entry.Amount);
        WriteDirection(entry.IsCredit);
        if (entry.ReversesTransactionId is not null)
        {
            Write("RvslInd", "true");
        }

        Start("Sts");
        Write("Cd", "BOOK");
        End();
        WriteTime("BookgDt", time);
        WriteTime("ValDt", time);
        Write("AcctSvcrRef", id);
        WriteCode(entry);
        Start("NtryDtls");
        Start("TxDtls");
        Start("Refs");
        Write("AcctSvcrRef", id);
        WriteReference("hold", entry.HoldId);
        WriteReference("reverses", entry.ReversesTransactionId);
        End();
        WriteAmount(entry.Amount);
        WriteDirection(entry.IsCredit);
        Start("RltdPties");
        Start(entry.IsCredit ? "DbtrAcct" : "CdtrAcct");
        WriteAccountId(entry.CounterpartyAccountId);
        End();
        End();
        if (!string.IsNullOrEmpty(entry.Reference))
        {
            Start("RmtInf");
            foreach (var part in Parts(entry.Reference))
            {
                Write("Ustrd", part);
            }

            End();
        }

        End();
        End();
        End();
    }

    private void WriteBalance(string code, decimal balance, DateTime at)
    {
        Start("Bal");
        Start("Tp");
        Start("CdOrPrtry");
        Write("Cd", code);
        End();
        End();
        WriteAmount(decimal.Abs(balance));
        WriteDirection(balance >= 0);
        WriteTime("Dt", TimeConverter.Format(at));
        End();
    }

    private void WriteSummary(StatementTotals totals)
    {
        var net = totals.Credits - totals.Debits;
        Start("TxsSummry");
        Start("TtlNtries");
        WriteCount(totals.CreditCount + totals.DebitCount, totals.Credits + totals.Debits);
        Start("TtlNetNtry");
        Write("Amt", currency.Format(decimal.Abs(net)));
        WriteDirection(net >= 0);
        End();
        End();
        Start("TtlCdtNtries");
        WriteCount(totals.CreditCount, totals.Credits);
        End();
        Start("TtlDbtNtries");
        WriteCount(totals.DebitCount, totals.Debits);
        End();
        End();
    }

    private void WriteCount(long count, decimal sum)
    {
        Write("NbOfNtries", count.ToString(CultureInfo.InvariantCulture));
        Write("Sum", currency.Format(sum));
    }

    private void WriteCode(Entry entry)
    {
        Start("BkTxCd");
        Start("Domn");
        Write("Cd", "PMNT");
        Start("Fmly");
        Write("Cd", entry.IsCredit ? "RCDT" : "ICDT");
        Write("SubFmlyCd", entry.Type switch { PostingType.Transfer => "BOOK", PostingType.Reversal => "RRTN", _ => "OTHR" });
        End();
        End();
        Start("Prtry");
        Write("Cd", entry.Type);
        Write("Issr", "core-banking");
        End();
        End();
    }

    private void WriteReference(string type, long? id)
    {
        if (id is { } number)
        {
            Start("Prtry");
            Write("Tp", type);
            Write("Ref", number.ToString(CultureInfo.InvariantCulture));
            End();
        }
    }

    private void WriteAccountId(long accountId)
    {
        Start("Id");
        Start("Othr");
        Write("Id", accountId.ToString(CultureInfo.InvariantCulture));
        End();
        End();
    }

    private void WriteAmount(decimal amount)
    {
        Start("Amt");
        xml.WriteAttributeString("Ccy", currency.Code);
        xml.WriteString(currency.Format(amount));
        End();
    }

    private void WriteDirection(bool isCredit) => Write("CdtDbtInd", isCredit ? "CRDT" : "DBIT");

    private void WriteTime(string name, string time)
    {
        Start(name);
        Write("DtTm", time);
        End();
    }

    private void Start(string name) => xml.WriteStartElement(name, Namespace);

    private void Write(string name, string text) => xml.WriteElementString(name, Namespace, text);

    private void End() => xml.WriteEndElement();

    /// <summary>The text in parts of the allowed length, with U+FFFD for each character that XML can't hold.</summary>
    private static IEnumerable<string> Parts(string text)
    {
        // PostgreSQL keeps no half of a surrogate pair.
        if (!text.All(IsLegal))
        {
            text = string.Concat(text.Select(character => IsLegal(character) ? character : '\uFFFD'));
        }

        for (var (start, length) = (0, 0); start < text.Length; start += length)
        {
            length = Math.Min(LongestText, text.Length - start);
            length -= char.IsHighSurrogate(text[start + length - 1]) ? 1 : 0;
            yield return text.Substring(start, length);
        }

        static bool IsLegal(char character) => XmlConvert.IsXmlChar(character) || char.IsSurrogate(character);
    }
}
