using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Banking.Data;

namespace Banking.Api;

/// <summary>Amounts in requests and answers: exact decimals, never binary floats.</summary>
public static partial class Money
{
    public const string RequestPattern = @"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$";
    public const string AnswerPattern = @"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$";
    public const string SumPattern = @"^(0|[1-9][0-9]*)(\.[0-9]{1,4})?$";
    public const string Rule =
        "must be a decimal such as \"10.50\", with at most 15 digits before the point and 4 after it. Signs, commas, exponents and currency symbols are not allowed.";

    /// <summary>Formats an amount with its currency's number of decimals: 10.50, 150, 1.250.</summary>
    public static string Format(decimal amount, Currency currency) => currency.Format(amount);

    [GeneratedRegex(RequestPattern)]
    internal static partial Regex RequestRegex();
}

/// <summary>Reads an amount from the digits of a JSON string or number, so that nothing is rounded.</summary>
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
        // $ also matches before a final line break.
        if (digits is not null && Money.RequestRegex().IsMatch(digits) && !digits.EndsWith('\n'))
        {
            return decimal.Parse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture);
        }

        throw new JsonException(Money.Rule);
    }

    /// <summary>Writes equal amounts as equal text: 1.5 for 1.50.</summary>
    public override void Write(Utf8JsonWriter writer, decimal? value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value?.ToString("0.####", CultureInfo.InvariantCulture));
}
