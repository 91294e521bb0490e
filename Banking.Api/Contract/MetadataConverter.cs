using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>The members of metadata that break a rule, by name. The path of a JsonException can't name them.</summary>
internal sealed class MetadataException(IReadOnlyDictionary<string, string> mistakes) : JsonException
{
    public IReadOnlyDictionary<string, string> Mistakes => mistakes;
}

/// <summary>
/// Reads metadata into the order of PostgreSQL's jsonb. Stops at the first member beyond the limit, so that a large body makes no
/// large dictionary. <see cref="MetadataAttribute"/> checks the other rules.
/// </summary>
internal sealed class MetadataConverter : JsonConverter<IReadOnlyDictionary<string, string>>
{
    public override IReadOnlyDictionary<string, string> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException();
        }

        var members = new SortedDictionary<string, string>(Data.Metadata.JsonbOrder);
        Dictionary<string, string>? mistakes = null;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            if (members.Count == MetadataAttribute.MostMembers || TextOf(ref reader) is not { } name || !TextAttribute.Holds(name, 1, MetadataAttribute.LongestName))
            {
                throw new JsonException();
            }

            reader.Read();
            var text = reader.TokenType == JsonTokenType.String ? TextOf(ref reader) : null;
            if (!members.TryAdd(name, text ?? ""))
            {
                (mistakes ??= [])[name] = "is given more than once. Send it once.";
            }
            else if (text is null)
            {
                (mistakes ??= [])[name] = reader.TokenType == JsonTokenType.String
                    ? "must be a string of valid Unicode text."
                    : $"must be a string of at most {MetadataAttribute.LongestValue} characters.";
            }

            reader.TrySkip();
        }

        return mistakes is null ? members : throw new MetadataException(mistakes);
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyDictionary<string, string> value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach (var (name, text) in value)
        {
            writer.WriteString(name, text);
        }

        writer.WriteEndObject();
    }

    /// <summary>The token's text, or null if it is not valid Unicode.</summary>
    private static string? TextOf(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
