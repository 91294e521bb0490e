using System.Text.Encodings.Web;
using System.Text.Json;

namespace Banking.Data;

/// <summary>
/// A client's own notes on a posting, as JSON text. Its members stand in the order in which PostgreSQL's jsonb keeps them
/// (shorter names first, then by bytes), so a new transaction's answer and every later one of it are the same to the letter.
/// </summary>
public static class Metadata
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string? Write(IReadOnlyDictionary<string, string>? members) => members is null ? null
        : JsonSerializer.Serialize(new OrderedDictionary<string, string>(members.OrderBy(member => member.Key, JsonbOrder)), Json);

    public static IReadOnlyDictionary<string, string>? Read(string? text) => text is null ? null
        : JsonSerializer.Deserialize<OrderedDictionary<string, string>>(text, Json);

    /// <summary>Whether two texts hold the same members, however they are spaced.</summary>
    public static bool Same(string? one, string? other) => one == other || Write(Read(one)) == Write(Read(other));

    public static readonly Comparer<string> JsonbOrder = Comparer<string>.Create((one, other) =>
    {
        byte[] left = System.Text.Encoding.UTF8.GetBytes(one), right = System.Text.Encoding.UTF8.GetBytes(other);
        return left.Length != right.Length ? left.Length.CompareTo(right.Length) : left.AsSpan().SequenceCompareTo(right);
    });
}
