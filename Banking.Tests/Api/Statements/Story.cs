using System.Globalization;

namespace Banking.Tests;

/// <summary>An account with every kind of entry and a negative balance at the end, and the period that holds all of it.</summary>
internal sealed record Story(long Account, long Other, long Settlement, long Hold, IReadOnlyList<long> Ids, DateTime From, DateTime To, int Digits)
{
    private static readonly TimeSpan Microsecond = TimeSpan.FromMicroseconds(1);

    /// <summary>Each entry as its type, direction, amount and balance, oldest first.</summary>
    public IEnumerable<string> Entries =>
    [
        $"deposit credit {Money(100)} {Money(100)}",
        $"transfer debit {Money(30)} {Money(70)}",
        $"transfer credit {Money(5)} {Money(75)}",
        $"withdrawal debit {Money(8)} {Money(67)}",
        $"reversal credit {Money(10)} {Money(77)}",
        $"withdrawal debit {Money(100)} {Money(-23)}",
    ];

    public string Money(decimal amount) => amount.ToString($"F{Digits}", CultureInfo.InvariantCulture);

    public static async Task<Story> TellAsync(BankingClient bank, string currency = "USD", int digits = 2)
    {
        var (account, other) = (await bank.OpenAsync("0", currency, overdraftLimit: "50"), await bank.OpenAsync("0", currency));
        var deposit = await bank.DepositAsync(account, "100");
        var paid = await bank.TransferAsync(account, other, "30");
        var received = await bank.TransferAsync(other, account, "5");
        var hold = await bank.HoldAsync(account, "20");
        var captured = await bank.CaptureAsync(hold, "8");
        var reversal = await bank.ReverseAsync(paid.Id("transaction_id"), "10");
        var withdrawal = await bank.WithdrawAsync(account, "100");
        Reply[] all = [deposit, paid, received, captured, reversal, withdrawal];
        return new(
            account, other, deposit.Id("from_account_id"), hold, [.. all.Select(reply => reply.Id("transaction_id"))],
            TimeOf(deposit), TimeOf(withdrawal) + Microsecond, digits);
    }

    public static DateTime TimeOf(Reply posted) => posted.Body.GetProperty("created_at").GetDateTime();

    /// <summary>A period that holds everything so far.</summary>
    public static (DateTime From, DateTime To) UntilAfter(Reply posted) => (TimeOf(posted).AddDays(-1), TimeOf(posted) + Microsecond);
}
