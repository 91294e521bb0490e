using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Npgsql;

namespace Banking.Tests;

/// <summary>What happens to a commit that passes the proxy.</summary>
public enum Fault
{
    /// <summary>The connection is cut before the server hears of the commit.</summary>
    CutBeforeCommit,

    /// <summary>The server has committed and said so. The connection is cut before the client hears it.</summary>
    CutAfterCommit,

    /// <summary>The server has committed and said so. The client does not hear it, and gets no connection until the next call of Break.</summary>
    DownAfterCommit,

    /// <summary>The server has committed and said so. The client never hears that, nor anything else on this connection.</summary>
    SilenceAfterCommit,
}

/// <summary>A proxy between the service and PostgreSQL. It passes every message on. On demand it breaks the next commits, or hangs.</summary>
internal sealed class CommitProxy : IAsyncDisposable
{
    private readonly NpgsqlConnectionStringBuilder server;
    private readonly TcpListener listener;
    private readonly CancellationTokenSource closed = new();
    private readonly Task accepting;
    private readonly Lock planning = new();
    private readonly Queue<Fault?> plan = [];
    private int faults;
    private int? resultsBeforeCut;
    private volatile bool down;
    private readonly TaskCompletionSource connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile TaskCompletionSource passing = new();

    /// <summary>Without a port, it takes a free one.</summary>
    public CommitProxy(string connectionString, int port = 0)
    {
        listener = new(IPAddress.Loopback, port);
        server = new(connectionString);
        passing.SetResult();
        listener.Start();
        ConnectionString = new NpgsqlConnectionStringBuilder(connectionString)
        {
            Host = $"{IPAddress.Loopback}",
            Port = Port,
            SslMode = SslMode.Disable,
            GssEncryptionMode = GssEncryptionMode.Disable,
        }.ConnectionString;
        accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>Connects to the server through this proxy.</summary>
    public string ConnectionString { get; }

    /// <summary>How many commits were broken.</summary>
    public int Faults => Volatile.Read(ref faults);

    /// <summary>Returns when somebody has connected.</summary>
    public Task ConnectedAsync() => connected.Task.WaitAsync(TimeSpan.FromSeconds(60));

    /// <summary>Breaks the next commits, each with its fault, after the spared ones.</summary>
    public void Break(IEnumerable<Fault> commits, int spared = 0)
    {
        lock (planning)
        {
            plan.Clear();
            down = false;
            foreach (var fault in Enumerable.Repeat((Fault?)null, spared).Concat(commits.Select(fault => (Fault?)fault)))
            {
                plan.Enqueue(fault);
            }
        }
    }

    /// <summary>In the next transaction, lets that many results pass and cuts the connection after the first row of the next one.</summary>
    public void CutInResult(int results)
    {
        lock (planning)
        {
            resultsBeforeCut = results;
        }
    }

    /// <summary>From now on nothing passes in either direction and no connection is closed, as if the server hangs.</summary>
    public void Hang() => passing = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Passes on what was held back, and everything after it.</summary>
    public void GoOn() => passing.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await closed.CancelAsync();
        listener.Dispose();
        await accepting;
        closed.Dispose();
    }

    private Fault? Next()
    {
        lock (planning)
        {
            return plan.TryDequeue(out var fault) ? fault : null;
        }
    }

    private int? NextCut()
    {
        lock (planning)
        {
            var next = resultsBeforeCut;
            resultsBeforeCut = null;
            return next;
        }
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(ServeAsync(await listener.AcceptSocketAsync(closed.Token)));
                connected.TrySetResult();
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ServeAsync(Socket accepted)
    {
        using var client = accepted;
        if (down)
        {
            return;
        }

        using var upstream = server.Host!.StartsWith('/')
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp);
        await upstream.ConnectAsync(server.Host.StartsWith('/')
            ? new UnixDomainSocketEndPoint($"{server.Host}/.s.PGSQL.{server.Port}")
            : new DnsEndPoint(server.Host, server.Port));
        using var cut = CancellationTokenSource.CreateLinkedTokenSource(closed.Token);
        Fault? fault = null;
        await Task.WhenAll(PassAsync(RequestsAsync), PassAsync(AnswersAsync));

        // When one side ends, both connections end at once.
        async Task PassAsync(Func<NetworkStream, NetworkStream, Task> pass)
        {
            try
            {
                await using var fromClient = new NetworkStream(client);
                await using var fromServer = new NetworkStream(upstream);
                await pass(fromClient, fromServer);
            }
            catch (Exception exception) when (exception is IOException or OperationCanceledException)
            {
            }
            finally
            {
                await cut.CancelAsync();
            }
        }

        async Task RequestsAsync(NetworkStream fromClient, NetworkStream toServer)
        {
            // The first messages have no type byte. Some clients ask for encryption first; the answer is no.
            byte[] first;
            while (AsksForEncryption(first = await MessageAsync(fromClient, typed: false)))
            {
                await WriteAsync(fromClient, "N"u8.ToArray());
            }

            await WriteAsync(toServer, first);
            var commits = new HashSet<string>();
            while (true)
            {
                var message = await MessageAsync(fromClient, typed: true);
                if (IsCommit(message, commits) && (fault = Next()) is not null)
                {
                    Interlocked.Increment(ref faults);
                    if (fault == Fault.CutBeforeCommit)
                    {
                        return;
                    }
                }

                await WriteAsync(toServer, message);
            }
        }

        async Task AnswersAsync(NetworkStream toClient, NetworkStream fromServer)
        {
            int? left = null;
            while (true)
            {
                var message = await MessageAsync(fromServer, typed: true);
                if ((char)message[0] == 'C')
                {
                    left = Text(message, 5) == "BEGIN" ? NextCut() : left - 1;
                }
                else if ((char)message[0] == 'D' && left == 0)
                {
                    Interlocked.Increment(ref faults);
                    await WriteAsync(toClient, message);
                    return;
                }

                if (fault is not null && (char)message[0] == 'C' && Text(message, 5) == "COMMIT")
                {
                    if (fault == Fault.SilenceAfterCommit)
                    {
                        await Task.Delay(Timeout.Infinite, cut.Token);
                    }

                    down = fault == Fault.DownAfterCommit;
                    return;
                }

                await WriteAsync(toClient, message);
            }
        }

        async Task WriteAsync(NetworkStream stream, byte[] message)
        {
            await passing.Task.WaitAsync(cut.Token);
            await stream.WriteAsync(message, cut.Token);
        }

        async Task<byte[]> MessageAsync(NetworkStream stream, bool typed)
        {
            var type = typed ? 1 : 0;
            var head = new byte[type + 4];
            await stream.ReadExactlyAsync(head, cut.Token);
            var message = new byte[type + BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(type))];
            head.CopyTo(message, 0);
            await stream.ReadExactlyAsync(message.AsMemory(head.Length), cut.Token);
            return message;
        }
    }

    // SSLRequest and GSSENCRequest.
    private static bool AsksForEncryption(byte[] message) => BinaryPrimitives.ReadInt32BigEndian(message.AsSpan(4)) is 80877103 or 80877104;

    // A simple query; or a Bind of a statement that a Parse has prepared.
    private static bool IsCommit(byte[] message, HashSet<string> commits)
    {
        var first = (char)message[0] is 'Q' or 'P' or 'B' ? Text(message, 5) : "";
        switch ((char)message[0])
        {
            case 'Q':
                return first == "COMMIT";
            case 'P' when Text(message, 5 + first.Length + 1) == "COMMIT":
                commits.Add(first);
                return false;
            case 'P':
                commits.Remove(first);
                return false;
            case 'B': // the portal, then the statement
                return commits.Contains(Text(message, 5 + first.Length + 1));
            default:
                return false;
        }
    }

    private static string Text(byte[] message, int from) =>
        Encoding.UTF8.GetString(message, from, Array.IndexOf(message, (byte)0, from) - from);
}
