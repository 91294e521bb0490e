using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Banking.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Banking.Api;

/// <summary>
/// Refuses invalid settings. The message names the setting, its environment variable and what is allowed. It never repeats a value:
/// any value may be a password in the wrong place.
/// </summary>
internal static class Settings
{
    /// <summary>Checks the section <c>Banking</c> against the rules of <see cref="LedgerOptions"/> and <see cref="ServiceOptions"/>.</summary>
    /// <exception cref="OptionsValidationException">Settings are invalid. The message names all of them.</exception>
    public static void Check(IConfiguration configuration)
    {
        PropertyInfo[] known = [.. typeof(LedgerOptions).GetProperties(), .. typeof(ServiceOptions).GetProperties()];
        var wrong = new List<string>();
        foreach (var setting in configuration.GetSection("Banking").GetChildren())
        {
            if (known.FirstOrDefault(property => property.Name.Equals(setting.Key, StringComparison.OrdinalIgnoreCase)) is not { } property)
            {
                wrong.Add($"{NameOf(setting.Key)} is not a setting. The settings are {string.Join(", ", known.Select(one => one.Name))}");
            }
            else if (BrokenRule(property, setting.Value ?? "") is { } rule)
            {
                wrong.Add($"{NameOf(property.Name)} must be {rule}");
            }
        }

        if (wrong.Count > 0)
        {
            throw new OptionsValidationException(Options.DefaultName, typeof(ServiceOptions), [string.Join("; ", wrong) + "."]);
        }
    }

    /// <summary>The book's name for log and metrics: "?" if the setting is invalid, which stops the start a moment later.</summary>
    public static string BookOf(IConfiguration configuration)
    {
        var schema = configuration["Banking:Schema"] ?? new LedgerOptions().Schema;
        return BrokenRule(typeof(LedgerOptions).GetProperty(nameof(LedgerOptions.Schema))!, schema) is null ? schema : "?";
    }

    /// <summary>Checks the settings against the book.</summary>
    /// <exception cref="InvalidOperationException">The book does not have the default currency.</exception>
    public static async Task CheckAsync(ServiceOptions options, Currencies currencies)
    {
        if (await currencies.FindAsync(options.DefaultCurrency) is null)
        {
            throw new InvalidOperationException(
                $"{NameOf(nameof(options.DefaultCurrency))} must be a currency that the book has, such as EUR.");
        }
    }

    private static string NameOf(string setting) => $"Banking:{setting} (environment variable Banking__{setting})";

    /// <summary>What is allowed, if the text is not; else null.</summary>
    private static string? BrokenRule(PropertyInfo property, string text)
    {
        var (holds, rule) = (property.PropertyType == typeof(bool), property.GetCustomAttribute<ValidationAttribute>()) switch
        {
            (true, _) => (bool.TryParse(text, out _), "true or false"),
            (_, RangeAttribute range) => (
                int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && range.IsValid(number),
                $"a whole number from {range.Minimum} to {range.Maximum}"),
            (_, RegularExpressionAttribute form) => (text.Length > 0 && form.IsValid(text), form.ErrorMessage),
            _ => throw new InvalidOperationException($"{property.Name} has no rule."),
        };
        return holds ? null : rule;
    }

    /// <summary>A connection string that Npgsql accepts and whose certificates exist; null if none is set.</summary>
    /// <exception cref="InvalidOperationException">Npgsql does not accept it, or a file is missing.</exception>
    public static string? ConnectionString(IConfiguration configuration, string name)
    {
        if (configuration.GetConnectionString(name) is not { Length: > 0 } configured)
        {
            return null;
        }

        try
        {
            using var used = NpgsqlDataSource.Create(configured);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidOperationException or NotSupportedException)
        {
            // Npgsql's message may quote a part of the password, so it is dropped.
            throw new InvalidOperationException(
                $"ConnectionStrings__{name} cannot be read. Write Host=…;Database=…;Username=…;Password=…, and put a value that contains "
                + "; = or a quote in quotes. The value is not shown here because it may contain a password.");
        }

        // Npgsql would say no more than that the server's certificate was rejected.
        var named = new NpgsqlConnectionStringBuilder(configured);
        foreach (var (key, file) in new[] { ("Root Certificate", named.RootCertificate), ("SSL Certificate", named.SslCertificate), ("SSL Key", named.SslKey) })
        {
            if (file is not (null or "system") && !File.Exists(file))
            {
                throw new InvalidOperationException($"ConnectionStrings__{name} says {key}={file}, but there is no such file, or this process may not reach it.");
            }
        }

        return configured;
    }
}
