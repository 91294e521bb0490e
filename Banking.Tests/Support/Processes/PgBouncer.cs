using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Banking.Tests;

/// <summary>A PgBouncer with its default settings between a test and its PostgreSQL.</summary>
internal sealed class PgBouncer : IAsyncDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"cbp-{Guid.NewGuid().ToString("N")[..8]}")); // others may read it
    private readonly PostgresServer server;
    private readonly string program;
    private readonly int port = Ports.Free();
    private Process? process;

    private PgBouncer(string program, PostgresServer server) => (this.program, this.server) = (program, server);

    public string ConnectionString => server.ConnectionString.Replace($"Port={server.Port}", $"Port={port}", StringComparison.Ordinal);

    private string Settings => Path.Combine(folder.FullName, "pgbouncer.ini");

    public static async Task<PgBouncer> StartAsync(PostgresServer server, string mode, params string[] settings)
    {
        var program = Run.Find("pgbouncer") ?? (File.Exists("/usr/sbin/pgbouncer") ? "/usr/sbin/pgbouncer" : null);
        Assert.SkipWhen(program is null, "There is no PgBouncer on this machine.");
        var pooler = new PgBouncer(program, server);
        await pooler.SetAsync(mode, settings);
        await pooler.StartAsync();
        return pooler;
    }

    /// <summary>Writes its settings. A running one reads them after <see cref="ReloadAsync"/>.</summary>
    public async Task SetAsync(string mode, params string[] settings)
    {
        var users = Path.Combine(folder.FullName, "users");
        await File.WriteAllTextAsync(users, "\"postgres\" \"\"\n");
        await File.WriteAllLinesAsync(Settings,
        [
            "[databases]", $"* = host=127.0.0.1 port={server.Port}",
            "[pgbouncer]", "listen_addr = 127.0.0.1", $"listen_port = {port}", "unix_socket_dir =", "auth_type = trust", $"auth_file = {users}", $"pool_mode = {mode}",
            .. settings,
        ]);
    }

    public async Task StartAsync()
    {
        process = Process.Start(new ProcessStartInfo(program, ["-q", Settings])
        {
            UserName = Environment.IsPrivilegedProcess ? "postgres" : "", // it refuses to run as root
            WorkingDirectory = "/",
        });
        await Wait.UntilAsync(IsListening);
    }

    public Task ReloadAsync() => Run.ToEndAsync(new("kill", ["-HUP", $"{process!.Id}"]));

    /// <summary>Stops it at once: all connections break.</summary>
    public async Task StopAsync()
    {
        process!.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
        process = null;
    }

    private bool IsListening()
    {
        using var client = new TcpClient();
        try
        {
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (process is not null)
        {
            await StopAsync();
        }

        folder.Delete(recursive: true);
    }
}
