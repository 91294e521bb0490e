using FluentAssertions;

namespace Banking.Tests;

public sealed class TestDatabaseTests(TestDatabase database)
{
    [Fact]
    public async Task The_database_of_this_run_is_durable_and_is_named_in_its_report()
    {
        await using var bank = new BankingApp(database);

        var version = await bank.Book.ScalarAsync<string>("SHOW server_version;");
        // The runner shows no output of tests that pass, but it lists the files they attach.
        TestContext.Current.AddAttachment($"Ran against {database.Used}, PostgreSQL {version!.Split(' ')[0]}", $"{version}\n");

        foreach (var setting in new[] { "fsync", "synchronous_commit", "full_page_writes" })
        {
            (await bank.Book.ScalarAsync<string>($"SHOW {setting};")).Should().Be("on", setting);
        }
    }
}
