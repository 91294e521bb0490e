namespace Banking.Api;

/// <summary>The subcommand <c>migrate</c>: brings the schema to this build's version, or shows what that would take.</summary>
internal static class MigrateCommand
{
    private const string Usage = """
        migrate [--dry-run]
          Applies the scripts that the book lacks which ConnectionStrings__Banking and Banking__Schema name, each in a transaction,
          as the role of ConnectionStrings__Migrations where that is set. It waits for the database as a start does.
          --dry-run   prints these scripts instead, and changes nothing
        Exit code: 0 the schema is at this build's version (with --dry-run: this is what it takes), 1 it isn't, 2 wrong options.
        """;

    public static async Task<int> RunAsync(string[] options)
    {
        switch (options)
        {
            case [] or ["--dry-run"]:
                break;
            case ["--help"]:
                Console.WriteLine(Usage);
                return 0;
            default:
                return await Commands.RefuseAsync("migrate", options.First(option => option != "--dry-run"), Usage);
        }

        await using var app = Commands.Parts();
        try
        {
            var database = app.Services.GetRequiredService<BookDatabase>();
            await database.FindAsync();
            if (options is ["--dry-run"])
            {
                foreach (var script in await database.PendingAsync())
                {
                    Console.WriteLine($"-- Pending in {database.Description}: {script.Name}\n\n{script.Sql}");
                }
            }
            else
            {
                await database.WhenItAnswersAsync(async () =>
                {
                    foreach (var script in await database.MigrateAsync())
                    {
                        Console.WriteLine($"Applied {script}.");
                    }
                });
            }

            return 0;
        }
        catch (Exception exception) when (Hosting.IsForTheOperator(exception))
        {
            await Console.Error.WriteLineAsync($"Can't migrate: {exception.Message}");
            return 1;
        }
    }
}
