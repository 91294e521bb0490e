using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Banking.Data;

/// <summary>
/// A private PostgreSQL, made from the machine's server binaries, for a first try and for tests. It listens only on a socket in its own
/// folder, commits as durably as any server and keeps its data. It stops with this process, even after kill -9. Linux and macOS.
/// </summary>
public sealed partial class PrivateCluster : IAsyncDisposable
{
    private const string WaysOut = """
        Do one of three: install PostgreSQL 15 or later (Debian: apt-get install postgresql); or set ConnectionStrings__Banking to a
        database that you have; or run `docker compose up`, which starts one.
        """;

    private readonly FileStream ownerLock;
    private readonly Process keeper;

    private PrivateCluster(string folder, string version, FileStream ownerLock, Process keeper)
    {
        Folder = folder;
        Version = version;
        this.ownerLock = ownerLock;
        this.keeper = keeper;
        ConnectionString = $"Host={folder};Username=postgres;Database=postgres";
    }

    /// <summary>Where the data, the socket and the server's log are.</summary>
    public string Folder { get; }

    /// <summary>The server's version, such as <c>15.18</c>.</summary>
    public string Version { get; }

    public string ConnectionString { get; }

    /// <summary>The default folder: in the user's home, for root in /var/lib.</summary>
    public static string DefaultFolder => Environment.IsPrivilegedProcess
        ? "/var/lib/core-banking"
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "core-banking");

    /// <summary>Starts the cluster in <paramref name="folder"/>. Creates it if needed, and stops a server that a crash left running there.</summary>
    /// <exception cref="InvalidOperationException">It cannot start. The message says why and what to do.</exception>
    public static async Task<PrivateCluster> StartAsync(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new InvalidOperationException($"The private PostgreSQL runs on Linux and macOS only. {WaysOut}");
        }

        folder = Path.GetFullPath(folder);
        if (System.Text.Encoding.UTF8.GetByteCount(folder) > 85)
        {
            throw new InvalidOperationException(
                $"The path {folder} is too long for a socket; 85 bytes are allowed. Set Banking__DataFolder to a shorter path.");
        }

        var binaries = FindBinaries() ?? throw new InvalidOperationException($"No PostgreSQL server binaries were found on this machine. {WaysOut}");
        var user = Environment.IsPrivilegedProcess ? await UnprivilegedUserAsync() : null;
        Directory.CreateDirectory(folder);
        // The socket asks for no password and gives superuser rights, so only this user (and root) may reach it.
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (user is not null)
        {
            await RunAsync("chown", [user, folder], user: null);
        }

        // The holder of this file's lock owns the cluster. The system releases the lock when that process ends, even after a crash.
        FileStream ownerLock;
        try
        {
            ownerLock = new FileStream(Path.Combine(folder, "owner.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new InvalidOperationException(
                $"Another process already runs the private PostgreSQL in {folder}. Stop that process, or set Banking__DataFolder to another folder for this one.");
        }

        try
        {
            var data = Path.Combine(folder, "data");
            await MakeAsync(binaries, data, user);
            await ClearAsync(binaries, data, user);
            var keeper = await KeepAsync(binaries, folder, data, user);
            var version = await RunAsync(Path.Combine(binaries, "postgres"), ["--version"], user);
            return new PrivateCluster(folder, VersionNumber().Match(version).Value, ownerLock, keeper);
        }
        catch
        {
            await ownerLock.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the server; the data stays.</summary>
    public async ValueTask DisposeAsync()
    {
        keeper.StandardInput.Close();
        await keeper.WaitForExitAsync();
        keeper.Dispose();
        await ownerLock.DisposeAsync();
    }

    private static async Task MakeAsync(string binaries, string data, string? user)
    {
        if (File.Exists(Path.Combine(data, "PG_VERSION")))
        {
            return;
        }

        foreach (var interrupted in Directory.EnumerateDirectories(Path.GetDirectoryName(data)!, "data.unfinished-*"))
        {
            try
            {
                Directory.Delete(interrupted, recursive: true);
            }
            catch (IOException)
            {
                // Its initdb still runs. The next start deletes it.
            }
        }

        // Created beside its place, then moved: a crash halfway leaves nothing that looks complete. Each try has its own name,
        // because the initdb of an interrupted one may still write.
        var unfinished = $"{data}.unfinished-{Guid.NewGuid():N}";
        await RunAsync(
            Path.Combine(binaries, "initdb"),
            ["-D", unfinished, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
            user);
        Directory.Move(unfinished, data);
    }

    /// <summary>Stops a server that a crash left running, or removes the pid file of one that is gone.</summary>
    private static async Task ClearAsync(string binaries, string data, string? user)
    {
        // The first two lines: the server's process id, and the data folder that it was started with.
        var postmaster = Path.Combine(data, "postmaster.pid");
        if (!File.Exists(postmaster) || await File.ReadAllLinesAsync(postmaster) is not [var id, var its, ..])
        {
            return;
        }

        // By now the id may belong to another program, which must not be stopped. PostgreSQL would not start because of it.
        if (!(await CommandLineAsync(id)).Contains(its, StringComparison.Ordinal))
        {
            File.Delete(postmaster);
            return;
        }

        try
        {
            await RunAsync(Path.Combine(binaries, "pg_ctl"), ["stop", "-D", data, "-m", "fast", "-w", "-t", "20"], user);
        }
        catch (InvalidOperationException exception) when (File.Exists(postmaster))
        {
            throw new InvalidOperationException(
                $"An earlier run left a PostgreSQL (process {id}) running in {data}, and it does not stop. End it with kill -CONT {id} "
                + $"and then kill -QUIT {id}, and start again. {exception.Message}",
                exception);
        }
    }

    /// <summary>The command line of a running process; empty if there is none.</summary>
    private static async Task<string> CommandLineAsync(string processId)
    {
        try
        {
            return OperatingSystem.IsLinux()
                ? await File.ReadAllTextAsync($"/proc/{processId}/cmdline")
                : await RunAsync("ps", ["-p", processId, "-o", "command="], user: null);
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException)
        {
            return "";
        }
    }

    /// <summary>Starts the server under a child process, which stops it when this process ends or disposes it: also after kill -9.</summary>
    private static async Task<Process> KeepAsync(string binaries, string folder, string data, string? user)
    {
        const string Script = """
            "$0" start -D "$1" -w -t 60 -l "$2" -o "$3" >&2 || exit 1
            trap '' INT TERM HUP PIPE
            server=$(head -n 1 "$1/postmaster.pid")
            echo started
            cat >/dev/null
            kill -INT "$server"
            while kill -0 "$server" 2>/dev/null; do sleep 0.05; done
            """;
        // A log of millions of rows needs its indexes' pages in memory, and few checkpoints (docs/deploy.md).
        const string Settings = "-c listen_addresses='' -c shared_buffers=512MB -c max_wal_size=2GB -c checkpoint_timeout=15min";
        var quoted = folder.Replace("'", @"'\''", StringComparison.Ordinal);
        var keeper = Process.Start(new ProcessStartInfo(
            "/bin/sh",
            ["-c", Script, Path.Combine(binaries, "pg_ctl"), data, Path.Combine(folder, "postgresql.log"), $"-k '{quoted}' {Settings}"])
        {
            UserName = user ?? "",
            WorkingDirectory = "/",
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var errors = keeper.StandardError.ReadToEndAsync();
        if (await keeper.StandardOutput.ReadLineAsync() is null)
        {
            throw new InvalidOperationException(
                $"PostgreSQL did not start in {folder}: {await errors}Its log is {Path.Combine(folder, "postgresql.log")}.");
        }

        return keeper;
    }

    /// <summary>The folder of the PostgreSQL server binaries: first on the PATH, else the newest installation; null if there are none.</summary>
    public static string? FindBinaries()
    {
        var onPath = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => new FileInfo(Path.Combine(folder, "postgres")))
            .Where(file => file.Exists)
            .Select(file => Path.GetDirectoryName(file.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? file.FullName)!);
        string[] parents = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/Applications/Postgres.app/Contents/Versions", "/usr"];
        var installed = parents.Where(Directory.Exists)
            .SelectMany(Directory.EnumerateDirectories)
            .Where(folder => InstallFolder().IsMatch(folder))
            .OrderByDescending(folder => decimal.Parse(VersionNumber().Match(Path.GetFileName(folder)).Value, CultureInfo.InvariantCulture))
            .Select(folder => Path.Combine(folder, "bin"));
        return onPath.Concat(installed).Append("/usr/local/pgsql/bin").FirstOrDefault(
            folder => File.Exists(Path.Combine(folder, "postgres")) && File.Exists(Path.Combine(folder, "initdb")));
    }

    /// <summary>PostgreSQL refuses to run as root, so root runs it as the package's user postgres or, without one, as nobody.</summary>
    private static async Task<string> UnprivilegedUserAsync()
    {
        var users = await File.ReadAllLinesAsync("/etc/passwd");
        return users.Any(line => line.StartsWith("postgres:", StringComparison.Ordinal)) ? "postgres" : "nobody";
    }

    private static async Task<string> RunAsync(string program, string[] arguments, string? user)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            UserName = user ?? "",
            WorkingDirectory = "/",
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException($"{program} {arguments[0]} failed: {await errors}{await output}");
    }

    // Debian's 15, Red Hat's pgsql-15, Homebrew's postgresql@15, Postgres.app's 15.
    [GeneratedRegex(@"/(Versions/|postgresql/|pgsql-|postgresql@)[0-9.]+$")]
    private static partial Regex InstallFolder();

    [GeneratedRegex("[0-9]+([.][0-9]+)?")]
    private static partial Regex VersionNumber();
}
