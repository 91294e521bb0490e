using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The largest pages and the worst bodies at once fit in the memory of a small container.</summary>
public sealed class MemoryTests(TestDatabase database)
{
    private const int ContainerMegabytes = 512;
    private const int BodyLimit = 1024 * 1024;

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Twenty_readers_of_the_largest_pages_beside_fifty_hostile_bodies_fit_in_a_container_of_512_MB()
    {
        // In a container .NET uses three quarters of the limit.
        await using var service = new ServiceProcess(
            database.ConnectionString, $"book_{Guid.NewGuid():N}",
            ("DOTNET_GCHeapHardLimit", $"0x{ContainerMegabytes * 1024L * 1024 * 3 / 4:X}"),
            ("Logging__LogLevel__Microsoft.AspNetCore.Server.Kestrel", "Debug")); // says why a connection is cut
        await service.StartAsync();
        using var http = new HttpClient { BaseAddress = service.Address };
        var account = await service.OpenAsync();
        await Parallel.ForEachAsync(Enumerable.Range(0, 510), new ParallelOptions { MaxDegreeOfParallelism = 20 }, async (_, _) =>
            (await service.PostAsync("/api/deposit", new { account_id = account, amount = "1", reference = Largest.Reference, metadata = Largest.Metadata })).ShouldBeCreated());
        var (idle, since) = (service.Megabytes("VmHWM"), Stopwatch.GetTimestamp());

        var answers = new ConcurrentBag<(string Call, HttpStatusCode Status)>();
        var cut = new ConcurrentBag<string>();
        var readers = Enumerable.Range(0, 20).Select(_ => Task.Run(async () =>
        {
            while (Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(8))
            {
                using var page = await http.GetAsync(new Uri($"/api/transaction_history?account_id={account}&limit=500", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
                try
                {
                    await page.Content.CopyToAsync(Stream.Null);
                    answers.Add(("page", page.StatusCode));
                }
                catch (HttpRequestException exception)
                {
                    cut.Add($"{Stopwatch.GetElapsedTime(since).TotalSeconds:F1} s: {exception.InnerException?.Message ?? exception.Message}");
                }
            }
        }));
        var writers = Enumerable.Range(0, 50).Select(writer => Task.Run(async () =>
        {
            for (var round = writer; Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(8); round++)
            {
                var (call, body) = Hostile[round % Hostile.Length];
                using var content = new StringContent(body, Encoding.UTF8, "application/json");
                using var answer = await http.PostAsync(new Uri($"/api/{call}", UriKind.Relative), content);
                answers.Add(("body", answer.StatusCode));
            }
        }));
        await Task.WhenAll([.. readers, .. writers]);

        var peak = service.Megabytes("VmHWM");
        Report.Write(
            $"{idle} MB before, {peak} MB at most; "
            + string.Join(", ", answers.CountBy(answer => answer).Select(count => $"{count.Value} times {(int)count.Key.Status} for a {count.Key.Call}").Order()));
        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        service.Errors.Should().BeEmpty();
        cut.Should().BeEmpty("the service said: {0}", string.Join('\n', service.Lines.Where(line => line.Contains("Kestrel")).TakeLast(200)));
        answers.Where(answer => answer.Call == "body").Should().OnlyContain(answer => answer.Status == HttpStatusCode.BadRequest);
        answers.Where(answer => answer.Call == "page").Should().OnlyContain(answer => answer.Status == HttpStatusCode.OK || answer.Status == HttpStatusCode.ServiceUnavailable)
            .And.Contain(answer => answer.Status == HttpStatusCode.OK);
        peak.Should().BeLessThan(ContainerMegabytes);
    }

    /// <summary>Bodies of the largest allowed size.</summary>
    private static readonly (string Call, string Body)[] Hostile =
    [
        ("deposit", Filled("""{"account_id":1,"amount":"1","metadata":{""", i => $"\"{i:x}\":\"\",", "\"\":\"\"}}")),
        ("transaction", Filled("""{"from_account_id":1,"to_account_id":2,"amount":"1","metadata":{""", i => $"\"{i:x}\":\"\",", "\"\":\"\"}}")),
        ("deposit", Filled("""{"account_id":1,"amount":"1","metadata":{"k":""", _ => "[", "")),
        ("deposit", Filled("""{"account_id":1,"amount":"1","metadata":{"k":[""", _ => "{},", "{}]}}")),
        ("deposit", Filled("""{"account_id":1,"amount":"1","metadata":{"k":" """, _ => "v", "\"}}")),
        ("deposit", Filled("""{"account_id":1,"amount":"1","metadata":{" """, _ => "\\u0001", "\":\"\"}}")),
        ("deposit", Filled("""{"account_id":1,"amount":"1","reference":" """, _ => "r", "\"}")),
        ("create_account", Filled("{\"owner_name\":\"", _ => "🦊", "\"}")),
        ("deposit", Filled("", _ => "[", "")),
        ("deposit", Filled("{\"amount\":\"", _ => "1", "\"}")),
    ];

    private static string Filled(string begin, Func<int, string> filling, string end)
    {
        var body = new StringBuilder(begin);
        for (var (i, left) = (0, BodyLimit - Encoding.UTF8.GetByteCount(begin + end)); ; i++)
        {
            var more = filling(i);
            if ((left -= Encoding.UTF8.GetByteCount(more)) < 0)
            {
                return body.Append(end).ToString();
            }

            body.Append(more);
        }
    }

    /// <summary>The largest metadata: each of its characters takes six bytes in JSON.</summary>
    private static class Largest
    {
        public static readonly string Reference = string.Concat(Enumerable.Repeat("🦊", 140));
        public static readonly Dictionary<string, string> Metadata = Enumerable.Range(10, 20).ToDictionary(i => $"{i}", i => new string('\u0001', i == 10 ? 419 : 407));
    }
}
