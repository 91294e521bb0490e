namespace Banking.Api;

/// <summary>The subcommand <c>migrate</c>: applies the missing scripts, or prints them.</summary>
internal static class MigrateCommand
{
    private const string Usage = """
        migrate [--dry-run]
          Waits for the database, then applies the missing scripts of sql/ to the book, each in a transaction.
          ConnectionStrings__Banking and Banking__Schema name the book. If ConnectionStrings__Migrations is set, its role applies
          the scripts.
          --dry-run   prints the missing scripts and changes nothing
        Exit codes: 0 (the schema is up to date, or --dry-run printed what is missing), 1 (failed), 2 (wrong options).
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
                    Console.WriteLine($"-- Missing in {database.Description}: {script.Name}\n\n{script.Sql}");
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
            await Console.Error.WriteLineAsync($"Can't migrate: {Hosting.ReasonOf(exception)}");
            return 1;
        }
    }
}
