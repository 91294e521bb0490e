using System.ComponentModel.DataAnnotations;
using System.Reflection;
using Banking.Api;
using Banking.Data;
using FluentAssertions;
using Npgsql;

namespace Banking.Tests;

/// <summary>The settings, passed to the real program as an operator does: in environment variables.</summary>
public sealed class SettingsTests(TestDatabase database)
{
    private const string Secret = "hunter2";

    private static readonly PropertyInfo[] All = [.. typeof(LedgerOptions).GetProperties(), .. typeof(ServiceOptions).GetProperties()];

    [Theory]
    [InlineData("")]
    [InlineData("Bad Name")]
    [InlineData("0x10")]
    [InlineData("-1")]
    [InlineData("99999999999999999999")]
    public async Task Every_wrong_value_stops_the_start_with_its_setting_its_variable_and_what_it_must_be(string value)
    {
        // The one setting that accepts any text except an empty one.
        var wrong = All.Where(setting => value.Length == 0 || setting.Name != nameof(ServiceOptions.DataFolder)).ToList();

        var run = await StartAsync([.. wrong.Select(setting => (setting, value))]);

        ShouldBeRefused(run, wrong);
        run.Output.Should().NotContain("Bad Name", "the log names the book, but any value may be a password in the wrong place");
    }

    [Fact]
    public async Task Every_number_accepts_exactly_its_range()
    {
        var numbers = All.Where(setting => setting.PropertyType == typeof(int)).ToList();

        ShouldBeRefused(await StartAsync([.. numbers.Select(setting => (setting, $"{(int)RangeOf(setting).Minimum - 1}"))]), numbers);
        ShouldBeRefused(await StartAsync([.. numbers.Select(setting => (setting, $"{(int)RangeOf(setting).Maximum + 1}"))]), numbers);
        foreach (var end in new Func<RangeAttribute, object>[] { range => range.Minimum, range => range.Maximum })
        {
            await using var service = new ServiceProcess(
                database.ConnectionString, $"book_{Guid.NewGuid():N}", [.. numbers.Select(setting => ($"Banking__{setting.Name}", $"{end(RangeOf(setting))}"))]);
            await service.StartAsync();
            service.FailedStarts.Should().Be(0, string.Join('\n', service.Lines));
            (await service.GetAsync("/health/live"))["status"].Should().Be("live");
        }
    }

    [Fact]
    public async Task A_setting_that_does_not_exist_stops_the_start()
    {
        var run = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__QueuLimit", "10"));

        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Banking:QueuLimit (environment variable Banking__QueuLimit) is not a setting.").And.Contain("QueueLimit,");
    }

    [Fact]
    public async Task A_default_currency_that_the_book_does_not_have_stops_the_start()
    {
        await using var bank = new BankingApp(database);
        var run = await ServiceProcess.RunAsync(
            [], ("ConnectionStrings__Banking", database.ConnectionString), ("Banking__Schema", bank.Book.Schema), ("Banking__DefaultCurrency", "AAA"));

        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Banking__DefaultCurrency) must be a currency that the book has");
    }

    public static TheoryData<string> BadConnectionStrings =>
    [
        "nonsense",
        Secret,
        $"Host=127.0.0.1;Password=pass;{Secret}",
        $"Host=127.0.0.1;Password=pass;{Secret}=x",
        $"Host=127.0.0.1;Password='pass;{Secret}",
        $"Host=127.0.0.1;Pasword={Secret}",
        $"Host=127.0.0.1;Port={Secret}",
        $"Host=127.0.0.1;SSL Mode={Secret}",
        $"Host=127.0.0.1;Timeout=-{Secret}",
        $"Username=banking;Password={Secret}", // no host
        $"Host=127.0.0.1,127.0.0.2;Pooling=false;Multiplexing=true;Password={Secret}",
    ];

    [Theory]
    [MemberData(nameof(BadConnectionStrings))]
    public async Task A_connection_string_that_can_not_be_read_is_named_and_never_shown(string connectionString)
    {
        var run = await ServiceProcess.RunAsync([], ("ConnectionStrings__Banking", connectionString));

        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Can't start").And.Contain("ConnectionStrings__Banking").And.NotContain("   at ").And.NotContainAny(Secret, "pass;");
        run.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task A_connection_string_of_a_standby_that_can_not_be_read_is_named_and_never_shown()
    {
        var run = await ServiceProcess.RunAsync(
            [], ("ConnectionStrings__Banking", database.ConnectionString), ("ConnectionStrings__Replica", $"Host=127.0.0.1;Port={Secret}"));

        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Can't start: ConnectionStrings__Replica cannot be read").And.NotContain("   at ").And.NotContain(Secret);
    }

    [Theory]
    [InlineData("serve", 1)]
    [InlineData("migrate", 1)]
    [InlineData("verify", 2)]
    public async Task An_error_about_a_valid_connection_string_never_shows_its_password(string command, int exitCode)
    {
        foreach (var change in new Action<NpgsqlConnectionStringBuilder>[]
        {
            settings => settings.Username = "nobody_of_that_name",
            settings => settings.Database = "no_such_database",
            settings => settings.Host = "/nowhere",
            settings => settings.SearchPath = "elsewhere",
            settings => settings.Timezone = "Nowhere/Land",
        })
        {
            var settings = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Password = Secret };
            change(settings);

            var run = await ServiceProcess.RunAsync(
                [command], ("ConnectionStrings__Banking", settings.ConnectionString), ("Banking__StartSeconds", "0"), ("Banking__Schema", "pg_no_such_book"),
                ("Logging__LogLevel__Default", "Trace"), ("Logging__LogLevel__Npgsql", "Trace"));

            run.ExitCode.Should().Be(exitCode, run.Output);
            (run.Output + run.Errors).Should().Contain("Can't ").And.NotContain(Secret);
        }
    }

    private Task<Run> StartAsync(params (PropertyInfo Setting, string Value)[] settings) => ServiceProcess.RunAsync(
        [], [("ConnectionStrings__Banking", database.ConnectionString), .. settings.Select(setting => ($"Banking__{setting.Setting.Name}", setting.Value))]);

    private static void ShouldBeRefused(Run run, List<PropertyInfo> settings)
    {
        run.ExitCode.Should().Be(1);
        run.Output.Should().Contain("Can't start").And.NotContain("   at ", "a stack trace is no help to its reader");
        run.Errors.Should().BeEmpty();
        foreach (var setting in settings)
        {
            var rule = setting.PropertyType == typeof(bool) ? "true or false"
                : setting.PropertyType == typeof(int) ? $"a whole number from {RangeOf(setting).Minimum} to {RangeOf(setting).Maximum}"
                : setting.GetCustomAttribute<RegularExpressionAttribute>()!.ErrorMessage;
            run.Output.Should().Contain($"Banking:{setting.Name} (environment variable Banking__{setting.Name}) must be {rule}");
        }
    }

    private static RangeAttribute RangeOf(PropertyInfo setting) => setting.GetCustomAttribute<RangeAttribute>()!;
}
