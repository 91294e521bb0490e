using System.Reflection;

namespace Banking.Api;

/// <summary>The program's commands: serve, and the subcommands.</summary>
internal static class Commands
{
    private const string Usage = """
        The Core Banking service. Its commands:

          serve      apply the missing scripts and serve until SIGTERM (the default)
          migrate    make a book, or apply the scripts it lacks, or print them
          books      list the books of the database
          verify     check the whole book
          health     ask the service in this container whether it is ready
          --version  print the version

        Each explains itself with --help. Settings are environment variables, such as ConnectionStrings__Banking.
        """;

    private const string ServeUsage = """
        serve [--urls <addresses>] [--environment <name>] [--<setting> <value>]...
          Waits for the database, applies the missing scripts of sql/, and serves until SIGTERM. Takes ASP.NET Core's own options
          and any setting, such as --Banking:Schema banking.
        Exit codes: 0 (stopped by SIGTERM), 1 (could not start, or failed).
        """;

    /// <summary>The version that <c>Directory.Build.props</c> gives to this build.</summary>
    public static string Version { get; } = typeof(Commands).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>Runs a subcommand and returns its exit code; null if the arguments ask to serve.</summary>
    public static async Task<int?> RunAsync(string[] arguments, CancellationToken stop)
    {
        switch (arguments)
        {
            case ["--help" or "-h" or "help"]:
                Console.WriteLine(Usage);
                return 0;
            case ["--version"]:
                Console.WriteLine(Version);
                return 0;
            case ["migrate", .. var options]:
                return await MigrateCommand.RunAsync(options, stop);
            case ["books", .. var options]:
                return await BooksCommand.RunAsync(options, stop);
            case ["verify", .. var options]:
                return await VerifyCommand.RunAsync(options, stop);
            case ["health", .. var options]:
                return await HealthCommand.RunAsync(options);
            case ["serve" or ['-', ..], ..] when arguments.Contains("--help"):
                Console.WriteLine(ServeUsage);
                return 0;
            case [] or ["serve" or ['-', ..], ..]:
                return null;
            default:
                return await RefuseAsync("The program", arguments[0], Usage);
        }
    }

    /// <summary>The service's parts, for a subcommand that needs the database and serves nothing.</summary>
    public static WebApplication Parts()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddBanking();
        return builder.Build();
    }

    /// <summary>Names the unknown argument and prints the usage. Returns exit code 2.</summary>
    public static async Task<int> RefuseAsync(string who, string argument, string usage)
    {
        await Console.Error.WriteLineAsync($"{who} does not know {argument}.\n{usage}");
        return 2;
    }
}
