using System.Globalization;

namespace Banking.Api;

/// <summary>The subcommand <c>books</c>: lists the books of the database with their heads.</summary>
internal static class BooksCommand
{
    private const string Usage = """
        books
          Lists the books of the database in ConnectionStrings__Banking that its role may read: a line each, with the schema, the last
          block and transaction, when they were written, and how many of this build's scripts are pending. Read-only.
        Exit codes: 0 (listed), 1 (failed, or a book cannot be read), 2 (wrong options).
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
            var areReadable = true;
            await foreach (var book in database.ListAsync().WithCancellation(stop))
            {
                areReadable &= book.Fault is null;
                var found = book.Head is { } head
                    ? string.Create(
                        CultureInfo.InvariantCulture,
                        $"block {head.BlockId}, transaction {head.TransactionId}, {head.CreatedAt:yyyy-MM-ddTHH:mm:ssZ}, pending scripts: {book.PendingScripts}")
                    : $"cannot be read: {book.Fault}";
                Console.WriteLine($"{book.Schema}: {found}");
            }

            return areReadable ? 0 : 1;
        }
        catch (Exception exception) when (Hosting.IsForTheOperator(exception))
        {
            await Console.Error.WriteLineAsync($"Can't list the books: {Hosting.ReasonOf(exception)}");
            return 1;
        }
    }
}
