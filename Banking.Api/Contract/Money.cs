using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Banking.Data;

namespace Banking.Api;

/// <summary>Amounts on the wire: exact decimals, never a binary float.</summary>
public static partial class Money
{
    public const string RequestPattern = @"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$";
    public const string AnswerPattern = @"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$";
    public const string Form = "a decimal number, as a string or a number, of at most 15 whole digits and 4 decimals, without sign or exponent.";
    public const string Rule =
        "must be a positive decimal such as \"10.50\": digits and one point, no sign, comma, exponent or symbol; at most 15 digits before the point and 4 after it.";

    /// <summary>The amount with its currency's own digits: 10.50, 150, 1.250.</summary>
    public static string Format(decimal amount, Currency currency) => currency.Format(amount);

    [GeneratedRegex(RequestPattern)]
    internal static partial Regex RequestRegex();
}

/// <summary>Reads an amount from a JSON string or number by its digits, so that nothing is rounded on the way in.</summary>
internal sealed class MoneyConverter : JsonConverter<decimal?>
{
    public override decimal? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var digits = reader.TokenType switch
        {
            JsonTokenType.String => reader.GetString(),
            JsonTokenType.Number => Encoding.UTF8.GetString(reader.HasValueSequence ? reader.ValueSequence.ToArray() : reader.ValueSpan),
            _ => null,
        };
        // $ also matches before a line break at the end.
        if (digits is not null && Money.RequestRegex().IsMatch(digits) && !digits.EndsWith('\n'))
        {
            return decimal.Parse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture);
        }

        throw new JsonException(Money.Rule);
    }

    /// <summary>Writes an amount in the one form that all of its spellings have in common: 1.5 for 1.50.</summary>
    public override void Write(Utf8JsonWriter writer, decimal? value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value?.ToString("0.####", CultureInfo.InvariantCulture));
}
