using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

/// <summary>One book: its service, and the clearing account that stands for the other book.</summary>
internal sealed class Book
{
    private readonly HttpClient http;

    private Book(Uri address, string? token, long clearing)
    {
        http = new() { BaseAddress = address, Timeout = TimeSpan.FromSeconds(30) };
        http.DefaultRequestHeaders.Authorization = token is null ? null : new("Bearer", token);
        Clearing = clearing;
    }

    public long Clearing { get; }

    public static Book Of(string side) => new(
        new(Environment.GetEnvironmentVariable($"{side}_URL")!),
        Environment.GetEnvironmentVariable($"{side}_TOKEN"),
        long.Parse(Environment.GetEnvironmentVariable($"{side}_CLEARING")!, CultureInfo.InvariantCulture));

    /// <summary>Sends a request with its key, again and again until the book has decided. The refusal is null, or the problem's code.</summary>
    /// <exception cref="InvalidOperationException">The service does not take it: the token or the address is wrong.</exception>
    public async Task<(string? Refusal, JsonElement Answer)> PostAsync(string call, string key, object body)
    {
        while (true)
        {
            string reason;
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, $"api/{call}") { Content = JsonContent.Create(body) };
                request.Headers.Add("Idempotency-Key", key);
                using var response = await http.SendAsync(request);
                switch ((int)response.StatusCode)
                {
                    case 201:
                        return (null, await response.Content.ReadFromJsonAsync<JsonElement>());
                    case 400 or 404 or 409 or 422 when response.Content.Headers.ContentType?.MediaType == "application/problem+json":
                        var problem = await response.Content.ReadFromJsonAsync<JsonElement>();
                        return (problem.GetProperty("code").GetString(), problem);
                    case >= 400 and < 500 and not (408 or 429):
                        throw new InvalidOperationException($"{call} was answered with {(int)response.StatusCode}");
                }

                reason = $"{(int)response.StatusCode}";
            }
            catch (Exception lost) when (lost is HttpRequestException or TaskCanceledException or JsonException)
            {
                reason = lost.Message;
            }

            await WaitAsync($"{call}: {reason}");
        }
    }

    public static Task WaitAsync(string reason)
    {
        Console.Error.WriteLine($"{reason}. Retrying with the same key.");
        return Task.Delay(TimeSpan.FromSeconds(1));
    }
}
