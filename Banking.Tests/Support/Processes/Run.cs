using System.Diagnostics;

namespace Banking.Tests;

/// <summary>What a program said and how it ended.</summary>
internal sealed record Run(int ExitCode, string Output, string Errors)
{
    /// <summary>How long a program may take that downloads packages.</summary>
    public static readonly TimeSpan Download = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    /// <summary>The path of the first of these programs that this machine has.</summary>
    public static string? Find(params string[] names) => names
        .SelectMany(name => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(folder => Path.Combine(folder, name)))
        .FirstOrDefault(File.Exists);

    /// <summary>Runs it to its end.</summary>
    public static async Task<Run> ToEndAsync(ProcessStartInfo start, TimeSpan? patience = null)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            await process.WaitForExitAsync().WaitAsync(patience ?? Patience);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true); // a child would keep the output open
            throw new TimeoutException($"{start.FileName} {string.Join(' ', start.ArgumentList)} goes on after {patience ?? Patience}: {await output}{await errors}");
        }

        return new(process.ExitCode, await output, await errors);
    }
}
