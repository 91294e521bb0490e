using System.Diagnostics;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>The gate fails where a command of it fails, also one in front of a pipe: its scripts run beside commands that fail on purpose.</summary>
public sealed partial class ContinuousIntegrationTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();

    private string CommandsFile => Path.Combine(folder.FullName, "commands");

    [Fact]
    public async Task The_search_for_vulnerable_packages_fails_where_it_can_not_be_made()
    {
        var workflow = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, ".github", "workflows", "ci.yml"));
        var script = Path.Combine(folder.FullName, "step");
        await File.WriteAllTextAsync(script, Indent().Replace(SearchStep().Match(workflow).Groups[1].Value, ""));
        // GitHub's own two ways to run a step: where the shell is named, and where it is not.
        string[] options = DefaultShell().IsMatch(workflow) ? ["--noprofile", "--norc", "-eo", "pipefail"] : ["-e"];

        Command("dotnet", "echo 'error: no source can be reached'; return 1");
        (await ExitCodeAsync([.. options, script])).Should().NotBe(0, "dotnet list failed");
        Command("dotnet", "echo '   > Some.Package  1.0.0'");
        (await ExitCodeAsync([.. options, script])).Should().NotBe(0, "a package was found");
        Command("dotnet", "echo 'The given project has no vulnerable packages'");
        (await ExitCodeAsync([.. options, script])).Should().Be(0);
    }

    [Theory]
    [InlineData("nothing", true)]
    [InlineData("health/ready", false)]
    [InlineData("create_account", false)]
    [InlineData("deposit", false)]
    [InlineData("audit_head", false)]
    public async Task The_check_of_the_image_fails_where_a_call_fails(string failing, bool passes)
    {
        Command("docker", "true");
        Command("curl", $"case \"$*\" in *{failing}*) return 22 ;; esac; echo '{{}}'");

        (await ExitCodeAsync(Path.Combine(Repository.Folder, ".ci", "image")) == 0).Should().Be(passes);
    }

    public void Dispose() => folder.Delete(recursive: true);

    /// <summary>Lets the shell find this in place of the real command.</summary>
    private void Command(string name, string script) => File.AppendAllText(CommandsFile, $"{name}() {{ {script}; }}\n");

    private async Task<int> ExitCodeAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("bash", arguments)
        {
            WorkingDirectory = folder.FullName,
            RedirectStandardOutput = true,
            Environment = { ["BASH_ENV"] = CommandsFile },
        };
        using var process = Process.Start(start)!;
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    [GeneratedRegex(@"^defaults:\n  run:\n    shell: bash\b", RegexOptions.Multiline)]
    private static partial Regex DefaultShell();

    [GeneratedRegex(@"run: \|\n((?: {10}.*\n)*? {10}dotnet list(?:.*\n {10}.*)*\n)")]
    private static partial Regex SearchStep();

    [GeneratedRegex("^ {10}", RegexOptions.Multiline)]
    private static partial Regex Indent();
}
