using System.Text;
using CsvHelper;
using FluentAssertions;

namespace Banking.Tests;

public sealed class StatementCsvTests(SharedBank shared) : IClassFixture<SharedBank>
{
    private readonly BankingApp bank = shared.App;

    [Theory]
    [InlineData("USD", 2)]
    [InlineData("JPY", 0)]
    [InlineData("KWD", 3)]
    public async Task The_csv_has_a_row_for_each_balance_entry_and_total(string currency, int digits)
    {
        var story = await Story.TellAsync(bank, currency, digits);

        var reply = await bank.StatementAsync(story.Account, story.From, story.To, "csv");

        var rows = Rows(reply);
        reply.Text.Split("\r\n")[0].Should().Be(
            "record,transaction_id,created_at,type,direction,amount,balance_after,currency,counterparty_account_id,reverses_transaction_id,hold_id,reference,metadata,count");
        rows.Select(row => row["record"]).Should().Equal(["opening_balance", .. Enumerable.Repeat("entry", 6), "total_credits", "total_debits", "closing_balance"]);
        rows.Should().OnlyContain(row => row["currency"] == currency);
        rows[1..7].Select(row => $"{row["type"]} {row["direction"]} {row["amount"]} {row["balance_after"]}").Should().Equal(story.Entries);
        rows[1..7].Select(row => row["transaction_id"]).Should().Equal(story.Ids.Select(id => $"{id}"));
        rows[1..7].Select(row => row["counterparty_account_id"]).Should().Equal(
            $"{story.Settlement}", $"{story.Other}", $"{story.Other}", $"{story.Settlement}", $"{story.Other}", $"{story.Settlement}");
        rows[1..7].Select(row => row["hold_id"]).Should().Equal("", "", "", $"{story.Hold}", "", "");
        rows[1..7].Select(row => row["reverses_transaction_id"]).Should().Equal("", "", "", "", $"{story.Ids[1]}", "");
        rows.Select(row => row["created_at"]).Should().Equal(
            [TimeText(story.From), .. (await bank.HistoryAsync(story.Account)).AsEnumerable().Reverse().Select(entry => entry.GetProperty("created_at").GetString()!), "", "", TimeText(story.To)]);
        (rows[0]["balance_after"], rows[9]["balance_after"]).Should().Be((story.Money(0), story.Money(-23)));
        (rows[7]["direction"], rows[7]["count"], rows[7]["amount"]).Should().Be(("credit", "3", story.Money(115)));
        (rows[8]["direction"], rows[8]["count"], rows[8]["amount"]).Should().Be(("debit", "3", story.Money(138)));

        static string TimeText(DateTime time) => time.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
    }

    [Fact]
    public async Task Text_survives_unless_a_spreadsheet_could_run_it()
    {
        string[] harmless =
        [
            "plain", "", " ", "a=b", "1-2", "a, b", "\"quoted\"", "two\r\nlines", "\u0001", "ü 🦊 \u2028", "x\ty", "a;b", "'", "don't", "100 % + 5",
        ];

        (await ReferencesAsync(harmless)).Should().Equal(harmless);
    }

    [Theory]
    [InlineData("=1+1", "'=1+1")]
    [InlineData("+1", "'+1")]
    [InlineData("-1", "'-1")]
    [InlineData("@SUM(1)", "'@SUM(1)")]
    [InlineData("\tx", "'\tx")]
    [InlineData("\rx", "'\rx")]
    [InlineData("\nx", "'\nx")]
    [InlineData("  =1", "'  =1")]
    [InlineData("\u00a0\u3000=1", "'\u00a0\u3000=1")]
    [InlineData("\ufeff\u200b=1", "'\ufeff\u200b=1")]
    [InlineData("\"=1\"", "'\"=1\"")]
    [InlineData("'=1", "''=1")]
    [InlineData("＝1", "'＝1")]
    [InlineData("＋1", "'＋1")]
    [InlineData("－1", "'－1")]
    [InlineData("＠A1", "'＠A1")]
    [InlineData("\t=1", "'\t'=1")]
    [InlineData("x;=1", "x;'=1")]
    [InlineData("x;\" -1", "x;'\" -1")]
    [InlineData("x\t=1", "x\t'=1")]
    [InlineData("x\r\n=1", "x\r\n'=1")]
    public async Task A_formula_in_a_clients_text_becomes_text(string reference, string cell) =>
        (await ReferencesAsync([reference])).Should().Equal(cell);

    [Fact]
    public async Task Metadata_is_json_text_and_no_formula_either()
    {
        var account = await bank.OpenAsync();
        var (from, to) = Story.UntilAfter(await bank.PostAsync(
            "/api/deposit", new { account_id = account, amount = "1", metadata = new Dictionary<string, string> { ["k"] = "x;=1+1", ["text"] = "\"a\",\r\nb" } }));

        var row = Rows(await bank.StatementAsync(account, from, to, "csv"))[1];

        row["metadata"].Should().Be("""{"k": "x;'=1+1", "text": "\"a\",\r\nb"}""");
    }

    [Fact]
    public async Task A_long_statement_is_whole_over_all_chunks()
    {
        var account = await bank.OpenAsync();
        await Task.WhenAll(Enumerable.Range(0, 600).Select(_ => bank.DepositAsync(account, "1")));
        var (from, to) = Story.UntilAfter(await bank.WithdrawAsync(account, "1"));

        var rows = Rows(await bank.StatementAsync(account, from, to, "csv"));

        rows[1..^3].Select(row => row["transaction_id"]).Should().Equal(
            (await bank.HistoryAsync(account)).AsEnumerable().Reverse().Select(entry => $"{entry.GetProperty("transaction_id")}"));
    }

    private async Task<List<string>> ReferencesAsync(IEnumerable<string> references)
    {
        var (account, last) = (await bank.OpenAsync(), default(Reply));
        foreach (var reference in references)
        {
            last = await bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", reference });
        }

        var (from, to) = Story.UntilAfter(last!);
        return [.. Rows(await bank.StatementAsync(account, from, to, "csv"))[1..^3].Select(row => row["reference"])];
    }

    /// <summary>The rows, read by the library's own reader.</summary>
    private static List<Dictionary<string, string>> Rows(Reply reply)
    {
        reply.Text[0].Should().NotBe('\ufeff');
        using var csv = CsvReader.Create(new MemoryStream(Encoding.UTF8.GetBytes(reply.Text)));
        var rows = new List<Dictionary<string, string>>();
        while (csv.Read())
        {
            rows.Add(csv.Headers.ToArray().Index().ToDictionary(header => $"{header.Item}", header => csv.GetString(header.Index)));
        }

        return rows;
    }
}
