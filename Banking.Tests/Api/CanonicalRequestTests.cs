using System.Text.Json;
using Banking.Api;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Requests with the same meaning are written in one form, which is what their hash covers.</summary>
public sealed class CanonicalRequestTests
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
}
