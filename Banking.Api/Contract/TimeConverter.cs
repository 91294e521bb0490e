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
        value.ToUniversalTime().TryFormat(text, out var written, Form, System.Globalization.CultureInfo.InvariantCulture);
        writer.WriteStringValue(text[..written]);
    }
}
