using FluentAssertions;

namespace Banking.Tests;

/// <summary>A loop that answers callers fails with an exception that no code expects.</summary>
public sealed class CriticalLoopTests(TestDatabase database)
{
    [Theory]
    [InlineData("look-up", "look-up of accounts", "/api/get_one_account?account_id=1")]
    [InlineData("look-up", "look-up of transactions", "/api/get_one_transaction?transaction_id=1")]
    [InlineData("write transaction", "ledger", null)]
    public async Task The_process_stops_and_says_why(string span, string loop, string? read)
    {
        await using var service = new ServiceProcess(
            database.ConnectionString, $"book_{Guid.NewGuid():N}",
            ("DOTNET_STARTUP_HOOKS", Path.Combine(AppContext.BaseDirectory, "Banking.Tests.dll")), ("BANKING_TEST_BROKEN_SPAN", span));
        await service.StartAsync();
        var asking = read is null ? service.DepositAsync(1000, "1") : service.GetAsync(read);

        (await service.ExitCodeAsync(TimeSpan.FromSeconds(15))).Should().Be(1);

        service.Lines.Should().ContainSingle(line => line.Contains("\"LogLevel\":\"Critical\""))
            .Which.Should().Contain($"The {loop} has failed").And.Contain($"{span} is broken.").And.Contain("exit code 1");
        await asking.ContinueWith(_ => { }, TaskScheduler.Default); // whatever the answer was
    }
}
