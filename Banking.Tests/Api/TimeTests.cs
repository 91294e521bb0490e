using FluentAssertions;

namespace Banking.Tests;

/// <summary>Times in answers.</summary>
public sealed class TimeTests(TestDatabase database)
{
    private const string AccountSql = """
        INSERT INTO currency (code, numeric_code, minor_unit, name) VALUES ('XTS', 963, 3, 'Test');
        INSERT INTO account (account_id, kind, owner_name, currency, created_at)
        VALUES (963, 'settlement', 'Settlement XTS', 'XTS', CAST(@CreatedAt AS timestamptz));
        """;

    [Theory]
    [InlineData("2026-01-02 03:04:05+00", "2026-01-02T03:04:05.000000Z")]
    [InlineData("2026-01-02 03:04:05.1+00", "2026-01-02T03:04:05.100000Z")]
    [InlineData("2026-01-02 03:04:05.000001+02", "2026-01-02T01:04:05.000001Z")]
    public async Task A_time_always_has_six_digits_of_fraction_and_is_in_utc(string createdAt, string answered)
    {
        await using var bank = new BankingApp(database);
        await bank.OpenAsync();
        await bank.Book.ExecuteAsync(AccountSql, new { CreatedAt = createdAt });

        (await bank.AccountAsync(963))["created_at"].Should().Be(answered);
    }
}
