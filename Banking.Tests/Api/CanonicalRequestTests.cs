using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Requests with the same meaning are written in one form, which is what their hash covers.</summary>
public sealed class CanonicalRequestTests(TestDatabase database)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    [Theory]
    [InlineData("""{"account_id":1,"amount":1.5,"metadata":{"aa":"2","é":"3","b":"1"}}""")]
    [InlineData("""{"amount":"1.50","metadata":{"b":"\u0031","\u00e9":"3","aa":"2"},"account_id":1,"reference":null}""")]
    [InlineData("""{ "account_id" : 1, "amount": 1.5000, "metadata": { "\u00e9": "3", "b": "1", "aa": "2" } }""")]
    public void A_request_is_written_without_trailing_zeros_and_with_metadata_in_the_order_of_jsonb(string text)
    {
        var written = JsonSerializer.Serialize(JsonSerializer.Deserialize<CashRequest>(text, Json), Json);

        written.Should().Be("""{"account_id":1,"amount":"1.5","reference":null,"metadata":{"b":"1","aa":"2","\u00E9":"3"}}""");
        JsonSerializer.Serialize(JsonSerializer.Deserialize<CashRequest>(written, Json), Json).Should().Be(written);
    }

    [Theory]
    [InlineData("0", "0")]
    [InlineData("0.0000", "0")]
    [InlineData("100", "100")]
    [InlineData("0.0001", "0.0001")]
    [InlineData("999999999999999.9999", "999999999999999.9999")]
    [InlineData("10.10", "10.1")]
    public void An_amount_is_written_exactly(string amount, string written)
    {
        var request = JsonSerializer.Deserialize<CashRequest>($$"""{"account_id":1,"amount":{{amount}}}""", Json);

        JsonSerializer.SerializeToElement(request, Json).GetProperty("amount").GetRawText().Should().Be($"\"{written}\"");
    }

    [Fact]
    public void Missing_members_are_written_as_null()
    {
        var request = JsonSerializer.Deserialize<CashRequest>("{}", Json);

        JsonSerializer.Serialize(request, Json).Should().Be("""{"account_id":null,"amount":null,"reference":null,"metadata":null}""");
    }

    // The logs keep these hashes for ever. A later version that computed another one would refuse the retries of old requests.
    [Fact]
    public async Task The_logs_keep_the_hash_of_the_call_and_of_the_request_in_this_form()
    {
        await using var bank = new BankingApp(database);
        (await bank.OpenAsync("100"), await bank.OpenAsync("100")).Should().Be((1000, 1001));
        var noon = DateTime.UtcNow.Date.AddDays(1).AddHours(12).ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture);
        (string Call, string Sent, string Hashed)[] requests =
        [
            ("change_account", """{"overdraft_limit":5.00,"account_id":1000}""", """{"account_id":1000,"overdraft_limit":"5"}"""),
            ("reverse_transaction",
                """{"amount":1.50,"transaction_id":1,"reference":null,"metadata":{"bb":"1","a":"\u00e9"}}""",
                """{"transaction_id":1,"amount":"1.5","metadata":{"a":"\u00E9","bb":"1"}}"""),
            ("place_hold",
                $$"""{"expires_at":"{{noon.Replace("T12", "T14", StringComparison.Ordinal)}}.000+02:00","to_account_id":1001,"amount":"20.00","account_id":1000}""",
                $$"""{"account_id":1000,"amount":"20","to_account_id":1001,"expires_at":"{{noon}}.0000000Z"}"""),
            ("capture_hold", """{"final":false,"hold_id":4,"amount":"1.0"}""", """{"hold_id":4,"amount":"1","final":false}"""),
            ("release_hold", """{"reason":"Sold out","hold_id":4}""", """{"hold_id":4,"reason":"Sold out"}"""),
            ("batch",
                """{"postings":[{"amount":"1.00","account_id":1000,"type":"deposit"},{"to_account_id":1001,"from_account_id":1000,"reference":"","type":"transfer","amount":2}],"mode":"atomic"}""",
                """{"mode":"atomic","postings":[{"type":"deposit","account_id":1000,"amount":"1"},{"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"2","reference":""}]}"""),
        ];

        foreach (var (call, sent, hashed) in requests)
        {
            var reply = await bank.PostAsync($"/api/{call}", sent, key: call);

            ((int)reply.Status).Should().BeOneOf([200, 201], reply.Text);
            var kept = await bank.Book.ScalarAsync<string>(
                """
                SELECT string_agg(DISTINCT encode(request_hash, 'hex'), ', ')
                  FROM (SELECT idempotency_key, request_hash FROM account_log
                         UNION ALL
                        SELECT idempotency_key, request_hash FROM transaction_log) AS log
                 WHERE idempotency_key = @call;
                """,
                new { call });
            kept.Should().Be(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{call}\n{hashed}"))), call);
        }
    }
}
