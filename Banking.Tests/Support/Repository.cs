namespace Banking.Tests;

/// <summary>Where the repository's own files are.</summary>
internal static class Repository
{
    public static string Folder { get; } = Find();

    public static string Read(string file) => File.ReadAllText(Path.Combine(Folder, file));

    private static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "CoreBanking.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("The tests run inside the repository.");
        }

        return folder;
    }
}
