using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The files of sql/examples, each run by psql on one small book, print what is committed beside them.</summary>
public sealed partial class ExamplesTests(ExamplesTests.SmallBook book, TestDatabase database) : IClassFixture<ExamplesTests.SmallBook>
{
    private static readonly string Folder = Path.Combine(Repository.Folder, "sql", "examples");

    /// <summary>Three days in a book of six accounts. The requests are sent one by one, so their ids are the same in each run.</summary>
    public sealed class SmallBook(TestDatabase database) : IAsyncLifetime
    {
        private readonly GuardedBank bank = new(database);
        private int requests;

        public string Schema => bank.App.Book.Schema;

        /// <summary>What the examples ask for: an account, a payment, the day, a hold, and a payment that was reversed.</summary>
        public Dictionary<string, string> Variables { get; } = [];

        public async ValueTask InitializeAsync()
        {
            var ada = await OpenAsync("Ada Lovelace", "USD", "500.00");
            var shop = await OpenAsync("Corner Bookshop", "USD", "0", overdraftLimit: "100.00");
            var grace = await OpenAsync("Grace Hopper", "EUR", "80.00");
            var stranger = await OpenAsync("Nobody Known", "USD", "0");
            await OpenAsync("Emmy Noether", "JPY", "0");

            Variables["from"] = await NowAsync();
            await SendAsync("payroll", "deposit", new { account_id = ada, amount = "250.00", reference = "Salary" });
            var payment = await SendAsync("shop-app", "transaction", new { from_account_id = ada, to_account_id = shop, amount = "120.50", reference = "Invoice 117" });
            await SendAsync("shop-app", "withdraw", new { account_id = shop, amount = "60.00", reference = "Supplier" });
            await SendAsync("shop-app", "transaction", new { from_account_id = shop, to_account_id = stranger, amount = "40.00", reference = "Thank you" });
            await SendAsync("shop-app", "deposit", new { account_id = grace, amount = "20.00" });
            await SendAsync("fraud-desk", "freeze_account", new { account_id = shop, blocks = "debits", reason = "Ada Lovelace disputes invoice 117" });
            await SendAsync("shop-app", "deposit", new { account_id = shop, amount = "15.25", reference = "Cash box" });
            Variables["to"] = await NowAsync();

            await SendAsync("back-office", "unfreeze_account", new { account_id = shop, reason = "Dispute withdrawn" });
            await SendAsync("back-office", "change_account", new { account_id = shop, overdraft_limit = "0", reason = "Overdraft no longer needed" });
            await SendAsync("legal", "freeze_account", new { account_id = shop, reason = "Court order 7/26" });
            await SendAsync("payroll", "deposit", new { account_id = ada, amount = "1.00", reference = "Bonus" });
            (Variables["account_id"], Variables["transaction_id"]) = ($"{shop}", $"{payment.Id("transaction_id")}");
            await BookRoomAsync(grace);
            await PayTwiceAsync(ada, stranger);
        }

        /// <summary>A hotel holds the price of a room, takes it in two parts, and releases the rest.</summary>
        private async Task BookRoomAsync(long guest)
        {
            var hotel = await OpenAsync("Hotel Bellevue", "EUR", "0");
            var hold = (await SendAsync("hotel-app", "place_hold", new { account_id = guest, amount = "60.00", to_account_id = hotel, reference = "Booking 8" })).Id("hold_id");
            await SendAsync("hotel-app", "capture_hold", new { hold_id = hold, amount = "20.00", final = false });
            await SendAsync("hotel-app", "place_hold", new { account_id = guest, amount = "5.00", to_account_id = hotel, reference = "Minibar" });
            await SendAsync("hotel-app", "capture_hold", new { hold_id = hold, amount = "25.50" });
            Variables["hold_id"] = $"{hold}";
        }

        /// <summary>A payment that was sent twice goes back whole, another one in two parts.</summary>
        private async Task PayTwiceAsync(long payer, long payee)
        {
            await SendAsync("shop-app", "transaction", new { from_account_id = payer, to_account_id = payee, amount = "30.00", reference = "Order 12" });
            var again = await SendAsync("shop-app", "transaction", new { from_account_id = payer, to_account_id = payee, amount = "30.00", reference = "Order 12" });
            var dear = await SendAsync("shop-app", "transaction", new { from_account_id = payer, to_account_id = payee, amount = "45.00", reference = "Order 13" });
            await SendAsync("back-office", "reverse_transaction", new { transaction_id = again.Id("transaction_id"), reference = "Order 12 was paid twice" });
            await SendAsync("shop-app", "reverse_transaction", new { transaction_id = dear.Id("transaction_id"), amount = "10.00", reference = "Discount forgotten" });
            await SendAsync("shop-app", "reverse_transaction", new { transaction_id = dear.Id("transaction_id"), amount = "5.00", reference = "Cover damaged" });
            (Variables["since"], Variables["reversed_id"]) = (Variables["from"], $"{dear.Id("transaction_id")}");
        }

        public ValueTask DisposeAsync() => bank.DisposeAsync();

        private async Task<long> OpenAsync(string ownerName, string currency, string initialDeposit, string overdraftLimit = "0") =>
            (await SendAsync(
                "back-office", "create_account", new { owner_name = ownerName, currency, initial_deposit = initialDeposit, overdraft_limit = overdraftLimit })).Id("account_id");

        private async Task<Reply> SendAsync(string caller, string call, object body)
        {
            var token = bank.TokenOf(caller, "accounts:write accounts:manage transactions:write transactions:reverse holds:write");
            var reply = await bank.App.SendAsync(new(HttpMethod.Post, $"/api/{call}")
            {
                Headers = { { "Authorization", $"Bearer {token}" }, { "Idempotency-Key", $"{caller}-{++requests}" } },
                Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"),
            });
            reply.Status.Should().BeOneOf([HttpStatusCode.OK, HttpStatusCode.Created], reply.Text);
            return reply;
        }

        private async Task<string> NowAsync() => $"{await bank.App.Book.ScalarAsync<DateTime>("SELECT clock_timestamp();"):O}";
    }

    public static TheoryData<string> Files => [.. Directory.EnumerateFiles(Folder, "*.sql").Select(path => Path.GetFileNameWithoutExtension(path)!).Order()];

    [Theory]
    [MemberData(nameof(Files))]
    public async Task An_example_prints_what_is_committed_beside_it(string example)
    {
        var (agreed, received) = (Path.Combine(Folder, $"{example}.out"), Path.Combine(Folder, $"{example}.received.out"));

        var run = await database.PsqlAsync(book.Schema, $"sql/examples/{example}.sql", book.Variables);

        run.Errors.Should().BeEmpty();
        run.ExitCode.Should().Be(0);
        var output = Masked(run.Output);
        if (!File.Exists(agreed) || output != await File.ReadAllTextAsync(agreed))
        {
            await File.WriteAllTextAsync(received, output);
            Assert.Fail($"The output of {example}.sql has changed. If that is meant, move {received} to {agreed} and commit it.");
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public async Task An_example_runs_as_it_is(string example)
    {
        var run = await database.PsqlAsync(book.Schema, $"sql/examples/{example}.sql", new Dictionary<string, string>());

        run.Errors.Should().BeEmpty();
        run.ExitCode.Should().Be(0);
    }

    // Times and hashes differ from run to run. Equal hashes stay equal, so a reader sees which block follows which.
    // Nothing changes its length, because psql aligns its columns.
    private static string Masked(string output)
    {
        var hashes = new List<string>();
        output = Hash().Replace(output, hash =>
        {
            if (!hashes.Contains(hash.Value))
            {
                hashes.Add(hash.Value);
            }

            return string.Concat(Enumerable.Repeat($"{hashes.IndexOf(hash.Value):x4}", 16));
        });
        return Time().Replace(output, "2026-01-31 12:00:00+00");
    }

    [GeneratedRegex("[0-9a-f]{64}")]
    private static partial Regex Hash();

    [GeneratedRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}[+]00")]
    private static partial Regex Time();
}
