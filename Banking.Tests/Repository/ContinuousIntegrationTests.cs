using System.Diagnostics;
using System.Text.RegularExpressions;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>A script of CI fails when one of its commands fails, even in front of a pipe. It runs here with commands that fail on purpose.</summary>
public sealed partial class ContinuousIntegrationTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();

    private string CommandsFile => Path.Combine(folder.FullName, "commands");

    [Fact]
    public async Task The_search_for_vulnerable_packages_fails_when_it_finds_one_or_cannot_search()
    {
        var step = await StepAsync("ci.yml", "No package is known to be vulnerable or deprecated");

        Command("dotnet", "echo 'error: no source can be reached'; return 1");
        (await ExitCodeAsync(step)).Should().NotBe(0, "dotnet list failed");
        Command("dotnet", "echo '   > Some.Package  1.0.0'");
        (await ExitCodeAsync(step)).Should().NotBe(0, "a package was found");
        Command("dotnet", "echo 'The given project has no vulnerable packages'");
        (await ExitCodeAsync(step)).Should().Be(0);
    }

    [Theory]
    [InlineData("v1.2.3", true)]
    [InlineData("v1.2.3-rc.1", false)]
    [InlineData("1.2.3", false)]
    public async Task A_release_needs_a_tag_that_names_its_version(string tag, bool passes)
    {
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "Directory.Build.props"), "    <Version>1.2.3</Version>\n");
        await File.WriteAllTextAsync(CommandsFile, $"GITHUB_REF_NAME={tag}\n");

        (await ExitCodeAsync(await StepAsync("release.yml", "The tag names the version")) == 0).Should().Be(passes);
    }

    [Theory]
    [InlineData("nothing", true)]
    [InlineData("health/ready", false)]
    [InlineData("create_account", false)]
    [InlineData("deposit", false)]
    [InlineData("audit_head", false)]
    public async Task The_check_of_the_image_fails_when_a_call_fails(string failing, bool passes)
    {
        Command("docker", "true");
        Command("curl", $"case \"$*\" in *{failing}*) return 22 ;; esac; echo '{{}}'");

        (await ExitCodeAsync(Path.Combine(Repository.Folder, ".ci", "image")) == 0).Should().Be(passes);
    }

    public void Dispose() => folder.Delete(recursive: true);

    /// <summary>Lets the shell find this in place of the real command.</summary>
    private void Command(string name, string script) => File.AppendAllText(CommandsFile, $"{name}() {{ {script}; }}\n");

    /// <summary>bash's arguments to run a step of a workflow.</summary>
    private async Task<string[]> StepAsync(string workflow, string name)
    {
        var text = await File.ReadAllTextAsync(Path.Combine(Repository.Folder, ".github", "workflows", workflow));
        var script = Path.Combine(folder.FullName, "step");
        await File.WriteAllTextAsync(script, Indent().Replace(Steps().Matches(text).Single(step => step.Groups[1].Value == name).Groups[2].Value, ""));
        // GitHub's own two ways to run a step: where the shell is named, and where it is not.
        return [.. DefaultShell().IsMatch(text) ? ["--noprofile", "--norc", "-eo", "pipefail"] : new[] { "-e" }, script];
    }

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

    [GeneratedRegex(@"- name: (.*)\n        run: \|\n((?: {10}.*\n)+)")]
    private static partial Regex Steps();

    [GeneratedRegex("^ {10}", RegexOptions.Multiline)]
    private static partial Regex Indent();
}
