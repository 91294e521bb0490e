using System.Reflection;

namespace Banking.Api;

/// <summary>What the program does: serve, or one of the subcommands beside it.</summary>
internal static class Commands
{
    private const string Usage = """
        The Core Banking service. Its commands:

          serve      bring the schema up to date and serve until SIGTERM (the default)
          migrate    bring the schema up to date, or show what that would take
          verify     check the whole book
          health     ask the service of this container whether it is ready
          --version  print the version

        Each says more with --help. Settings are environment variables, such as ConnectionStrings__Banking.
        """;

    private const string ServeUsage = """
        serve [--urls <addresses>] [--environment <name>] [--<setting> <value>]...
          Waits for the database, applies the scripts of sql/ that its schema lacks, and serves until SIGTERM. The options are
          ASP.NET Core's own; any setting may be given as one, such as --Banking:Schema banking.
        Exit code: 0 told to stop, 1 it couldn't start.
        """;

    /// <summary>The version that <c>Directory.Build.props</c> gives to this build.</summary>
    public static string Version { get; } = typeof(Commands).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>Runs a subcommand to its exit code; null where the service is to be started with the arguments.</summary>
    public static async Task<int?> RunAsync(string[] arguments)
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
                return await MigrateCommand.RunAsync(options);
            case ["verify", .. var options]:
                return await VerifyCommand.RunAsync(options);
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

    /// <summary>The service's parts, for a subcommand that needs its database and serves nothing.</summary>
    public static WebApplication Parts()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddBanking();
        return builder.Build();
    }

    /// <summary>Says what a subcommand can't do anything with, and what it can. The exit code is 2.</summary>
    public static async Task<int> RefuseAsync(string who, string argument, string usage)
    {
        await Console.Error.WriteLineAsync($"{who} doesn't know what to make of {argument}.\n{usage}");
        return 2;
    }
}
