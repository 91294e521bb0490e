using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Banking.Data;

namespace Banking.Api;

/// <summary>Where a page starts: the next_cursor of the page before it. <see cref="PagedList"/> reads it.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class CursorAttribute : ValidationAttribute
{
    public const string Rule = "must be the next_cursor of an earlier page of the same list, with the same filters.";

    public override bool IsValid(object? value) => value is null or "" || (value is string text && PagedList.TryParse(text, out _, out _));

    public override string FormatErrorMessage(string name) => Rule;
}

/// <summary>
/// A list that is read in pages. Its cursors are the id of a page's last row and a checksum of what is listed: of the call and its
/// filters. With another list, or with other filters, a cursor would skip rows that nobody has seen.
/// </summary>
internal sealed class PagedList(params object?[] call)
{
    private const int ChecksumLength = 8;

    private readonly string checksum =
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', call.Select(part => Convert.ToString(part, CultureInfo.InvariantCulture))))))[..ChecksumLength];

    /// <summary>The cursor of the page that follows the row with this id; null after the last page.</summary>
    public string? CursorAfter(long? id) => id is null ? null : string.Create(CultureInfo.InvariantCulture, $"{id}-{checksum}");

    /// <summary>
    /// The id in one of this list's cursors, or <paramref name="first"/> without one. Null if the cursor is of another list, or of a row
    /// that does not exist yet: the book was restored from a backup, and the client holds a cursor from before.
    /// </summary>
    public async ValueTask<long?> StartAsync(string? cursor, long first, AuditHeads heads, Func<AuditHead, long> last, CancellationToken cancellationToken) =>
        string.IsNullOrEmpty(cursor) ? first
        : TryParse(cursor, out var id, out var of) && of == checksum && id <= last(await heads.GetAsync(cancellationToken)) ? id
        : null;

    public static ProblemResult NotItsCursor => Problem.Invalid("cursor", CursorAttribute.Rule);

    public static bool TryParse(string cursor, out long id, out string checksum)
    {
        var dash = cursor.IndexOf('-', StringComparison.Ordinal);
        checksum = cursor[(dash + 1)..];
        return long.TryParse(cursor.AsSpan(0, Math.Max(dash, 0)), NumberStyles.None, CultureInfo.InvariantCulture, out id)
            && id > 0 && checksum.Length == ChecksumLength && checksum.All(char.IsAsciiHexDigitLower);
    }
}
