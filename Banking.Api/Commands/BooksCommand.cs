using System.Globalization;

namespace Banking.Api;

/// <summary>The subcommand <c>books</c>: lists the books of the database with their heads.</summary>
internal static class BooksCommand
{
    private const string Usage = """
        books
          Lists the books of the database in ConnectionStrings__Banking that its role may read: a line each, with the schema, the last
          block and transaction, when they were written, and how many of this build's scripts are pending. Read-only.
        Exit codes: 0 (listed), 1 (failed), 2 (wrong options).
        """;

    public static async Task<int> RunAsync(string[] options, CancellationToken stop)
    {
        switch (options)
        {
            case []:
                break;
            case ["--help"]:
                Console.WriteLine(Usage);
                return 0;
            default:
                return await Commands.RefuseAsync("books", options[0], Usage);
        }

        await using var app = Commands.Parts();
        try
        {
            var database = app.Services.GetRequiredService<BookDatabase>();
            await database.FindAsync().WaitAsync(stop);
            await foreach (var book in database.ListAsync().WithCancellation(stop))
            {
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{book.Schema}: block {book.Head.BlockId}, transaction {book.Head.TransactionId}, {book.Head.CreatedAt:yyyy-MM-ddTHH:mm:ssZ}, pending scripts: {book.PendingScripts}"));
            }

            return 0;
        }
        catch (Exception exception) when (Hosting.IsForTheOperator(exception))
        {
            await Console.Error.WriteLineAsync($"Can't list the books: {Hosting.ReasonOf(exception)}");
            return 1;
        }
    }
}
