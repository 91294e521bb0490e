using System.Text.Json;
using System.Text.RegularExpressions;
using Banking.Api;
using FluentAssertions;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Banking.Tests;

/// <summary>Answers of many rows are written by hand. They are byte for byte what the serializer makes of the types in the OpenAPI document.</summary>
public sealed class DescribedTypesTests(TestDatabase database)
{
    [Theory]
    [InlineData("USD", 2)]
    [InlineData("JPY", 0)]
    [InlineData("KWD", 3)]
    public async Task A_page_a_statement_and_events_are_byte_for_byte_what_their_described_types_give(string currency, int digits)
    {
        await using var bank = new BankingApp(database);
        var json = bank.Services.GetRequiredService<IOptions<JsonOptions>>().Value.SerializerOptions;
        var story = await Story.TellAsync(bank, currency, digits);
        var metadata = new Dictionary<string, string> { ["ü"] = "\u0001\t\"\\</b>", ["🦊"] = "\u2028\ufffe\ue000", ["empty"] = "" };
        await bank.PostAsync("/api/deposit", new { account_id = story.Account, amount = "1", reference = "\u0001 \"ü🦊' &\u2028", metadata });
        await bank.PostAsync("/api/deposit", new { account_id = story.Account, amount = "1", reference = "", metadata = new { } });
        await bank.ReleaseAsync(await bank.HoldAsync(story.Account, "1", story.Other));
        await bank.ChangeAsync(story.Account, overdraftLimit: "60", reason: "a \"raise\" <ü🦊\u2028");
        var (from, to) = Story.UntilAfter(await bank.ReverseAsync(story.Ids[1], "5"));

        var page = ReadAsDescribed<HistoryResponse>(await bank.GetAsync($"/api/transaction_history?account_id={story.Account}"));
        var statement = ReadAsDescribed<StatementResponse>(await bank.StatementAsync(story.Account, from, to));
        var events = ReadAsDescribed<IReadOnlyList<CloudEvent>>(await bank.GetAsync("/api/events"));

        page.Transactions[2].Metadata.Should().BeEquivalentTo(metadata);
        page.Transactions.Single(entry => entry.TransactionId == story.Ids[1]).ReversedByTransactionIds.Should().HaveCount(2).And.BeInAscendingOrder();
        statement.Entries.Should().HaveCount(page.Transactions.Count).And.Contain(entry => entry.HoldId == story.Hold);
        events.Select(seen => seen.Type).Should().Contain(["core-banking.hold.released", "core-banking.account.changed", "core-banking.transaction.reversal"]);

        T ReadAsDescribed<T>(Reply reply)
        {
            ((int)reply.Status).Should().Be(200);
            var read = JsonSerializer.Deserialize<T>(reply.Text, json)!;
            JsonSerializer.Serialize(read, json).Should().Be(reply.Text);
            Regex.Matches(reply.Text, "(?:amount|balance|balance_after|held_after|limit_after)\":\"([^\"]*)\"").Select(money => money.Groups[1].Value)
                .Should().NotBeEmpty().And.OnlyContain(money => Regex.IsMatch(money, digits == 0 ? "^-?[0-9]+$" : $"^-?[0-9]+\\.[0-9]{{{digits}}}$"));
            return read;
        }
    }
}
