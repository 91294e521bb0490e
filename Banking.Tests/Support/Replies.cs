using System.Text.Json;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What tests of many calls check in a reply.</summary>
internal static class Replies
{
    public static void ShouldBeCreated(this Reply reply, bool replayed = false)
    {
        ((int)reply.Status).Should().Be(201, "{0}", reply.Text);
        reply.ContentType.Should().Be("application/json");
        reply.TraceId.Should().NotBeNull();
        reply.Replayed.Should().Be(replayed);
    }

    public static void ShouldBeOk(this Reply reply, bool replayed = false)
    {
        ((int)reply.Status).Should().Be(200, "{0}", reply.Text);
        reply.ContentType.Should().Be("application/json");
        reply.TraceId.Should().NotBeNull();
        reply.Replayed.Should().Be(replayed);
    }

    /// <summary>The answer of create_account without the id of its transaction: the account alone.</summary>
    public static string AccountText(this Reply opened) => Regex.Replace(opened.Text, ",\"transaction_id\":(null|[0-9]+)}$", "}");

    /// <summary>The transaction of a get_one_transaction's answer, as it was posted. Nothing is reversed of it.</summary>
    public static string TransactionText(this Reply shown) => Regex.Replace(shown.Text, ",\"reversed_amount\":\"0(\\.0+)?\",\"reversed_by_transaction_ids\":\\[\\]}$", "}");

    /// <summary>Checks a whole problem document. It must have an error for each of the fields and for no other.</summary>
    public static void ShouldBeProblem(this Reply reply, int status, string code, params string[] fields)
    {
        ((int)reply.Status).Should().Be(status, "{0}", reply.Text);
        reply.ContentType.Should().Be("application/problem+json");
        reply.Code.Should().Be(code);
        reply.Id("status").Should().Be(status);
        reply["type"].Should().Be($"urn:core-banking:problem:{code}");
        reply["title"].Should().NotBeNullOrWhiteSpace();
        reply["detail"].Should().NotBeNullOrWhiteSpace();
        reply["trace_id"].Should().Be(reply.TraceId).And.MatchRegex("^[0-9a-f]{32}$").And.NotMatchRegex("^0+$");
        var errors = reply.Body.TryGetProperty("errors", out var found) ? found.EnumerateObject().ToList() : [];
        errors.Select(error => error.Name).Should().BeEquivalentTo(fields, "{0}", reply.Text);
        errors.Should().NotContain(error => error.Value.GetArrayLength() == 0);
    }

    public static IEnumerable<string> Members(this JsonElement element) => element.EnumerateObject().Select(member => member.Name);
}
