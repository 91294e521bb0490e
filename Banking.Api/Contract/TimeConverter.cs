using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>Writes times in UTC with the six digits that PostgreSQL stores, so that they sort and compare as text.</summary>
internal sealed class TimeConverter : JsonConverter<DateTime>
{
    private const string Form = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'";
    private const int Length = 27;

    public override DateTime Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTime();

    public override void Write(Utf8JsonWriter writer, DateTime value, JsonSerializerOptions options)
    {
        Span<byte> text = stackalloc byte[Length];
        value.ToUniversalTime().TryFormat(text, out var written, Form, CultureInfo.InvariantCulture);
        writer.WriteStringValue(text[..written]);
    }
}

/// <summary>Reads an instant: a date and a time with at most six digits of fraction, and <c>Z</c> or an offset from UTC. It is kept in UTC.</summary>
internal sealed class InstantConverter : JsonConverter<DateTime?>
{
    public const string Rule = "must be an instant in the form of RFC 3339, such as 2026-01-02T03:04:05Z, with at most 6 digits of fraction.";

    private static readonly string[] Forms = ["yyyy-MM-dd'T'HH:mm:ssK", .. Enumerable.Range(1, 6).Select(digits => $"yyyy-MM-dd'T'HH:mm:ss.{new string('f', digits)}K")];

    public override DateTime? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Parse(reader.GetString()!) is { } instant ? instant : throw new JsonException(Rule);

    public override void Write(Utf8JsonWriter writer, DateTime? value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value?.ToString("O", CultureInfo.InvariantCulture));

    /// <summary>The instant in UTC; null where the text is none. Without an offset nobody knows which instant is meant.</summary>
    public static DateTime? Parse(string text) =>
        DateTime.TryParseExact(text, Forms, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var instant) && instant.Kind == DateTimeKind.Utc
            ? instant
            : null;
}
