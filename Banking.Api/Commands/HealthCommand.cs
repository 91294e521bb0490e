namespace Banking.Api;

/// <summary>The subcommand <c>health</c>: the image's health check. The image has no shell to run another.</summary>
internal static class HealthCommand
{
    private const string Usage = """
        health
          Asks the service in this container, at ASPNETCORE_URLS or ASPNETCORE_HTTP_PORTS, whether it is ready.
        Exit codes: 0 (ready), 1 (not ready, or no answer), 2 (wrong options).
        """;

    public static async Task<int> RunAsync(string[] options)
    {
        switch (options)
        {
            case []:
                break;
            case ["--help"]:
                Console.WriteLine(Usage);
                return 0;
            default:
                return await Commands.RefuseAsync("health", options[0], Usage);
        }

        var address = Environment.GetEnvironmentVariable("ASPNETCORE_URLS")?.Split(';').FirstOrDefault(url => url.StartsWith("http://", StringComparison.Ordinal))
            ?? $"http://*:{Environment.GetEnvironmentVariable("ASPNETCORE_HTTP_PORTS")?.Split(';')[0] ?? "8080"}";
        var binding = BindingAddress.Parse(address);
        var host = binding.Host is "*" or "+" or "0.0.0.0" or "[::]" ? "localhost" : binding.Host;
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(3) };
        try
        {
            using var answer = await client.GetAsync(new Uri($"http://{host}:{binding.Port}/health/ready"));
            Console.WriteLine(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            await Console.Error.WriteLineAsync($"No answer from {host}:{binding.Port}: {exception.Message}");
            return 1;
        }
    }
}
