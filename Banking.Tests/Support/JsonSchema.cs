using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Banking.Tests;

/// <summary>
/// The part of JSON Schema that the API's document uses. An unknown keyword is an error. It is stricter than a client may be: what the
/// document leaves open for a later version, this version must not send.
/// </summary>
internal sealed class JsonSchema(JsonElement document)
{
    /// <summary>What is wrong with the value, each with its place.</summary>
    public IEnumerable<string> Violations(JsonElement schema, JsonElement value, string at = "$") =>
        schema.EnumerateObject().SelectMany(keyword => Breaches(keyword, schema, value, at));

    public JsonElement Resolve(JsonElement schema) => !schema.TryGetProperty("$ref", out var reference) ? schema
        : reference.GetString()!.Split('/')[1..].Aggregate(document, (element, name) => element.GetProperty(name));

    public static List<string> TypesOf(JsonElement schema) => schema.GetProperty("type") is { ValueKind: JsonValueKind.Array } several
        ? [.. several.EnumerateArray().Select(type => type.GetString()!)]
        : [schema.GetProperty("type").GetString()!];

    private IEnumerable<string> Breaches(JsonProperty keyword, JsonElement schema, JsonElement value, string at)
    {
        var (isText, isObject) = (value.ValueKind == JsonValueKind.String, value.ValueKind == JsonValueKind.Object);
        var fine = keyword.Name switch
        {
            "description" or "default" or "examples" or "x-ms-primary-error-message" or "properties" or "items" or "additionalProperties" or "$ref" => true,
            "type" => TypesOf(schema).Exists(type => IsA(type, value)),
            "enum" or "x-extensible-enum" => keyword.Value.EnumerateArray().Any(allowed => allowed.GetString() == (isText ? value.GetString() : null)),
            "required" => !isObject || keyword.Value.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)),
            "pattern" => !isText || Regex.IsMatch(value.GetString()!, keyword.Value.GetString()!),
            "format" => FormatFits(keyword.Value.GetString()!, value),
            "minLength" => !isText || value.GetString()!.EnumerateRunes().Count() >= keyword.Value.GetInt32(),
            "maxLength" => !isText || value.GetString()!.EnumerateRunes().Count() <= keyword.Value.GetInt32(),
            "minimum" => value.ValueKind != JsonValueKind.Number || value.GetDecimal() >= keyword.Value.GetDecimal(),
            "maximum" => value.ValueKind != JsonValueKind.Number || value.GetDecimal() <= keyword.Value.GetDecimal(),
            "oneOf" => keyword.Value.EnumerateArray().Count(option => !Violations(option, value, at).Any()) == 1,
            "maxProperties" => !isObject || value.EnumerateObject().Count() <= keyword.Value.GetInt32(),
            _ => throw new NotSupportedException($"The document uses {keyword.Name}, which this validator doesn't know."),
        };
        var inner = keyword.Name switch
        {
            "$ref" => Violations(Resolve(schema), value, at),
            "items" when value.ValueKind == JsonValueKind.Array =>
                value.EnumerateArray().SelectMany((item, i) => Violations(keyword.Value, item, $"{at}[{i}]")),
            "properties" when isObject => value.EnumerateObject()
                .SelectMany(member => keyword.Value.TryGetProperty(member.Name, out var known)
                    ? Violations(known, member.Value, $"{at}.{member.Name}")
                    : [$"{at}.{member.Name} is unknown"]),
            "additionalProperties" when isObject && !schema.TryGetProperty("properties", out _) => value.EnumerateObject()
                .SelectMany(member => Violations(keyword.Value, member.Value, $"{at}.{member.Name}")),
            _ => [],
        };
        return fine ? inner : [$"{at} breaks {keyword.Name} {keyword.Value}"];
    }

    private static bool IsA(string type, JsonElement value) => type switch
    {
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        _ => value.ValueKind.ToString().Equals(type, StringComparison.OrdinalIgnoreCase),
    };

    private static bool FormatFits(string format, JsonElement value) => format switch
    {
        "date-time" => value.ValueKind != JsonValueKind.String || DateTimeOffset.TryParse(value.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _),
        "int32" => value.ValueKind != JsonValueKind.Number || value.TryGetInt32(out _), // "type" checks that it is a number
        "int64" => value.ValueKind != JsonValueKind.Number || value.TryGetInt64(out _),
        _ => throw new NotSupportedException($"The document uses the format {format}, which this validator doesn't know."),
    };
}
