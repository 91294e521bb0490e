using System.Xml;
using System.Xml.Linq;
using System.Xml.Schema;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Statements as camt.053. If CAMT053_XSD names the schema of ISO 20022, each is validated with it.</summary>
public sealed class StatementCamt053Tests(SharedBank shared) : IClassFixture<SharedBank>
{
    private static readonly XNamespace Camt = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";

    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("USD", 2)]
    [InlineData("JPY", 0)]
    [InlineData("KWD", 3)]
    public async Task The_figures_are_those_of_the_account(string currency, int digits)
    {
        var story = await Story.TellAsync(bank, currency, digits);

        var statement = Statement(await bank.StatementAsync(story.Account, story.From, story.To, "camt.053"));

        Text(statement, "Acct/Id/Othr/Id").Should().Be($"{story.Account}");
        Text(statement, "Acct/Ccy").Should().Be(currency);
        Text(statement, "Acct/Ownr/Nm").Should().Be("Someone");
        (DateTime.Parse(Text(statement, "FrToDt/FrDtTm")!).ToUniversalTime(), DateTime.Parse(Text(statement, "FrToDt/ToDtTm")!).ToUniversalTime()).Should().Be((story.From, story.To));
        All(statement, "Bal").Select(balance => $"{Text(balance, "Tp/CdOrPrtry/Cd")} {Text(balance, "Amt")} {Text(balance, "CdtDbtInd")}").Should().Equal(
            $"OPBD {story.Money(0)} CRDT", $"CLBD {story.Money(23)} DBIT");
        All(statement, "TxsSummry/TtlNtries").Select(Figures).Should().Equal($"6 {story.Money(253)} {story.Money(23)} DBIT");
        All(statement, "TxsSummry/TtlCdtNtries").Select(Figures).Should().Equal($"3 {story.Money(115)}");
        All(statement, "TxsSummry/TtlDbtNtries").Select(Figures).Should().Equal($"3 {story.Money(138)}");
        statement.Descendants(Camt + "Amt").Attributes("Ccy").Should().HaveCount(2 + (6 * 2)).And.OnlyContain(attribute => attribute.Value == currency);
    }

    [Fact]
    public async Task Each_entry_says_what_it_is_and_what_it_belongs_to()
    {
        var story = await Story.TellAsync(bank);

        var entries = All(Statement(await bank.StatementAsync(story.Account, story.From, story.To, "camt.053")), "Ntry").ToList();

        entries.Select(entry => $"{Text(entry, "NtryRef")} {Text(entry, "AcctSvcrRef")} {Text(entry, "NtryDtls/TxDtls/Refs/AcctSvcrRef")}")
            .Should().Equal(story.Ids.Select(id => $"{id} {id} {id}"));
        entries.Select(entry => $"{Text(entry, "Amt")} {Text(entry, "CdtDbtInd")} {Text(entry, "RvslInd")} {Text(entry, "Sts/Cd")}").Should().Equal(
            "100.00 CRDT  BOOK", "30.00 DBIT  BOOK", "5.00 CRDT  BOOK", "8.00 DBIT  BOOK", "10.00 CRDT true BOOK", "100.00 DBIT  BOOK");
        entries.Select(entry => string.Join('/', entry.Element(Camt + "BkTxCd")!.Descendants().Where(code => !code.HasElements).Select(code => code.Value))).Should().Equal(
            "PMNT/RCDT/OTHR/deposit/core-banking", "PMNT/ICDT/BOOK/transfer/core-banking", "PMNT/RCDT/BOOK/transfer/core-banking",
            "PMNT/ICDT/OTHR/withdrawal/core-banking", "PMNT/RCDT/RRTN/reversal/core-banking", "PMNT/ICDT/OTHR/withdrawal/core-banking");
        entries.SelectMany(entry => All(entry, "NtryDtls/TxDtls/Refs/Prtry")).Select(own => $"{Text(own, "Tp")} {Text(own, "Ref")}").Should().Equal(
            $"hold {story.Hold}", $"reverses {story.Ids[1]}");
        entries.Select(entry => $"{Text(entry, "NtryDtls/TxDtls/RltdPties/DbtrAcct/Id/Othr/Id")}>{Text(entry, "NtryDtls/TxDtls/RltdPties/CdtrAcct/Id/Othr/Id")}").Should().Equal(
            $"{story.Settlement}>", $">{story.Other}", $"{story.Other}>", $">{story.Settlement}", $"{story.Other}>", $">{story.Settlement}");
        entries.Select(entry => (Text(entry, "BookgDt/DtTm"), Text(entry, "ValDt/DtTm"))).Should().Equal(
            (await bank.HistoryAsync(story.Account)).AsEnumerable().Reverse().Select(entry => entry.GetProperty("created_at").GetString()).Select(time => (time, time)));
    }

    [Fact]
    public async Task The_same_period_has_the_same_id_and_another_has_another()
    {
        var story = await Story.TellAsync(bank);

        var one = Statement(await bank.StatementAsync(story.Account, story.From, story.To, "camt.053"));
        await bank.DepositAsync(story.Account, "1");
        var again = Statement(await bank.StatementAsync(story.Account, story.From, story.To, "camt.053"));
        var (shorter, other) = (
            Statement(await bank.StatementAsync(story.Account, story.From.AddMicroseconds(1), story.To, "camt.053")),
            Statement(await bank.StatementAsync(story.Other, story.From, story.To, "camt.053")));

        Ids(again).Should().Equal(Ids(one));
        Ids(one).Distinct().Should().ContainSingle();
        new[] { one, shorter, other }.Select(statement => Text(statement, "Id")).Should().OnlyHaveUniqueItems();

        static string?[] Ids(XElement statement) => [Text(statement, "Id"), Text(statement.Parent!, "GrpHdr/MsgId")];
    }

    [Fact]
    public async Task Text_that_xml_can_not_hold_is_replaced_and_all_other_text_survives()
    {
        string[] references = ["<a href=\"x\">&amp;", "]]>", "\u0001\u001f\ufffe\uffff", "a\r\n\tb", "ü 🦊", " x ", "&#0;"];
        var opened = await bank.PostAsync("/api/create_account", new { owner_name = "<&\u0002🦊>" + new string('x', 190), currency = "USD" });
        var (account, last) = (opened.Id("account_id"), default(Reply));
        foreach (var reference in (string[])[.. references, ""])
        {
            last = await bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", reference, metadata = new { secret = "not carried" } });
        }

        var (from, to) = Story.UntilAfter(last!);
        var reply = await bank.StatementAsync(account, from, to, "camt.053");

        var statement = Statement(reply);
        All(statement, "Ntry/NtryDtls/TxDtls/RmtInf/Ustrd").Select(text => text.Value).Should().Equal(
            references.Select(reference => reference == references[2] ? "\ufffd\ufffd\ufffd\ufffd" : reference));
        Text(statement, "Acct/Ownr/Nm").Should().Be("<&\ufffd🦊>" + new string('x', 134), "a name has 140 characters there");
        reply.Text.Should().NotContain("not carried");
    }

    [Theory]
    [InlineData("", 140)]
    [InlineData("x", 139)] // the first part ends before half of a character
    public async Task A_reference_of_wide_characters_is_carried_in_parts(string start, int foxes)
    {
        var (account, reference) = (await bank.OpenAsync(), start + string.Concat(Enumerable.Repeat("🦊", foxes)));
        var (from, to) = Story.UntilAfter(await bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", reference }));

        var parts = All(Statement(await bank.StatementAsync(account, from, to, "camt.053")), "Ntry/NtryDtls/TxDtls/RmtInf/Ustrd").Select(part => part.Value).ToList();

        parts.Should().OnlyContain(part => part.Length <= 140).And.OnlyContain(part => part.EndsWith("🦊"));
        string.Concat(parts).Should().Be(reference);
    }

    [Fact]
    public async Task A_period_without_entries_is_a_statement_too()
    {
        var account = await bank.OpenAsync("7");
        var now = await bank.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();");

        var statement = Statement(await bank.StatementAsync(account, now.AddMicroseconds(-1), now, "camt.053"));

        All(statement, "Bal").Select(balance => Text(balance, "Amt")).Should().Equal("7.00", "7.00");
        All(statement, "TxsSummry/TtlNtries").Select(Figures).Should().Equal("0 0.00 0.00 CRDT");
        All(statement, "Ntry").Should().BeEmpty();
    }

    /// <summary>The message's statement, after validation.</summary>
    private static XElement Statement(Reply reply)
    {
        reply.ContentType.Should().Be("application/xml");
        var document = XDocument.Parse(reply.Text, LoadOptions.PreserveWhitespace);
        if (Environment.GetEnvironmentVariable("CAMT053_XSD") is { Length: > 0 } file)
        {
            var schemas = new XmlSchemaSet();
            using var schema = XmlReader.Create(file);
            schemas.Add(Camt.NamespaceName, schema);
            document.Validate(schemas, (_, broken) => throw broken.Exception);
        }

        document.Root!.Name.Should().Be(Camt + "Document");
        return document.Root.Element(Camt + "BkToCstmrStmt")!.Element(Camt + "Stmt")!;
    }

    private static IEnumerable<XElement> All(XElement parent, string path) =>
        path.Split('/').Aggregate(Enumerable.Repeat(parent, 1), (found, name) => found.Elements(Camt + name));

    private static string? Text(XElement parent, string path) => All(parent, path).SingleOrDefault()?.Value;

    private static string Figures(XElement total) => string.Join(' ', total.Descendants().Where(figure => !figure.HasElements).Select(figure => figure.Value));
}
