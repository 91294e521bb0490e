using System.Text;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>What the README and the .http file tell a newcomer to send works, in its order, on a fresh book.</summary>
public sealed partial class TourTests(TestDatabase database)
{
    [Theory]
    [InlineData("README.md", 5)]
    public async Task The_calls_of_a_page_get_the_answers_that_it_shows(string page, int atLeast)
    {
        await using var bank = new BankingApp(database);
        var (shown, received) = (Path.Combine(Repository.Folder, page), Path.Combine(Repository.Folder, Path.ChangeExtension(page, ".received.md")));
        var readme = await File.ReadAllTextAsync(shown);
        var (real, end, calls) = (new StringBuilder(), 0, 0);

        foreach (Match call in Curl().Matches(readme))
        {
            var reply = await bank.SendAsync(ToMessage(call.Groups["arguments"].Value));
            var answer = call.Groups["answer"];
            real.Append(readme, end, answer.Index - end).Append($"{(int)reply.Status}  {reply.Text}");
            end = answer.Index + answer.Length;
            calls++;
        }

        calls.Should().BeGreaterThanOrEqualTo(atLeast);
        Answer().Count(readme).Should().Be(calls, "each answer has its call");
        real.Append(readme, end, readme.Length - end);
        var changed = Timeless($"{real}").Split('\n').Zip(Timeless(readme).Split('\n')).Where(lines => lines.First != lines.Second).ToList();
        if (changed.Count > 0)
        {
            await File.WriteAllTextAsync(received, $"{real}");
            Assert.Fail($"Answers have changed: {changed[0]}. Where that is meant, move {received} to {shown} and commit it.");
        }
    }

    [Fact]
    public async Task The_http_file_runs_twice_and_only_what_it_calls_a_refusal_is_refused()
    {
        await using var bank = new BankingApp(database);
        var file = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, "Banking.Api", "Banking.Api.http"));
        var (variables, requests) = (new Dictionary<string, string> { ["token"] = "none", ["host"] = "" }, file.Split("\n### ")[1..]);

        for (var run = 0; run < 2; run++)
        {
            foreach (var (title, lines) in requests.Select(request => (request.Split('\n')[0], request.Split('\n')[1..])))
            {
                var name = lines.FirstOrDefault(line => line.StartsWith("# @name ", StringComparison.Ordinal))?[8..];
                var parts = Filled(string.Join('\n', lines.Where(line => !line.StartsWith('#'))), variables).Trim().Split("\n\n", 2);
                var head = parts[0].Split('\n');
                var (request, target) = (new HttpRequestMessage(), head[0].Split(' '));
                (request.Method, request.RequestUri) = (new(target[0]), new(target[1], UriKind.Relative));
                request.Content = parts.Length > 1 && parts[1].Length > 0 ? new StringContent(parts[1], Encoding.UTF8, "application/json") : null;
                foreach (var header in head[1..].Select(line => line.Split(": ", 2)).Where(header => header[0] != "Content-Type"))
                {
                    request.Headers.Add(header[0], header[1]);
                    variables[$"{name}.request.headers.{header[0]}"] = header[1];
                }

                var reply = await bank.SendAsync(request);

                ((int)reply.Status >= 400).Should().Be(title.StartsWith("A refusal", StringComparison.Ordinal), "{0}: {1}", title, reply.Text);
                reply.Code.Should().NotBe("idempotency_key_reused").And.NotBe("validation_failed");
                reply.Replayed.Should().Be(title.StartsWith("A retry", StringComparison.Ordinal), title);
                foreach (var member in name is null ? [] : reply.Body.EnumerateObject().ToList())
                {
                    variables[$"{name}.response.body.$.{member.Name}"] = member.Value.ToString();
                }
            }
        }

        requests.Should().HaveCountGreaterThan(15);
    }

    /// <summary>Puts in the values of variables, and a new one for each {{$guid}}.</summary>
    private static string Filled(string text, Dictionary<string, string> variables) =>
        Variable().Replace(text, match => match.Groups[1].Value == "$guid" ? $"{Guid.NewGuid()}" : variables[match.Groups[1].Value]);

    /// <summary>The request of curl's arguments, as a shell reads them.</summary>
    private static HttpRequestMessage ToMessage(string arguments)
    {
        var words = Word().Matches(arguments).Select(word => word.Value.Trim('\'')).ToList();
        var body = words.IndexOf("-d") is var data and >= 0 ? words[data + 1] : null;
        var request = new HttpRequestMessage(body is null ? HttpMethod.Get : HttpMethod.Post, words[0].Replace("localhost:8080", "", StringComparison.Ordinal));
        request.Content = body is null ? null : new StringContent(body, Encoding.UTF8);
        foreach (var header in words.Index().Where(word => word.Index > 0 && words[word.Index - 1] == "-H").Select(word => word.Item.Split(": ", 2)))
        {
            request.Content?.Headers.Remove(header[0]);
            _ = request.Headers.TryAddWithoutValidation(header[0], header[1]) || request.Content!.Headers.TryAddWithoutValidation(header[0], header[1]);
        }

        return request;
    }

    private static string Timeless(string text) => NewEachTime().Replace(text, "\"$1\":\"\"");

    // A call, and its answer on the next line but one.
    [GeneratedRegex(@"^    curl (?<arguments>(?:.*\\\n)*.*)\n\n    (?<answer>[0-9]{3}  \{.*\})$", RegexOptions.Multiline)]
    private static partial Regex Curl();

    [GeneratedRegex(@"^    [0-9]{3}  \{.*\}$", RegexOptions.Multiline)]
    private static partial Regex Answer();

    [GeneratedRegex(@"'[^']*'|[^\s\\]+")]
    private static partial Regex Word();

    [GeneratedRegex(@"""(created_at|hash|trace_id)"":""[^""]*""")]
    private static partial Regex NewEachTime();

    [GeneratedRegex(@"\{\{([^}]+)\}\}")]
    private static partial Regex Variable();
}
