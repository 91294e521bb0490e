namespace Banking.Api;

/// <summary>The subcommand <c>migrate</c>: makes a book or brings it up to date, or prints what is missing.</summary>
internal static class MigrateCommand
{
    private const string Usage = """
        migrate [--role <name>] [--dry-run]
          Waits for the database, makes the book if there is none, and applies the missing scripts of sql/, each in a transaction.
          ConnectionStrings__Banking and Banking__Schema name the book. If ConnectionStrings__Migrations is set, its role applies
          the scripts.
          --role      then gives this role the rights that the service needs (sql/roles/banking_service.sql). If there is no such
                      role, creates it, without a password
          --dry-run   prints the missing scripts and changes nothing
        Exit codes: 0 (the schema is up to date, or --dry-run printed what is missing), 1 (failed), 2 (wrong options).
        """;

    public static async Task<int> RunAsync(string[] options, CancellationToken stop)
    {
        string? role = null;
        switch (options)
        {
            case [] or ["--dry-run"]:
                break;
            case ["--role", { Length: > 0 } name]:
                role = name;
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
            await database.FindAsync().WaitAsync(stop);
            await database.WhenItAnswersAsync(() => options is ["--dry-run"] ? PrintPendingAsync(database) : MigrateAsync(database, role), stop);
            return 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("Stopped. The scripts that were applied stay, one that was running is rolled back. Run migrate again.");
            return 1;
        }
        catch (Exception exception) when (Hosting.IsForTheOperator(exception))
        {
            await Console.Error.WriteLineAsync($"Can't migrate: {Hosting.ReasonOf(exception)}");
            return 1;
        }
    }

    private static async Task MigrateAsync(BookDatabase database, string? role)
    {
        var (isNewBook, scripts) = await database.MigrateAsync(mayCreate: true);
        foreach (var script in scripts)
        {
            Console.WriteLine($"Applied {script}.");
        }

        Console.WriteLine(isNewBook ? $"Created a new book: {database.Description}."
            : scripts.Count == 0 ? $"Nothing is pending: {database.Description} has all scripts of this build."
            : $"Up to date: {database.Description}.");
        if (role is not null)
        {
            await database.GrantAsync(role);
            Console.WriteLine($"The role {role} has the rights of the service.");
        }
    }

    private static async Task PrintPendingAsync(BookDatabase database)
    {
        var pending = await database.PendingAsync();
        if (pending.Count == 0)
        {
            Console.WriteLine($"-- Nothing is pending: {database.Description} has all scripts of this build.");
        }

        foreach (var script in pending)
        {
            Console.WriteLine($"-- Missing in {database.Description}: {script.Name}\n\n{script.Sql}");
        }
    }
}
