using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Banking.Tests;

/// <summary>Which way bytes go.</summary>
[Flags]
public enum Way
{
    None,
    ToServer = 1,
    ToClient = 2,
    Both = ToServer | ToClient,
}

/// <summary>
/// A network between the service and PostgreSQL. Every byte arrives half a round trip later, and any number may be under way. On
/// demand connections fall silent, of which neither side hears, or are reset.
/// </summary>
internal sealed class NetworkProxy : IDisposable
{
    private volatile IPEndPoint server;
    private readonly TcpListener listener;
    private readonly long delay;
    private readonly ConcurrentDictionary<Link, bool> links = [];
    private volatile Way silentFromStart;
    private int accepted;

    /// <summary>Without a port, it takes a free one.</summary>
    public NetworkProxy(IPEndPoint server, TimeSpan roundTrip, int port = 0)
    {
        (this.server, delay) = (server, (long)(roundTrip.TotalSeconds / 2 * Stopwatch.Frequency));
        listener = new(IPAddress.Loopback, port);
        listener.Start();
        Start(Accept);
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>How many connections were opened so far.</summary>
    public int Accepted => Volatile.Read(ref accepted);

    /// <summary>Lets the open connections pass nothing this way. They stay open. New ones are accepted; they may be as silent.</summary>
    public void Silence(Way way, bool alsoNew)
    {
        silentFromStart = alsoNew ? way : Way.None;
        foreach (var link in links.Keys)
        {
            link.Silent = way;
        }
    }

    /// <summary>Passes on what was held back, even where its sender has given up, and everything after it.</summary>
    public void GoOn() => Silence(Way.None, alsoNew: false);

    /// <summary>Resets all connections. What is under way is lost, and both sides hear of it at once.</summary>
    public void Reset()
    {
        foreach (var link in links.Keys)
        {
            link.Reset();
        }
    }

    /// <summary>Leads to another server from now on, and resets all connections, as an address does that moves at a failover.</summary>
    public void MoveTo(IPEndPoint next)
    {
        server = next;
        Reset();
    }

    public void Dispose()
    {
        listener.Dispose();
        Reset();
    }

    // Threads, because a task cannot wait for less than a millisecond.
    private static void Start(Action run) => new Thread(() =>
    {
        try
        {
            run();
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // One side is gone.
        }
    })
    { IsBackground = true }.Start();

    private void Accept()
    {
        while (true)
        {
            var link = new Link(listener.AcceptSocket()) { Silent = silentFromStart };
            Interlocked.Increment(ref accepted);
            links.TryAdd(link, true);
            try
            {
                link.Server.Connect(server);
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                links.TryRemove(link, out _);
                link.Reset();
                continue;
            }

            Pass(link, link.Client, link.Server, Way.ToServer);
            Pass(link, link.Server, link.Client, Way.ToClient);
        }
    }

    private void Pass(Link link, Socket from, Socket to, Way way)
    {
        var underWay = new BlockingCollection<(long Due, byte[] Bytes)>();
        Start(() =>
        {
            var buffer = new byte[65_536];
            try
            {
                for (int received; (received = from.Receive(buffer)) > 0;)
                {
                    underWay.Add((Stopwatch.GetTimestamp() + delay, buffer[..received]));
                }
            }
            finally
            {
                underWay.Add((Stopwatch.GetTimestamp() + delay, []));
            }
        });
        Start(() =>
        {
            try
            {
                foreach (var (due, bytes) in underWay.GetConsumingEnumerable())
                {
                    for (long left; !link.IsClosed && ((left = due - Stopwatch.GetTimestamp()) > 0 || link.Silent.HasFlag(way));)
                    {
                        Sleep(left > 0 ? (uint)Math.Clamp(left * 1_000_000 / Stopwatch.Frequency, 10, 1_000) : 1_000);
                    }

                    if (bytes.Length == 0 || to.Send(bytes) == 0)
                    {
                        return;
                    }
                }
            }
            finally
            {
                links.TryRemove(link, out _);
                link.Dispose();
            }
        });
    }

    [DllImport("libc", EntryPoint = "usleep")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern void Sleep(uint microseconds);

    /// <summary>A connection, as both sides have it.</summary>
    private sealed class Link(Socket client) : IDisposable
    {
        public volatile Way Silent;
        private volatile bool isClosed;

        /// <summary>One way has ended, and with it the other.</summary>
        public bool IsClosed => isClosed;

        public Socket Client { get; } = Sending(client);

        public Socket Server { get; } = Sending(new(SocketType.Stream, ProtocolType.Tcp));

        public void Reset()
        {
            isClosed = true;
            Client.Close(timeout: 0);
            Server.Close(timeout: 0);
        }

        public void Dispose()
        {
            isClosed = true;
            Client.Dispose();
            Server.Dispose();
        }

        private static Socket Sending(Socket socket)
        {
            socket.NoDelay = true;
            return socket;
        }
    }
}
