using System.Collections.Concurrent;
using System.Text.Json;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Random requests made from the OpenAPI document get answers that it describes. Broken ones change nothing.</summary>
public sealed class FuzzTests(TestDatabase database, ITestOutputHelper output)
{
    private const int Seed = 20261122;

    /// <summary>The head, which changes with every write, and all accounts.</summary>
    private const string BooksSql = """
        SELECT concat_ws(' ', (SELECT head::text FROM ledger_head AS head), count(*), md5(string_agg(account::text, ',' ORDER BY account_id)))
          FROM account;
        """;

    [Fact]
    public Task Two_thousand_random_requests_are_answered_as_the_document_says() => FuzzAsync(phases: 4, requestsInEach: 500);

    [Fact(Explicit = true), Trait("Category", "Long")]
    public Task Sixty_thousand_random_requests_are_answered_as_the_document_says() => FuzzAsync(phases: 12, requestsInEach: 5_000);

    private async Task FuzzAsync(int phases, int requestsInEach)
    {
        await using var bank = new BankingApp(database);
        var document = (await bank.GetAsync("/openapi/v1.json")).Body;
        var (schemas, operations) = (new JsonSchema(document), Operation.In(document));
        // Only these empty accounts are frozen and closed. Otherwise all accounts would soon refuse postings.
        var managed = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => bank.OpenAsync()));
        long[] accounts =
            [await bank.OpenAsync("1000"), await bank.OpenAsync("1000", overdraftLimit: "50"), await bank.OpenAsync("9", "JPY"), await bank.OpenAsync("5"), managed[0], await bank.OpenAsync("1000")];
        ((int)(await bank.PostAsync("/api/freeze_account", new { account_id = accounts[3], reason = "Court order" })).Status).Should().Be(200);
        var holds = await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => bank.HoldAsync(accounts[0], "1", accounts[1])));
        var (answers, complaints) = (new ConcurrentDictionary<string, int>(), new ConcurrentQueue<string>());

        for (var phase = 0; phase < phases; phase++)
        {
            var broken = phase % 2 == 1;
            var before = await bank.Book.ScalarAsync<string>(BooksSql);

            await Parallel.ForEachAsync(
                Enumerable.Range(phase * requestsInEach, requestsInEach),
                new ParallelOptions { MaxDegreeOfParallelism = 8 },
                async (number, _) =>
                {
                    var shot = new Fuzzer(schemas, operations, accounts, managed, holds, Seed + number).Next(broken);
                    var reply = await bank.SendAsync(shot.ToMessage());
                    if (Complaint(schemas, document, shot, reply) is { } complaint)
                    {
                        complaints.Enqueue($"{complaint}: request {number} of seed {Seed}: {shot}; answer: {(int)reply.Status} {reply.Text}");
                    }

                    answers.AddOrUpdate($"{shot.Operation?.Path ?? "no such call"} {(int)reply.Status} {CodeOf(reply)}", 1, (_, count) => count + 1);
                });

            complaints.Should().BeEmpty();
            if (broken)
            {
                (await bank.Book.ScalarAsync<string>(BooksSql)).Should().Be(before, "broken requests change nothing");
            }
        }

        (await bank.Book.FailedChecksAsync()).Should().BeEmpty();
        bank.Complaints.Should().NotContain(complaint => !complaint.StartsWith("Warning", StringComparison.Ordinal));
        foreach (var operation in operations)
        {
            answers.Keys.Should().Contain(answer => answer.StartsWith($"{operation.Path} 20", StringComparison.Ordinal), "some requests are valid")
                .And.Contain($"{operation.Path} 400 validation_failed", "some are broken");
        }

        var report = $"{answers.Values.Sum()} requests of seed {Seed}\n{string.Join('\n', answers.OrderBy(answer => answer.Key, StringComparer.Ordinal).Select(answer => $"{answer.Key}: {answer.Value}"))}";
        output.WriteLine(report);
        TestContext.Current.AddAttachment("answers", report);
    }

    /// <summary>How the answer contradicts the document; null if it does not.</summary>
    private static string? Complaint(JsonSchema schemas, JsonElement document, Shot shot, Reply reply)
    {
        var status = (int)reply.Status;
        if (shot.Operation is null)
        {
            var problem = document.GetProperty("components").GetProperty("schemas").GetProperty("Problem");
            return (status, reply.Text) is not (404 or 405, _) ? "no such call, but another status"
                : shot.Method == "HEAD" ? null
                : reply.Code != (status == 404 ? "not_found" : "method_not_allowed") ? "another code"
                : schemas.Violations(problem, reply.Body).FirstOrDefault();
        }

        if (status >= 500 || (status < 400 && shot.Mistake is not null))
        {
            return $"the status is {status}";
        }

        if (!shot.Operation.Description.GetProperty("responses").TryGetProperty($"{status}", out var response))
        {
            return $"the document has no {status} here";
        }

        if (shot.Operation.Path == "/api/statement" && reply.ContentType is "text/csv" or "application/xml")
        {
            return null; // described in words: a generator would make one type of all forms
        }

        if (!response.GetProperty("content").TryGetProperty(reply.ContentType ?? "", out var content))
        {
            return $"the document has no {reply.ContentType} here";
        }

        return status >= 400 && !content.GetProperty("examples").TryGetProperty(reply.Code!, out _)
            ? $"the document has no {reply.Code} here"
            : schemas.Violations(content.GetProperty("schema"), reply.Body).FirstOrDefault();
    }

    private static string? CodeOf(Reply reply) => IsJson(reply) && reply.Text.Length > 0 ? reply.Code : null;

    private static bool IsJson(Reply reply) => reply.ContentType?.EndsWith("json", StringComparison.Ordinal) == true;
}
