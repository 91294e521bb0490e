using System.Collections.Concurrent;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using FluentAssertions;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>docs/books.md, run: the program that pays from one book to another, killed wherever it may be, moves the money once or gives it back.</summary>
public sealed partial class PaymentTests(TestDatabase database) : IAsyncLifetime
{
    private static readonly string Source = Path.Combine(Repository.Folder, "Banking.Tests", "Clients", "payment");

    private static readonly string Page = Repository.Read("docs/books.md");

    private readonly SymmetricSecurityKey key = new(RandomNumberGenerator.GetBytes(32));

    // What is compiled does not stay in the repository.
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();

    private ServiceProcess from = null!;
    private ServiceProcess to = null!;
    private long payer, payee, fromClearing, toClearing;

    [Fact]
    public void The_code_of_the_page_is_the_programs_code()
    {
        var program = File.ReadAllText(Path.Combine(Source, "Program.cs"));

        var blocks = Code().Matches(Page);
        blocks.Should().NotBeEmpty();
        blocks.Should().OnlyContain(block => program.Contains(block.Groups[1].Value));
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_payment_killed_between_its_postings_is_made_once_when_it_is_run_again()
    {
        await StartAsync();
        await to.KillAsync();
        await using (var payment = Pay("invoice-1"))
        {
            await payment.SaidAsync("transaction: ");
        }

        (await OutcomeAsync()).Should().Be(("75.00", "25.00", "0.00", "0.00"));
        (await InFlightAsync()).Should().Be("25.00: invoice-1 25.00");
        await to.StartAsync();

        (await PaidAsync("invoice-1")).Should().Be("0 paid");
        (await PaidAsync("invoice-1")).Should().Be("0 paid");

        (await OutcomeAsync()).Should().Be(("75.00", "25.00", "-25.00", "25.00"));
        (await InFlightAsync()).Should().Be("0.00:");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_payment_killed_before_it_hears_of_its_second_posting_is_made_once()
    {
        await StartAsync();
        await using var sql = new BookInspector(database.ConnectionString, to.Schema);
        await using (var held = await sql.HoldHeadAsync())
        {
            await using var payment = Pay("invoice-1");
            await held.BlocksAsync();
        }

        // The book makes the posting for nobody.
        await Wait.UntilAsync(async () => await to.BalanceAsync(payee) == "25.00");

        (await PaidAsync("invoice-1")).Should().Be("0 paid");

        (await OutcomeAsync()).Should().Be(("75.00", "25.00", "-25.00", "25.00"));
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_payment_that_the_payees_book_refuses_goes_back_once_even_if_that_book_would_take_it_later()
    {
        await StartAsync();
        (await to.FreezeAsync(payee)).ShouldBeOk();
        await using var sql = new BookInspector(database.ConnectionString, to.Schema);
        await using (var payment = Pay("invoice-1"))
        {
            await using (var held = await sql.HoldHeadAsync())
            {
                await held.BlocksAsync();
                await from.KillAsync();
            }

            await payment.SaidAsync("reverse_transaction: ");
        }

        // Killed before the money went back.
        await from.StartAsync();
        (await OutcomeAsync()).Should().Be(("75.00", "25.00", "0.00", "0.00"));
        (await InFlightAsync()).Should().Be("25.00: invoice-1 25.00");
        (await to.UnfreezeAsync(payee)).ShouldBeOk();

        (await PaidAsync("invoice-1")).Should().Be("1 returned");
        (await PaidAsync("invoice-1")).Should().Be("1 returned");

        (await OutcomeAsync()).Should().Be(("100.00", "0.00", "0.00", "0.00"));
        (await InFlightAsync()).Should().Be("0.00:");
        (await PaidAsync("invoice-2")).Should().Be("0 paid", "a new payment has a key of its own");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Two_runs_at_once_while_the_payee_is_frozen_and_unfrozen_agree_on_each_payment()
    {
        await StartAsync();
        using var enough = new CancellationTokenSource();
        var freezing = FreezeAndUnfreezeAsync();

        // A penny each, four at a time and each twice.
        var outcomes = new List<string>();
        for (var i = 0; i < 24; i += 4)
        {
            var runs = await Task.WhenAll(Enumerable.Range(i, 4).SelectMany(one => new[] { one, one }).Select(one => PaidAsync($"invoice-{one}", "0.01")));
            runs.Chunk(2).Should().OnlyContain(pair => pair[0] == pair[1]);
            outcomes.AddRange(runs.Chunk(2).Select(pair => pair[0]));
        }

        await enough.CancelAsync();
        await freezing;
        var paid = outcomes.Count(outcome => outcome == "0 paid");
        outcomes.Should().OnlyContain(outcome => outcome == "0 paid" || outcome == "1 returned");
        Report.Write($"{paid} of {outcomes.Count} were paid, the others returned");
        (await to.BalanceAsync(payee)).Should().Be(FormattableString.Invariant($"{paid * 0.01m:F2}"));
        (await from.BalanceAsync(payer)).Should().Be(FormattableString.Invariant($"{100 - (paid * 0.01m):F2}"));
        (await InFlightAsync()).Should().Be("0.00:");

        async Task FreezeAndUnfreezeAsync()
        {
            while (!enough.IsCancellationRequested)
            {
                (await to.FreezeAsync(payee)).ShouldBeOk();
                (await to.UnfreezeAsync(payee)).ShouldBeOk();
            }
        }
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_payer_without_the_money_is_refused_a_clearing_account_at_its_limit_is_waited_for_and_a_closed_payee_gets_nothing()
    {
        await StartAsync();

        (await PaidAsync("invoice-1", "100.01")).Should().Be("1 refused: insufficient_funds");
        (await to.ChangeAsync(toClearing, overdraftLimit: "24.99")).ShouldBeOk();
        await using (var payment = Pay("invoice-2"))
        {
            await payment.SaidAsync("at its limit");
            (await to.ChangeAsync(toClearing, overdraftLimit: "25.00")).ShouldBeOk();
            await payment.SaidAsync("paid");
        }

        (await to.WithdrawAsync(payee, "25.00")).ShouldBeCreated();
        (await to.CloseAsync(payee)).ShouldBeOk();
        (await PaidAsync("invoice-3")).Should().Be("1 returned");
        (await OutcomeAsync()).Should().Be(("75.00", "25.00", "-25.00", "0.00"));
    }

    public ValueTask InitializeAsync()
    {
        (from, to) = (NewService(), NewService());
        foreach (var service in new[] { from, to })
        {
            service.Http.DefaultRequestHeaders.Authorization = new("Bearer", TokenFor([.. AuthenticationTests.Calls.Select(call => call.Data.Item2).Distinct()]));
        }

        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await from.DisposeAsync();
        await to.DisposeAsync();
        folder.Delete(recursive: true);
    }

    /// <summary>Compiles the program, starts both services, and opens the accounts as the page says.</summary>
    private async Task StartAsync()
    {
        (await Run.ToEndAsync(new("cp", ["-r", $"{Source}/.", folder.FullName]))).ExitCode.Should().Be(0);
        var build = await Run.ToEndAsync(new("dotnet", ["build", "-o", "out", "-v", "quiet", "--nologo", "-nodeReuse:false"]) { WorkingDirectory = folder.FullName });
        build.ExitCode.Should().Be(0, build.Output);
        await Task.WhenAll(from.StartAsync(), to.StartAsync());
        await from.OpenAsync(); // so that no id is the same in both books
        (payer, fromClearing) = (await from.OpenAsync("100"), await from.OpenAsync());
        (toClearing, payee) = (await to.OpenAsync(overdraftLimit: "1000"), await to.OpenAsync());
    }

    private ServiceProcess NewService()
    {
        const string Bearer = "Authentication__Schemes__Bearer__";
        return new(
            database.ConnectionString,
            $"book_{Guid.NewGuid():N}",
            ("Banking__AllowAnonymous", "false"),
            ($"{Bearer}ValidIssuer", GuardedBank.Issuer),
            ($"{Bearer}ValidAudiences__0", Token.Audience),
            ($"{Bearer}SigningKeys__0__Issuer", GuardedBank.Issuer),
            ($"{Bearer}SigningKeys__0__Value", Convert.ToBase64String(key.Key)));
    }

    private string TokenFor(params string[] scopes) => new Token(GuardedBank.Issuer, "payments", string.Join(' ', scopes)).With("exp", Token.At(3600)).Signed(key);

    private ProcessStartInfo ToStart(string reference, string amount)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(folder.FullName, "out", "payment.dll"), reference, amount, $"{payer}", $"{payee}"]);
        (start.Environment["FROM_URL"], start.Environment["TO_URL"]) = ($"{from.Address}", $"{to.Address}");
        (start.Environment["FROM_CLEARING"], start.Environment["TO_CLEARING"]) = ($"{fromClearing}", $"{toClearing}");
        (start.Environment["FROM_TOKEN"], start.Environment["TO_TOKEN"]) = (TokenFor("transactions:write", "transactions:reverse"), TokenFor("transactions:write"));
        return start;
    }

    /// <summary>Runs the program to its end: its exit code and what it printed.</summary>
    private async Task<string> PaidAsync(string reference, string amount = "25.00")
    {
        var run = await Run.ToEndAsync(ToStart(reference, amount));
        return $"{run.ExitCode} {run.Output.TrimEnd()}";
    }

    private Payment Pay(string reference) => new(ToStart(reference, "25.00"));

    /// <summary>The balances of the payer, its clearing account, the other clearing account and the payee. Both books pass their checks.</summary>
    private async Task<(string? Payer, string? From, string? To, string? Payee)> OutcomeAsync()
    {
        foreach (var service in new[] { from, to })
        {
            await using var sql = new BookInspector(database.ConnectionString, service.Schema);
            (await sql.FailedChecksAsync()).Should().BeEmpty();
        }

        await using var books = new BookInspector(database.ConnectionString, from.Schema);
        return (await BalanceAsync(from.Schema, payer), await BalanceAsync(from.Schema, fromClearing), await BalanceAsync(to.Schema, toClearing), await BalanceAsync(to.Schema, payee));

        Task<string?> BalanceAsync(string schema, long account) =>
            books.ScalarAsync<string>($"SELECT round(balance, 2)::text FROM {schema}.account WHERE account_id = @account;", new { account });
    }

    /// <summary>What the page's two queries show: the sum, and each payment.</summary>
    private async Task<string> InFlightAsync()
    {
        var queries = Query().Matches(Page).Select(block => block.Groups[1].Value
            .Replace("banking.", $"{from.Schema}.").Replace("savings.", $"{to.Schema}.").Replace("1001", $"{fromClearing}").Replace("1000", $"{toClearing}")).ToList();
        queries.Should().HaveCount(2);
        await using var books = new BookInspector(database.ConnectionString, from.Schema);
        var payments = await books.RowsAsync<(DateTime CreatedAt, string Reference, decimal Amount)>(queries[1]);
        return FormattableString.Invariant($"{await books.ScalarAsync<decimal>(queries[0]):F2}:")
            + string.Concat(payments.Select(payment => FormattableString.Invariant($" {payment.Reference} {payment.Amount:F2}")));
    }

    /// <summary>A run of the program. Its disposal is a kill -9, if it has not ended.</summary>
    private sealed class Payment : IAsyncDisposable
    {
        private readonly Process process;
        private readonly ConcurrentQueue<string> lines = [];

        public Payment(ProcessStartInfo start)
        {
            (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
            process = Process.Start(start)!;
            process.OutputDataReceived += (_, line) => lines.Enqueue($"{line.Data}");
            process.ErrorDataReceived += (_, line) => lines.Enqueue($"{line.Data}");
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
        }

        public Task SaidAsync(string words) => Wait.UntilAsync(() => lines.Any(line => line.Contains(words)), expression: words);

        public async ValueTask DisposeAsync()
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }

    [GeneratedRegex(@"^```csharp\n((?:(?!```).*\n)*)```$", RegexOptions.Multiline)]
    private static partial Regex Code();

    [GeneratedRegex(@"^```sql\n((?:(?!```).*\n)*)```$", RegexOptions.Multiline)]
    private static partial Regex Query();
}
