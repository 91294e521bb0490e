using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Banking.Tests;

/// <summary>A client that writes HTTP by hand, for what .NET's own client never sends: half requests, bad headers, hang-ups.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly TcpClient connection;

    private RawClient(int receiveBuffer) => connection = new() { ReceiveBufferSize = receiveBuffer };

    /// <exception cref="SocketException">The service lets nobody in.</exception>
    public static async Task<RawClient> ConnectAsync(BankingClient service, int receiveBuffer = 65_536)
    {
        var client = new RawClient(receiveBuffer);
        try
        {
            await client.connection.ConnectAsync(service.Http.BaseAddress!.Host, service.Http.BaseAddress.Port);
            return client;
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>The text of a POST, to be sent whole or in part.</summary>
    public static string Post(string call, string body, params string[] headers) =>
        $"POST /api/{call} HTTP/1.1\r\nHost: bank\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n"
        + $"{string.Concat(headers.Select(header => $"{header}\r\n"))}\r\n{body}";

    /// <summary>Returns false if the service has hung up before it read everything.</summary>
    public async Task<bool> SendAsync(string text)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(25));
        try
        {
            await connection.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text), deadline.Token);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Returns when the service sends something, or false when it has hung up.</summary>
    public async Task<bool> IsAnsweredAsync()
    {
        try
        {
            return await connection.GetStream().ReadAsync(new byte[1_000]) > 0;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Everything that the service sends until it hangs up.</summary>
    public async Task<string> AnswersAsync(int seconds = 25) // less than the framework's own limits
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        using var answers = new MemoryStream();
        try
        {
            await connection.GetStream().CopyToAsync(answers, deadline.Token);
        }
        catch (IOException)
        {
            // The service hung up before it read everything.
        }

        return Encoding.UTF8.GetString(answers.ToArray());
    }

    /// <summary>The one answer that the service sends before it hangs up.</summary>
    public async Task<Reply> ReplyAsync()
    {
        var parts = (await AnswersAsync()).Split("\r\n\r\n", 2);
        var lines = parts[0].Split("\r\n");
        using var response = new HttpResponseMessage((HttpStatusCode)int.Parse(lines[0].Split(' ')[1], null));
        foreach (var header in lines.Skip(1).Select(line => line.Split(": ", 2)))
        {
            _ = response.Headers.TryAddWithoutValidation(header[0], header[1]) || response.Content.Headers.TryAddWithoutValidation(header[0], header[1]);
        }

        return new(response.StatusCode, response.Headers, response.Content.Headers.ContentType?.MediaType, parts[1]);
    }

    /// <summary>Hangs up with a reset, which the service notices at once; Dispose hangs up politely.</summary>
    public void Reset()
    {
        connection.LingerState = new(enable: true, seconds: 0);
        connection.Dispose();
    }

    public void Dispose() => connection.Dispose();
}
