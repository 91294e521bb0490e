using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Banking.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Banking.Api;

/// <summary>
/// Refuses settings that are wrong, in words that an operator can act on: the setting, its environment variable, and what it
/// must be. No value is repeated, as any of them may be a password that stands in the wrong place.
/// </summary>
internal static class Settings
{
    /// <summary>Holds the section <c>Banking</c> to the rules of <see cref="LedgerOptions"/> and <see cref="ServiceOptions"/>.</summary>
    /// <exception cref="OptionsValidationException">Something is wrong; all of it is named.</exception>
    public static void Check(IConfiguration configuration)
    {
        PropertyInfo[] known = [.. typeof(LedgerOptions).GetProperties(), .. typeof(ServiceOptions).GetProperties()];
        var wrong = new List<string>();
        foreach (var setting in configuration.GetSection("Banking").GetChildren())
        {
            if (known.FirstOrDefault(property => property.Name.Equals(setting.Key, StringComparison.OrdinalIgnoreCase)) is not { } property)
            {
                wrong.Add($"{NameOf(setting.Key)} is no setting. There are {string.Join(", ", known.Select(one => one.Name))}");
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

    /// <summary>Holds the settings to the book.</summary>
    /// <exception cref="InvalidOperationException">The default currency is none of the book's.</exception>
    public static async Task CheckAsync(ServiceOptions options, Currencies currencies)
    {
        if (await currencies.FindAsync(options.DefaultCurrency) is null)
        {
            throw new InvalidOperationException(
                $"{NameOf(nameof(options.DefaultCurrency))} must be the code of a currency in use of ISO 4217, such as EUR.");
        }
    }

    private static string NameOf(string setting) => $"Banking:{setting} (environment variable Banking__{setting})";

    /// <summary>What the text must be, where it isn't.</summary>
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

    /// <summary>A connection string that can be used as it is; null where none is set.</summary>
    /// <exception cref="InvalidOperationException">It can't be used.</exception>
    public static string? ConnectionString(IConfiguration configuration, string name)
    {
        if (configuration.GetConnectionString(name) is not { Length: > 0 } configured)
        {
            return null;
        }

        try
        {
            using var used = NpgsqlDataSource.Create(configured);
            return configured;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidOperationException or NotSupportedException)
        {
            // Npgsql's message quotes what it stumbled over, which may be the end of a password, so it goes nowhere.
            throw new InvalidOperationException(
                $"ConnectionStrings__{name} can't be read. Its form is Host=…;Database=…;Username=…;Password=…, and a value with ; = or "
                + "quotes in it stands in quotes. It isn't shown, as it may hold a password.");
        }
    }
}
