using FluentAssertions;

namespace Banking.Tests;

/// <summary>A loop that answers callers dies of what no code expects.</summary>
public sealed class CriticalLoopTests(TestDatabase database)
{
    [Theory]
    [InlineData("/api/get_one_account?account_id=")]
    [InlineData("/api/get_one_transaction?transaction_id=")]
    public async Task The_process_ends_with_its_look_ups_and_says_so(string call)
    {
        await using var service = new ServiceProcess(
            database.ConnectionString, $"book_{Guid.NewGuid():N}",
            ("DOTNET_STARTUP_HOOKS", Path.Combine(AppContext.BaseDirectory, "Banking.Tests.dll")), ("BANKING_TEST_BROKEN_SPAN", "look-up"));
        await service.StartAsync();
        var asking = service.GetAsync($"{call}1");

        (await service.ExitCodeAsync(TimeSpan.FromSeconds(15))).Should().Be(1);

        service.Lines.Should().ContainSingle(line => line.Contains("\"LogLevel\":\"Critical\""))
            .Which.Should().Contain("look-up of").And.Contain("look-up is broken.").And.Contain("exit code 1");
        await asking.ContinueWith(_ => { }, TaskScheduler.Default); // whatever it was told
    }
}
