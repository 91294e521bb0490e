using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The line per request has a way of its own to standard output. It shows only in what it costs.</summary>
public sealed partial class RequestLogTests(TestDatabase database)
{
    private readonly string book = $"book_{Guid.NewGuid():N}";

    [Theory]
    [InlineData("yyyy-MM-ddTHH:mm:ss.fffZ")]
    [InlineData("'\"<' HH:mm")]
    [InlineData("")]
    public async Task A_line_is_what_the_loggers_own_formatter_writes(string timestampFormat)
    {
        const string Setting = "Logging__Console__FormatterOptions__TimestampFormat";

        var lines = await LinesAsync((Setting, timestampFormat));
        // A log that loses nothing is left to the logger.
        var fromLogger = await LinesAsync((Setting, timestampFormat), ("Logging__Console__QueueFullMode", "Wait"));

        lines.Should().HaveCount(4).And.Equal(fromLogger);
    }

    [Fact]
    public async Task Scopes_are_shown_if_asked_for()
    {
        var lines = await LinesAsync(
            ("Logging__Console__FormatterOptions__IncludeScopes", "true"), ("Logging__LogLevel__Microsoft.AspNetCore.Hosting.Diagnostics", "Warning"));

        lines.Should().HaveCount(4).And.OnlyContain(line => line.Contains("\"Scopes\":[") && line.Contains("\"RequestId\""));
    }

    [Fact]
    public async Task Lines_that_a_stalled_reader_does_not_take_are_dropped_and_counted()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book) { IsHeard = false };
        await service.StartAsync();
        var account = await service.OpenAsync();

        // More lines than the pipe and the buffers hold, of about 350 bytes each.
        for (var round = 0; round < 8; round++)
        {
            var replies = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => service.GetAsync($"/api/get_one_account?account_id={account}")));
            replies.Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        }

        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        var metrics = (await service.GetAsync("/metrics")).Text;
        var dropped = int.Parse(Dropped().Match(metrics).Groups[1].Value, CultureInfo.InvariantCulture);
        dropped.Should().BePositive();
        var heard = service.HearAsync();
        await service.SaidAsync($"{dropped} log lines were dropped");

        (await service.StopAsync()).Should().Be(0);
        await heard;

        service.Lines.Count(line => line.Contains("\"Milliseconds\":")).Should().Be(8_002 - dropped);
        service.Lines.Should().OnlyContain(line => line.StartsWith('{') && line.EndsWith('}'));
    }

    [Theory]
    [InlineData(">/dev/full")] // a disk without room
    [InlineData(">&-")]
    public async Task An_output_that_takes_nothing_stops_no_call(string redirection)
    {
        await using var service = new ServiceProcess(database.ConnectionString, book) { Redirection = redirection };
        await service.MakeBookAsync();
        service.Start();
        await Wait.UntilAsync(() => IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(listener => listener.Port == service.Address.Port));

        var account = await service.OpenAsync();
        (await service.DepositAsync(account, "1")).ShouldBeCreated();

        await Wait.UntilAsync(async () => Dropped().Match((await service.GetAsync("/metrics")).Text) is { Success: true } dropped && dropped.Groups[1].Value != "0");
        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        (await service.StopAsync()).Should().Be(0);
    }

    [Fact]
    public async Task The_end_of_the_process_loses_no_line()
    {
        await using var service = new ServiceProcess(database.ConnectionString, book, ("Banking__DrainSeconds", "0"));
        await service.StartAsync();
        var account = await service.OpenAsync();
        var replies = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => service.GetAsync($"/api/get_one_account?account_id={account}")));

        await service.StopAsync();

        service.Lines.Where(line => line.Contains("get_one_account 200")).Select(line => Trace().Match(line).Value)
            .Should().BeEquivalentTo(replies.Select(reply => reply.TraceId));
    }

    /// <summary>The lines of four calls, one of each kind, without what differs from run to run.</summary>
    private async Task<List<string>> LinesAsync(params (string Name, string Value)[] settings)
    {
        await using var service = new ServiceProcess(database.ConnectionString, $"book_{Guid.NewGuid():N}", settings);
        await service.StartAsync();
        var account = await service.OpenAsync();
        (await service.DepositAsync(account, "1")).ShouldBeCreated();
        (await service.GetAsync("/api/get_one_account?account_id=77")).ShouldBeProblem(404, "account_not_found");
        (await service.GetAsync("/secret")).ShouldBeProblem(404, "not_found");
        await service.StopAsync();
        return [.. service.Lines.Where(line => line.Contains("Banking.Api.Requests")).Select(line => Varying().Replace(line, "*"))];
    }

    [GeneratedRegex(@"\d+(\.\d+)?(?= ms)|(?<=""Milliseconds"":)[\d.]+|[0-9a-f]{32}|\d\d:\d\d(:\d\d(\.\d+)?)?")]
    private static partial Regex Varying();

    [GeneratedRegex(@"(?<=, trace )[0-9a-f]{32}")]
    private static partial Regex Trace();

    [GeneratedRegex(@"\nbanking_log_dropped_total(?:\{.*\})? (\d+)")]
    private static partial Regex Dropped();
}
