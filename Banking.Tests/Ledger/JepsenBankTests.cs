using System.Globalization;
using System.Net;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>
/// Jepsen's bank test: while many clients of two instances move money among the same few accounts, whoever looks at all of
/// them at one moment sees the same total, and no account below its limit.
/// </summary>
public sealed class JepsenBankTests(TestDatabase database, ITestOutputHelper output)
{
    private const int Accounts = 8;
    private const decimal Limit = 30;

    /// <summary>One statement is one snapshot: the total, who is below the limit, whose balance is not the log's, and the ids that the head and the log disagree on.</summary>
    private const string SnapshotSql = """
        SELECT concat_ws(' ', sum(balance)
             , count(*) FILTER (WHERE balance < -overdraft_limit)
             , count(*) FILTER (WHERE balance <> (SELECT CASE account_id WHEN to_account_id THEN to_balance_after ELSE from_balance_after END
                                                    FROM transaction_log
                                                   WHERE account_id IN (from_account_id, to_account_id)
                                                   ORDER BY transaction_id DESC
                                                   LIMIT 1))
             , (SELECT last_transaction_id FROM ledger_head) - (SELECT max(transaction_id) FROM transaction_log))
          FROM account
         WHERE account_id = ANY (@accounts);
        """;

    [Fact]
    public Task The_total_never_changes_while_money_moves() => WatchAsync(TimeSpan.FromSeconds(5));

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task The_total_never_changes_while_money_moves_for_long() => WatchAsync(TimeSpan.FromSeconds(45));

    private async Task WatchAsync(TimeSpan time)
    {
        await using var first = new BankingApp(database);
        await using var second = new BankingApp(database, first.Book.Schema);
        var accounts = await Task.WhenAll(Enumerable.Range(0, Accounts).Select(_ => first.OpenAsync("100", overdraftLimit: $"{Limit}")));
        var (made, refused, snapshots, reads) = (0, 0, 0, 0);
        using var over = new CancellationTokenSource(time);

        var writers = Enumerable.Range(0, 12).Select(async writer =>
        {
            var random = new Random(writer);
            while (!over.IsCancellationRequested)
            {
                var (from, to) = (random.Next(Accounts), random.Next(Accounts - 1));
                var reply = await (writer % 2 == 0 ? first : second).TransferAsync(
                    accounts[from], accounts[to < from ? to : to + 1], $"{random.Next(1, 9_000) / 100m}");
                _ = reply.Status == HttpStatusCode.Created ? Interlocked.Increment(ref made) : Interlocked.Increment(ref refused);
                (reply.Code ?? "made").Should().BeOneOf("made", "insufficient_funds");
            }
        });
        var watchers = Enumerable.Range(0, 2).Select(async _ =>
        {
            while (!over.IsCancellationRequested)
            {
                (await second.Book.ScalarAsync<string>(SnapshotSql, new { accounts })).Should().Be($"{Accounts * 100}.0000 0 0 0");
                Interlocked.Increment(ref snapshots);
            }
        });
        var readers = new[] { first, second }.Select(async bank =>
        {
            for (var next = 0; !over.IsCancellationRequested; next++)
            {
                Money(await bank.BalanceAsync(accounts[next % Accounts])).Should().BeGreaterThanOrEqualTo(-Limit);
                Interlocked.Increment(ref reads);
            }
        });
        await Task.WhenAll([.. writers, .. watchers, .. readers]);

        var total = 0m;
        foreach (var account in accounts)
        {
            var balance = Money(await first.BalanceAsync(account));
            ShouldRunUpTo(balance, await second.HistoryAsync(account));
            total += balance;
        }

        total.Should().Be(Accounts * 100);
        (await first.Book.ScalarAsync<long>("SELECT count(*) FROM transaction_log;")).Should().Be(Accounts + made);
        new[] { made, refused, snapshots, reads }.Should().NotContain(0);
        first.Complaints.Concat(second.Complaints).Should().BeEmpty();
        (await first.Book.FailedChecksAsync()).Should().BeEmpty();
        output.WriteLine($"{made} transfers, {refused} refused, {snapshots} snapshots, {reads} balances read");
    }

    /// <summary>Each entry starts where the one before it ended, the first at nothing and the last at the balance.</summary>
    private static void ShouldRunUpTo(decimal balance, List<JsonElement> newestFirst)
    {
        var running = 0m;
        foreach (var entry in Enumerable.Reverse(newestFirst))
        {
            var amount = Money(entry.GetProperty("amount").GetString());
            running += entry.GetProperty("direction").GetString() == "credit" ? amount : -amount;
            Money(entry.GetProperty("balance_after").GetString()).Should().Be(running);
            running.Should().BeGreaterThanOrEqualTo(-Limit);
        }

        running.Should().Be(balance);
    }

    private static decimal Money(string? text) => decimal.Parse(text!, CultureInfo.InvariantCulture);
}
