using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Banking.Data;

/// <summary>
/// A PostgreSQL of this process's own, made from the server binaries of the machine, for a first try and for tests. It listens
/// on a socket in its own folder only, commits as durably as any server, keeps its data when it stops, and stops with this
/// process, however that ends. Linux and macOS.
/// </summary>
public sealed partial class PrivateCluster : IAsyncDisposable
{
    private const string WaysOut = """
        Three ways out: install PostgreSQL 15 or later (Debian: apt-get install postgresql); or set ConnectionStrings__Banking to a
        database you have; or run `docker compose up`, which brings one.
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

    /// <summary>What the server calls itself, such as <c>15.18</c>.</summary>
    public string Version { get; }

    public string ConnectionString { get; }

    /// <summary>The folder that is used when none is set: the user's own, or the system's for root.</summary>
    public static string DefaultFolder => Environment.IsPrivilegedProcess
        ? "/var/lib/core-banking"
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "core-banking");

    /// <summary>Starts the cluster in <paramref name="folder"/>, making it first if it isn't there, and stopping what a crash left running in it.</summary>
    /// <exception cref="InvalidOperationException">It can't be started; the message says why and what to do.</exception>
    public static async Task<PrivateCluster> StartAsync(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new InvalidOperationException($"The embedded PostgreSQL runs on Linux and macOS. {WaysOut}");
        }

        folder = Path.GetFullPath(folder);
        if (System.Text.Encoding.UTF8.GetByteCount(folder) > 85)
        {
            throw new InvalidOperationException(
                $"The path {folder} is too long for a socket (85 bytes at most). Set Banking__DataFolder to a shorter one.");
        }

        var binaries = FindBinaries() ?? throw new InvalidOperationException($"No PostgreSQL server binaries on this machine. {WaysOut}");
        var user = Environment.IsPrivilegedProcess ? await UnprivilegedUserAsync() : null;
        Directory.CreateDirectory(folder);
        // Whoever reaches the socket is let in as the superuser: that is this user, and root.
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (user is not null)
        {
            await RunAsync("chown", [user, folder], user: null);
        }

        // Whoever holds this file's lock owns the cluster; the system drops it when that process ends, however it ends.
        FileStream ownerLock;
        try
        {
            ownerLock = new FileStream(Path.Combine(folder, "owner.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new InvalidOperationException(
                $"Another process runs the embedded PostgreSQL in {folder}. Stop it, or set Banking__DataFolder to another folder for this one.");
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
                // Its initdb still runs: the next start finds it again.
            }
        }

        // Made beside its place and then moved, so that a crash halfway leaves nothing that looks whole. Each try has a name of
        // its own: what an interrupted one left may still be written to.
        var unfinished = $"{data}.unfinished-{Guid.NewGuid():N}";
        await RunAsync(
            Path.Combine(binaries, "initdb"),
            ["-D", unfinished, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
            user);
        Directory.Move(unfinished, data);
    }

    /// <summary>Stops the server that a crash left running, or removes the trace of one that no longer runs.</summary>
    private static async Task ClearAsync(string binaries, string data, string? user)
    {
        // The server's process id, and its data folder as it was started with.
        var postmaster = Path.Combine(data, "postmaster.pid");
        if (!File.Exists(postmaster) || await File.ReadAllLinesAsync(postmaster) is not [var id, var its, ..])
        {
            return;
        }

        // That id may long be another program's, which must not be stopped, and for which PostgreSQL itself would not start.
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
                $"A PostgreSQL that an earlier run left, process {id}, still has {data} and does not stop. See what it does, end it "
                + $"(kill -CONT {id} where it was stopped halfway, then kill -QUIT {id}) and start again. {exception.Message}",
                exception);
        }
    }

    /// <summary>Of a process that runs; empty where there is none.</summary>
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

    /// <summary>Starts the server under a child that waits for this process to end or let go, and then stops it: also after kill -9.</summary>
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
        var quoted = folder.Replace("'", @"'\''", StringComparison.Ordinal);
        var keeper = Process.Start(new ProcessStartInfo(
            "/bin/sh",
            ["-c", Script, Path.Combine(binaries, "pg_ctl"), data, Path.Combine(folder, "postgresql.log"), $"-k '{quoted}' -c listen_addresses=''"])
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
                $"PostgreSQL does not start in {folder}: {await errors}Its own words are in {Path.Combine(folder, "postgresql.log")}.");
        }

        return keeper;
    }

    /// <summary>The folder of the PostgreSQL server binaries: the path's, else the newest that is installed; null where there are none.</summary>
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

    /// <summary>PostgreSQL refuses to run as root: its package's own user serves, else nobody.</summary>
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
