using System.Text.Json;
using System.Text.Json.Serialization;

namespace Banking.Api;

/// <summary>A member of metadata that breaks a rule of its own. Which one it is, no path of a JsonException says.</summary>
internal sealed class MetadataMemberException(string member, string rule) : JsonException(rule)
{
    public string Member => member;
}

/// <summary>
/// Reads metadata into the order of PostgreSQL's jsonb, and stops at the first member too many: a large body makes no large
/// dictionary. The other rules are <see cref="MetadataAttribute"/>'s.
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
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            if (members.Count == MetadataAttribute.MostMembers || TextOf(ref reader) is not { } name || !TextAttribute.Holds(name, 1, MetadataAttribute.LongestName))
            {
                throw new JsonException();
            }

            if (members.ContainsKey(name))
            {
                throw new MetadataMemberException(name, "is given more than once.");
            }

            reader.Read();
            members.Add(name, reader.TokenType switch
            {
                JsonTokenType.Null => throw new JsonException(),
                JsonTokenType.String when TextOf(ref reader) is { } text => text,
                _ => throw new MetadataMemberException(name, "must be a string of well-formed Unicode text."),
            });
        }

        return members;
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

    /// <summary>Null where it is not well-formed Unicode.</summary>
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
