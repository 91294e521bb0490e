using System.Net;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Which of its two forms the list of events has.</summary>
public sealed class EventsAcceptTests(SharedBank shared) : IClassFixture<SharedBank>
{
    [Theory]
    [InlineData(null, false)]
    [InlineData("*/*", false)]
    [InlineData("application/json", false)]
    [InlineData("application/*", false)]
    [InlineData("text/html", false)]
    [InlineData("text/event-stream", true)]
    [InlineData("Text/Event-Stream; charset=utf-8", true)]
    [InlineData("text/*", true)]
    [InlineData("text/event-stream, */*", true)]
    [InlineData("*/*;q=0.5, text/event-stream", true)]
    [InlineData("application/json, text/event-stream", false)]
    [InlineData("application/json;q=0.5, text/event-stream", true)]
    [InlineData("application/cloudevents-batch+json, text/event-stream;q=0.9", false)]
    [InlineData("text/event-stream;q=0", false)]
    [InlineData("text/event-streams", false)]
    [InlineData("nonsense", false)]
    public async Task The_accept_header_chooses_between_a_page_and_a_stream(string? accept, bool isStream)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/events");
        request.Headers.TryAddWithoutValidation("Accept", accept);

        using var response = await shared.App.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);

        response.StatusCode.Should().Be(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.MediaType.Should().Be(isStream ? "text/event-stream" : "application/cloudevents-batch+json");
    }
}
