using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Banking.Data;

namespace Banking.Tests;

/// <summary>A PostgreSQL for one test, made from the machine's server binaries, that the test may crash and start again. It ends with the test, even if the test is killed.</summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private readonly string binaries;
    private readonly Process keeper;

    private PostgresServer(string binaries, string folder)
    {
        (this.binaries, Folder, Port) = (binaries, folder, Ports.Free());
        keeper = Process.Start(As(new(
            "/bin/sh", ["-c", "trap '' INT TERM; cat >/dev/null; \"$0\" stop -D \"$1\" -m immediate; rm -rf \"$1\" \"$1.wal\"", Path.Combine(binaries, "pg_ctl"), folder])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        }))!;
    }

    public string Folder { get; }

    /// <summary>The archive of its WAL, if it is started with <c>archive_mode = on</c>.</summary>
    public string Archive => $"{Folder}.wal";

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    public string ConnectionString => $"Host=127.0.0.1;Port={Port};Username=postgres;Database=postgres;SSL Mode=Disable;GSS Encryption Mode=Disable";

    /// <summary>A certificate that signs itself.</summary>
    public static X509Certificate2 CertificateFor(string host)
    {
        using var key = ECDsa.Create();
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    public static Task<PostgresServer> StartNewAsync(params string[] settings) => MakeAsync(async server =>
    {
        await server.RunAsync("initdb", "-D", server.Folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N");
        await server.SetAsync([$"archive_command = 'mkdir -p {server.Archive} && cp %p {server.Archive}/%f'", .. settings]);
        await server.StartAsync();
    });

    /// <summary>A copy of a running server that follows it.</summary>
    public static Task<PostgresServer> StartStandbyOfAsync(PostgresServer primary) => MakeAsync(async server =>
    {
        await server.CopyAsync(primary, "-R");
        await server.StartAsync();
    });

    /// <summary>Comes back, after a crash, as a copy of the new primary that follows it.</summary>
    public async Task FollowAsync(PostgresServer primary)
    {
        await ShellAsync("rm -rf -- *");
        await CopyAsync(primary, "-R");
        await StartAsync();
    }

    /// <summary>A base backup of a running server, to recover from after that server is gone.</summary>
    public static Task<PostgresServer> BackUpAsync(PostgresServer primary) => MakeAsync(server => server.CopyAsync(primary));

    /// <summary>Recovers from the base backup and the archived WAL, to the end or to a point in time. Returns when it accepts writes.</summary>
    public async Task RecoverAsync(string archive, string until = "")
    {
        await SetAsync(
            "archive_mode = off", $"restore_command = 'cp {archive}/%f %p'", "recovery_target_action = promote", $"recovery_target_time = '{until}'");
        await File.WriteAllTextAsync(Path.Combine(Folder, "recovery.signal"), "");
        await StartAsync();
        await using var sql = new BookInspector(ConnectionString, "public");
        await Wait.UntilAsync(async () => !await sql.ScalarAsync<bool>("SELECT pg_is_in_recovery();"));
    }

    /// <summary>Runs a script in its data folder, as its user.</summary>
    public Task ShellAsync(string script) => RunAsync("/bin/sh", "-c", $"cd {Folder} && {script}");

    /// <summary>Lets it offer TLS with a certificate for a host, and returns the certificate.</summary>
    public async Task<string> UseTlsAsync(string host)
    {
        using var certificate = CertificateFor(host);
        var (file, key) = (Path.Combine(Folder, "server.crt"), Path.Combine(Folder, "server.key"));
        await File.WriteAllTextAsync(file, certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(key, certificate.GetECDsaPrivateKey()!.ExportECPrivateKeyPem());
        await Run.ToEndAsync(new("chmod", ["600", key]));
        await Run.ToEndAsync(new("chown", [Environment.IsPrivilegedProcess ? "postgres" : Environment.UserName, file, key]));
        await SetAsync("ssl = on");
        await CrashAsync();
        await StartAsync();
        return certificate.ExportCertificatePem();
    }

    public Task StartAsync() => RunAsync(
        "pg_ctl", "start", "-D", Folder, "-w", "-t", "60", "-l", Path.Combine(Folder, "server.log"),
        "-o", $"-k '{Folder}' -p {Port} -c listen_addresses=127.0.0.1");

    /// <summary>Stops it as a crash does: without a checkpoint and without telling its clients.</summary>
    public Task CrashAsync() => RunAsync("pg_ctl", "stop", "-D", Folder, "-m", "immediate", "-w");

    /// <summary>kill -9 of all its processes.</summary>
    public Task KillAsync() => KillAsync(Folder);

    /// <summary>kill -9 of all processes of the server in the folder.</summary>
    public static async Task KillAsync(string folder)
    {
        var running = await File.ReadAllLinesAsync(Path.Combine(folder, "postmaster.pid"));
        await SignalAsync(folder, "-KILL");
        // As long as the system keeps a record of the dead process, PostgreSQL believes that it runs.
        File.Delete(Path.Combine(folder, "postmaster.pid"));
        File.Delete(Path.Combine(running[4], $".s.PGSQL.{running[3]}.lock"));
    }

    /// <summary>Stops all its processes where they are. Its connections stay open.</summary>
    public Task FreezeAsync() => FreezeAsync(Folder);

    public static Task FreezeAsync(string folder) => SignalAsync(folder, "-STOP");

    public Task ThawAsync() => ThawAsync(Folder);

    public static Task ThawAsync(string folder) => SignalAsync(folder, "-CONT");

    public Task PromoteAsync() => RunAsync("pg_ctl", "promote", "-D", Folder, "-w");

    public async ValueTask DisposeAsync()
    {
        keeper.StandardInput.Close();
        await keeper.WaitForExitAsync();
        keeper.Dispose();
    }

    private static async Task<PostgresServer> MakeAsync(Func<PostgresServer, Task> make)
    {
        var server = New();
        try
        {
            await make(server);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private static PostgresServer New()
    {
        var binaries = PrivateCluster.FindBinaries();
        Assert.SkipWhen(binaries is null, "A server that is crashed on purpose needs PostgreSQL's server binaries on this machine.");
        return new(binaries, Path.Combine(Path.GetTempPath(), $"cbs-{Guid.NewGuid().ToString("N")[..8]}"));
    }

    private Task CopyAsync(PostgresServer primary, params string[] options) =>
        RunAsync("pg_basebackup", ["-D", Folder, "-c", "fast", "-d", $"host=127.0.0.1 port={primary.Port} user=postgres", .. options]);

    private Task SetAsync(params string[] settings) => File.AppendAllLinesAsync(Path.Combine(Folder, "postgresql.conf"), settings);

    private static async Task SignalAsync(string folder, string signal)
    {
        var postmaster = (await File.ReadAllLinesAsync(Path.Combine(folder, "postmaster.pid")))[0];
        var children = await File.ReadAllTextAsync($"/proc/{postmaster}/task/{postmaster}/children");
        await Run.ToEndAsync(new("kill", [signal, postmaster, .. children.Split(' ', StringSplitOptions.RemoveEmptyEntries)]));
    }

    // PostgreSQL refuses to run as root.
    internal static ProcessStartInfo As(ProcessStartInfo start)
    {
        start.UserName = Environment.IsPrivilegedProcess ? "postgres" : "";
        start.WorkingDirectory = "/";
        return start;
    }

    private async Task RunAsync(string program, params string[] arguments)
    {
        var run = await Run.ToEndAsync(As(new(Path.Combine(binaries, program), arguments)));
        if (run.ExitCode != 0)
        {
            var log = Path.Combine(Folder, "server.log");
            throw new InvalidOperationException(
                $"{program} {string.Join(' ', arguments)} failed: {run.Errors}{run.Output}{(File.Exists(log) ? await File.ReadAllTextAsync(log) : "")}");
        }
    }
}

/// <summary>Ports that stay the same over a restart.</summary>
internal static class Ports
{
    /// <summary>A free port below the range from which the system assigns ports, so nobody else gets it.</summary>
    public static int Free()
    {
        while (true)
        {
            var port = Random.Shared.Next(20_000, 32_000);
            using var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
            }
        }
    }
}
