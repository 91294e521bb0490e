using FluentAssertions;

namespace Banking.Tests;

/// <summary>A book is backed up as docs/operate.md says and restored elsewhere. The head kept outside shows whether the book is complete.</summary>
public sealed class RestoreTests
{
    [Fact]
    public async Task A_book_restored_from_base_backup_and_WAL_is_the_book_that_was_kept()
    {
        await using var primary = await PostgresServer.StartNewAsync("archive_mode = on");
        await using var service = await ServeAsync(primary);
        var account = await service.OpenAsync("100");
        await using var restored = await PostgresServer.BackUpAsync(primary);
        (await service.DepositAsync(account, "1", "after-the-backup")).ShouldBeCreated();
        var kept = await service.HeadAsync();
        await ArchiveAsync(primary);
        await primary.CrashAsync();

        await restored.RecoverAsync(primary.Archive);

        var verified = await VerifyAsync(restored, kept);
        verified.ExitCode.Should().Be(0, verified.Output);
        verified.Output.Should().Contain("ok    kept_head_is_on_the_chain");
        await using var again = await ServeAsync(restored);
        (await again.DepositAsync(account, "1", "after-the-backup")).ShouldBeCreated(replayed: true);
        (await again.DepositAsync(account, "1", "after-the-restore")).ShouldBeCreated();
        (await VerifyAsync(restored, kept)).ExitCode.Should().Be(0, "the chain goes on from where it was");
    }

    [Fact]
    public async Task A_book_restored_to_an_earlier_point_lacks_the_kept_head_and_takes_what_is_missing_by_its_keys_once()
    {
        await using var primary = await PostgresServer.StartNewAsync("archive_mode = on");
        await using var service = await ServeAsync(primary);
        var account = await service.OpenAsync("100");
        await using var restored = await PostgresServer.BackUpAsync(primary);
        (await service.DepositAsync(account, "1", "before-the-point")).ShouldBeCreated();
        await using var sql = new BookInspector(primary.ConnectionString, "banking");
        var point = await sql.ScalarAsync<string>("SELECT clock_timestamp()::text;");
        (await service.DepositAsync(account, "2", "after-the-point")).ShouldBeCreated();
        var lost = await service.OpenAsync();
        var head = await service.GetAsync("/api/audit_head");
        var kept = await service.HeadAsync();
        await ArchiveAsync(primary);
        await primary.CrashAsync();

        await restored.RecoverAsync(primary.Archive, point!);

        var verified = await VerifyAsync(restored, kept);
        verified.ExitCode.Should().Be(1);
        verified.Output.Split('\n').Should().ContainSingle(line => line.StartsWith("FAIL")).Which.Should().Contain("kept_head_is_on_the_chain");
        verified.Output.Should().Contain("block_id 4, ").And.Contain("hash_found null", "the head is missing, rather than another one");
        await using var again = await ServeAsync(restored);
        (await again.DepositAsync(account, "1", "before-the-point")).ShouldBeCreated(replayed: true);
        (await again.DepositAsync(account, "2", "after-the-point")).ShouldBeCreated();
        (await again.BalanceAsync(account)).Should().Be("103.00");

        // As docs/operate.md says: the id of a lost account is never given to another.
        head.Id("account_id").Should().Be(lost);
        await using var book = new BookInspector(restored.ConnectionString, "banking");
        await book.ExecuteAsync($"UPDATE ledger_head SET last_account_id = GREATEST(last_account_id, {head.Id("account_id")} + 1000);");
        (await again.OpenAsync()).Should().Be(lost + 1001);
        (await book.FailedChecksAsync()).Should().BeEmpty();
    }

    private static async Task<ServiceProcess> ServeAsync(PostgresServer server)
    {
        var service = new ServiceProcess(server.ConnectionString, "banking");
        await service.StartAsync();
        return service;
    }

    /// <summary>Closes the current WAL segment, and returns when it is archived.</summary>
    private static async Task ArchiveAsync(PostgresServer server)
    {
        await using var sql = new BookInspector(server.ConnectionString, "public");
        var segment = await sql.ScalarAsync<string>("SELECT pg_walfile_name(pg_switch_wal());");
        await Wait.UntilAsync(() =>
            sql.ScalarAsync<bool>("SELECT COALESCE(last_archived_wal >= @segment, false) FROM pg_stat_archiver;", new { segment }));
    }

    private static Task<Run> VerifyAsync(PostgresServer server, string kept) =>
        ServiceProcess.RunAsync(["verify", "--against", kept], ("ConnectionStrings__Banking", server.ConnectionString), ("Banking__Schema", "banking"));
}
