using System.Text;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The calls that pages and the .http file show work on a fresh book, in the order in which they are shown.</summary>
public sealed partial class TourTests(TestDatabase database)
{
    [Theory]
    [InlineData("README.md")]
    [InlineData("docs/api.md")]
    public async Task The_calls_of_a_page_get_the_answers_that_it_shows(string page)
    {
        await using var bank = new BankingApp(database);
        var shown = Path.Combine(Repository.Folder, page);
        var received = Path.ChangeExtension(shown, ".received.md");
        var text = await File.ReadAllTextAsync(shown);
        var (real, end, calls) = (new StringBuilder(), 0, 0);

        foreach (Match call in Curl().Matches(text))
        {
            var reply = await bank.SendAsync(ToMessage(call.Groups["arguments"].Value));
            var answer = call.Groups["answer"];
            real.Append(text, end, answer.Index - end).Append($"{(int)reply.Status}  {reply.Text.Replace(bank.Book.Schema, "banking")}");
            end = answer.Index + answer.Length;
            calls++;
        }

        calls.Should().BePositive();
        Answer().Count(text).Should().Be(calls, "each answer has its call");
        real.Append(text, end, text.Length - end);
        var changed = Timeless($"{real}").Split('\n').Zip(Timeless(text).Split('\n')).Where(lines => lines.First != lines.Second).ToList();
        if (changed.Count > 0)
        {
            await File.WriteAllTextAsync(received, $"{real}");
            Assert.Fail($"Answers have changed: {changed[0]}. If that is intended, move {received} to {shown} and commit it.");
        }
    }

    [Fact]
    public async Task Every_call_of_the_api_is_shown_in_its_page_and_in_the_http_file()
    {
        await using var bank = new BankingApp(database);
        var calls = Operation.In((await bank.GetAsync("/openapi/v1.json")).Body).Select(operation => $"{operation.Method} {operation.Path}");
        var page = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, "docs", "api.md"));
        var file = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, "Banking.Api", "Banking.Api.http"));

        var inPage = Curl().Matches(page).Select(call => ToMessage(call.Groups["arguments"].Value)).Select(call => $"{call.Method} {call.RequestUri}".Split('?')[0]);
        var inFile = RequestLine().Matches(file).Select(line => $"{line.Groups["method"]} {line.Groups["path"]}");

        inPage.Distinct().Should().BeEquivalentTo(calls);
        inFile.Distinct().Should().BeEquivalentTo(calls);
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

        requests.Should().NotBeEmpty();
    }

    /// <summary>Replaces variables by their values, and those that REST Client makes: a new id, the time, and the time a day ago.</summary>
    private static string Filled(string text, Dictionary<string, string> variables) => Variable().Replace(text, match => match.Groups[1].Value switch
    {
        "$guid" => $"{Guid.NewGuid()}",
        "$datetime iso8601" => Now(),
        "$datetime iso8601 -1 d" => Now(-1),
        var name => variables[name],
    });

    /// <summary>The request that curl sends for these arguments. The shell has put in the time, and the date: of the day before, as this day may just have begun.</summary>
    private static HttpRequestMessage ToMessage(string arguments)
    {
        var timed = arguments.Replace("$(date -u +%FT%TZ)", Now(), StringComparison.Ordinal).Replace("$(date -u +%F)", Now(-1)[..10], StringComparison.Ordinal);
        var words = Word().Matches(timed).Select(word => word.Value.Trim('\'', '"')).ToList();
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

    private static string Now(int days = 0) => DateTime.UtcNow.AddDays(days).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");

    private static string Timeless(string text) => NewEachTime().Replace(text, "\"$1\":\"\"");

    // A call, an empty line and the answer.
    [GeneratedRegex(@"^    curl (?<arguments>(?:.*\\\n)*.*)\n\n    (?<answer>[0-9]{3}  [{[].*[]}])$", RegexOptions.Multiline)]
    private static partial Regex Curl();

    [GeneratedRegex(@"^    [0-9]{3}  [{[].*[]}]$", RegexOptions.Multiline)]
    private static partial Regex Answer();

    [GeneratedRegex(@"'[^']*'|""[^""]*""|[^\s\\]+")]
    private static partial Regex Word();

    [GeneratedRegex(@"""(created_at|expires_at|at|from|to|time|hash|trace_id)"":""[^""]*""")]
    private static partial Regex NewEachTime();

    [GeneratedRegex(@"^(?<method>[A-Z]+) \{\{host\}\}(?<path>/api/\w+)", RegexOptions.Multiline)]
    private static partial Regex RequestLine();

    [GeneratedRegex(@"\{\{([^}]+)\}\}")]
    private static partial Regex Variable();
}
