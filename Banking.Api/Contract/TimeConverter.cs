using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Banking.Api;

/// <summary>Writes times in UTC with the six digits that PostgreSQL stores, so that they sort and compare as text.</summary>
internal sealed class TimeConverter : JsonConverter<DateTime>
{
    public const string Form = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'";
    public const int Length = 27;

    public override DateTime Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTime();

    public override void Write(Utf8JsonWriter writer, DateTime value, JsonSerializerOptions options)
    {
        Span<byte> text = stackalloc byte[Length];
        Format(value, text);
        writer.WriteStringValue(text);
    }

    public static string Format(DateTime value) => value.ToUniversalTime().ToString(Form, CultureInfo.InvariantCulture);

    public static void Format(DateTime value, Span<byte> text)
    {
        Span<byte> sevenDigits = stackalloc byte[Length + 1]; // .NET has fast code for this form, and reads any other letter by letter
        value.ToUniversalTime().TryFormat(sevenDigits, out _, "O", CultureInfo.InvariantCulture);
        sevenDigits[..(Length - 1)].CopyTo(text);
        text[Length - 1] = (byte)'Z';
    }
}

/// <summary>
/// Reads an instant: a date and a time with at most nine digits of fraction, and <c>Z</c> or an offset from UTC. It is kept in UTC, with the
/// six digits that PostgreSQL stores. Clients of .NET write seven digits, those of Java and Go nine.
/// </summary>
internal sealed partial class InstantConverter : JsonConverter<DateTime?>
{
    public const string Rule = "must be a time such as 2026-01-02T03:04:05Z or 2026-01-02T03:04:05.678901+01:00 (RFC 3339). Z or an offset is required, and at most 9 digits of fraction are allowed.";

    private static readonly string[] Forms = ["yyyy-MM-dd'T'HH:mm:ssK", .. Enumerable.Range(1, 6).Select(digits => $"yyyy-MM-dd'T'HH:mm:ss.{new string('f', digits)}K")];

    public override DateTime? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Parse(reader.GetString()!) is { } instant ? instant : throw new JsonException(Rule);

    public override void Write(Utf8JsonWriter writer, DateTime? value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value?.ToString("O", CultureInfo.InvariantCulture));

    /// <summary>The time in UTC; null where the text has another form. Without an offset nobody knows which time is meant.</summary>
    public static DateTime? Parse(string text) =>
        DateTime.TryParseExact(BelowMicroseconds().Replace(text, ""), Forms, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var instant) && instant.Kind == DateTimeKind.Utc
            ? instant
            : null;

    [GeneratedRegex(@"(?<=\.[0-9]{6})[0-9]{1,3}(?=[Z+-])")]
    private static partial Regex BelowMicroseconds();
}
