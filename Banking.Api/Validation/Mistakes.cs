using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Banking.Api;

/// <summary>
/// Collects all mistakes of one request by field. <see cref="AreInParameters"/> is cheap for a request without mistakes. The body
/// is searched only when the request is refused anyway.
/// </summary>
internal sealed class Mistakes(HttpRequest request, CallForm call, BufferedBody? body)
{
    public const int Most = 50; // keeps the answer small, however many mistakes a body has
    private const int LongestName = 64;
    private const string Twice = "is given more than once. Send it once.";
    private const string NoObject = "must be a JSON object with the members of this call.";

    private Dictionary<string, string[]>? errors;

    /// <summary>Whether parameters are repeated, unknown or not numbers. What the framework makes of them does not show these.</summary>
    public bool AreInParameters()
    {
        foreach (var (name, values) in request.Query)
        {
            if (!call.Query.TryGetValue(name, out var parameter))
            {
                AddUnknown(name, "parameter", call.Query.Keys);
            }
            else if (values.Count > 1)
            {
                Add(name, Twice);
            }
            else if (parameter.Type != typeof(string) && !IsNumber(values[0], parameter.Type))
            {
                Add(name, parameter.Rules.OfType<RangeAttribute>().Single().FormatErrorMessage(name));
            }
        }

        foreach (var header in call.Headers)
        {
            if (request.Headers[header.Name].Count > 1)
            {
                Add(header.Name, Twice);
            }
        }

        return errors is not null;
    }

    /// <summary>The answer that lists all mistakes in the parameters and in the body.</summary>
    public ProblemResult ToAnswer()
    {
        foreach (var (name, parameter) in call.Query)
        {
            if (!request.Query.ContainsKey(name))
            {
                AddBroken(name, parameter.Rules, value: null, new(this));
            }
        }

        foreach (var (name, values) in request.Query)
        {
            if (call.Query.TryGetValue(name, out var parameter))
            {
                AddBroken(name, parameter.Rules, (string?)values, new(this));
            }
        }

        foreach (var header in call.Headers)
        {
            AddBroken(header.Name, header.Rules, (string?)request.Headers[header.Name], new(this));
        }

        if (body is not null)
        {
            WalkBody(body.Bytes, call.Body!.Type);
        }

        if (errors is null)
        {
            Add("body", NoObject);
        }

        return Problem.Invalid(errors!);
    }

    private void WalkBody(ReadOnlySpan<byte> json, JsonTypeInfo type)
    {
        if (json.IsEmpty)
        {
            Add("body", "is required. Send a JSON object.");
            return;
        }

        if (json.StartsWith(Encoding.UTF8.Preamble))
        {
            json = json[Encoding.UTF8.Preamble.Length..]; // the framework skips it too
        }

        WalkObject(json, type, within: "");
    }

    /// <summary>Walks an object of the body. <paramref name="within"/> is where it is, such as <c>postings[7].</c></summary>
    private void WalkObject(ReadOnlySpan<byte> json, JsonTypeInfo type, string within)
    {
        var whole = within.Length == 0 ? "body" : within.TrimEnd('.');
        var reader = new Utf8JsonReader(json, new() { MaxDepth = type.Options.MaxDepth });
        var (place, isWhole, seen, readable) = (whole, false, new HashSet<string>(), new Dictionary<string, byte[]>());
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                Add(place, NoObject);
                return;
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var (start, name) = ((int)reader.TokenStartIndex, NameOf(ref reader));
                place = name is null ? whole : within + name;
                reader.Read();
                var value = (int)reader.TokenStartIndex;
                reader.Skip();
                var end = (int)reader.BytesConsumed;
                place = whole;
                if (name is null)
                {
                    Add(whole, "has a member whose name is not valid Unicode text.");
                }
                else if (type.Properties.FirstOrDefault(property => property.Name == name) is not { } property)
                {
                    AddUnknown(within + name, "member", type.Properties.Select(property => within + property.Name));
                }
                else if (!seen.Add(name))
                {
                    Add(within + name, Twice);
                }
                else if (MemberRules.ItemsOf(property) is { } items ? AreReadable(json[value..end], items, property, within + name) : IsReadable(json[start..end].ToArray(), type, within))
                {
                    readable.Add(name, json[start..end].ToArray());
                }

                if (errors?.Count >= Most)
                {
                    return;
                }
            }

            reader.Read();
            isWhole = true;
        }
        catch (JsonException malformed)
        {
            Add(place, $"is not valid JSON or is nested too deeply. See line {malformed.LineNumber + 1}, byte {malformed.BytePositionInLine + 1}.");
        }

        // Readable members are checked against their rules. A missing member is a mistake only if the whole object could be read.
        var given = JsonSerializer.Deserialize(ObjectOf(readable.Values), type)!;
        foreach (var property in type.Properties.Where(property => seen.Contains(property.Name) ? readable.ContainsKey(property.Name) : isWhole))
        {
            var counting = MemberRules.Of(property).Where(rule => rule is not NeededUnlessAttribute { Other: var other } || !IsUnreadable(JsonNamingPolicy.SnakeCaseLower.ConvertName(other)));
            AddBroken(within + property.Name, counting, property.Get!(given), new(given));
        }

        bool IsUnreadable(string member) => seen.Contains(member) && !readable.ContainsKey(member);
    }

    /// <summary>Whether a list of objects can be read. Adds the mistakes of each item under its place in the list.</summary>
    private bool AreReadable(ReadOnlySpan<byte> json, JsonTypeInfo items, JsonPropertyInfo property, string name)
    {
        var before = errors?.Count ?? 0;
        var rule = MemberRules.Of(property).OfType<CountAttribute>().Single();
        var reader = new Utf8JsonReader(json, new() { MaxDepth = items.Options.MaxDepth });
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            Add(name, rule.FormatErrorMessage(name));
            return false;
        }

        for (var i = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; i++)
        {
            if (i == rule.MaximumLength)
            {
                Add(name, rule.FormatErrorMessage(name));
                return false;
            }

            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            WalkObject(json[start..(int)reader.BytesConsumed], items, $"{name}[{i}].");
            if (errors?.Count >= Most)
            {
                return false;
            }
        }

        return (errors?.Count ?? 0) == before;
    }

    /// <summary>Whether a member can be read. If not, adds the mistake.</summary>
    private bool IsReadable(byte[] member, JsonTypeInfo type, string within)
    {
        try
        {
            JsonSerializer.Deserialize(ObjectOf([member]), type);
            return true;
        }
        catch (MetadataException exception)
        {
            foreach (var (name, rule) in exception.Mistakes)
            {
                Add($"{within}{FieldOf(exception.Path)}.{name}", rule);
            }
        }
        catch (JsonException exception)
        {
            var field = FieldOf(exception.Path);
            var property = type.Properties.FirstOrDefault(property => property.Name == field.Split('.', '[')[0]);
            Add(property is null ? field : within + field, property is null ? NoObject : RuleOf(property));
        }

        return false;
    }

    /// <summary>Adds the first rule that a value breaks, unless its field has a mistake already.</summary>
    private void AddBroken(string name, IEnumerable<ValidationAttribute> rules, object? value, ValidationContext context)
    {
        if (errors?.ContainsKey(name) is true)
        {
            return;
        }

        context.DisplayName = name;
        foreach (var rule in rules)
        {
            if (rule.GetValidationResult(value, context) is { ErrorMessage: { } message })
            {
                Add(name, message);
                return;
            }
        }
    }

    /// <summary>Adds an unknown name. Suggests a known name that differs in case, in underscores or in at most two letters.</summary>
    private void AddUnknown(string name, string what, IEnumerable<string> known)
    {
        if (errors?.ContainsKey(name) is true)
        {
            return;
        }

        var nearest = name.Length > LongestName ? null : known
            .Select(one => (Name: one, Distance: Distance(Plain(name), Plain(one))))
            .Where(one => one.Distance <= Math.Min(2, one.Name.Length / 3))
            .OrderBy(one => one.Distance)
            .FirstOrDefault().Name;
        Add(name, $"is not a {what} of this call. {(nearest is null ? "Remove it." : $"Did you mean {nearest}?")}");

        static string Plain(string text) => text.Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
    }

    private void Add(string field, string rule) => (errors ??= []).TryAdd(field.Length <= LongestName ? field : $"{field[..LongestName]}...", [rule]);

    private static byte[] ObjectOf(IEnumerable<byte[]> members)
    {
        var json = new List<byte>("{"u8.ToArray());
        foreach (var member in members)
        {
            json.AddRange(json.Count > 1 ? ","u8 : ""u8);
            json.AddRange(member);
        }

        return [.. json, (byte)'}'];
    }

    private static string? NameOf(ref Utf8JsonReader reader)
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

    /// <summary>The field that a JSON path names, such as <c>$.amount</c> or <c>$.metadata.branch</c>.</summary>
    private static string FieldOf(string? path) => path is null or "$" ? "body" : path[1..].TrimStart('.');

    private static string RuleOf(JsonPropertyInfo property) =>
        property.PropertyType == typeof(decimal?) ? Money.Rule
        : property.PropertyType == typeof(long?) ? IdAttribute.Rule
        : property.PropertyType == typeof(bool?) ? "must be true or false."
        : property.PropertyType == typeof(DateTime?) ? InstantConverter.Rule
        : property.PropertyType == typeof(string) ? "must be a string of valid Unicode text."
        : new MetadataAttribute().FormatErrorMessage(property.Name);

    private static bool IsNumber(string? text, Type type) => type == typeof(int?)
        ? int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    /// <summary>The number of letters to add, drop or change to turn one name into the other (Levenshtein distance).</summary>
    private static int Distance(string one, string other)
    {
        var row = Enumerable.Range(0, other.Length + 1).ToArray();
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= other.Length; j++)
            {
                var changed = diagonal + (one[i - 1] == other[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(changed, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
