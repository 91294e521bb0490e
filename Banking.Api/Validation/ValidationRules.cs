using System.ComponentModel.DataAnnotations;
using System.Text;
using System.Text.Json;
using Banking.Data;

namespace Banking.Api;

/// <summary>The member is required.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class NeededAttribute : RequiredAttribute
{
    public const string Rule = "is required.";

    public NeededAttribute() => AllowEmptyStrings = true;

    public override string FormatErrorMessage(string name) => Rule;
}

/// <summary>The member is required unless the other one is given.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class NeededUnlessAttribute(string other) : ValidationAttribute
{
    public string Other => other;

    public override bool RequiresValidationContext => true;

    protected override ValidationResult? IsValid(object? value, ValidationContext validationContext) =>
        value is null && validationContext.ObjectType.GetProperty(other)!.GetValue(validationContext.ObjectInstance) is null
            ? new($"or {JsonNamingPolicy.SnakeCaseLower.ConvertName(other)} is required.")
            : ValidationResult.Success;
}

/// <summary>An id: a whole number from 1 to 9223372036854775807.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class IdAttribute() : RangeAttribute(typeof(long), "1", "9223372036854775807")
{
    public const string Rule = "must be a whole number from 1 to 9223372036854775807.";

    public override string FormatErrorMessage(string name) => Rule;
}

/// <summary>Text with a limited number of characters (Unicode code points, as PostgreSQL counts them) and without NUL.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class TextAttribute : StringLengthAttribute
{
    public TextAttribute(int shortest, int longest)
        : base(longest) => MinimumLength = shortest;

    /// <summary>Whether text of spaces alone is refused.</summary>
    public bool NotBlank { get; set; }

    public override bool IsValid(object? value) => value is null
        || (value is string text && Holds(text, MinimumLength, MaximumLength) && !(NotBlank && string.IsNullOrWhiteSpace(text)));

    public override string FormatErrorMessage(string name) =>
        $"must have {MinimumLength} to {MaximumLength} characters. NUL {(NotBlank ? "and text of spaces alone are" : "is")} not allowed.";

    internal static bool Holds(string text, int shortest, int longest)
    {
        var length = 0;
        foreach (var _ in text.EnumerateRunes())
        {
            length++;
        }

        return length >= shortest && length <= longest && !text.Contains('\0', StringComparison.Ordinal);
    }
}

/// <summary>A client's metadata: a few named strings of limited size.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class MetadataAttribute : ValidationAttribute
{
    public const int MostMembers = 20;
    public const int LongestName = 64;
    public const int LongestValue = 500;
    public const int MostBytes = 8_192;

    public override bool IsValid(object? value) => value is null || (value is IReadOnlyDictionary<string, string> members
        && members.Count <= MostMembers
        && members.All(member =>
            TextAttribute.Holds(member.Key, 1, LongestName) && member.Value is not null && TextAttribute.Holds(member.Value, 0, LongestValue))
        && members.Sum(member => Encoding.UTF8.GetByteCount(member.Key) + Encoding.UTF8.GetByteCount(member.Value)) <= MostBytes);

    public override string FormatErrorMessage(string name) => $"must be {Form}";

    public static string Form =>
        $"an object with at most {MostMembers} string members. Names have 1 to {LongestName} characters, values at most {LongestValue}. NUL is not allowed. "
        + $"All names and values together have at most {MostBytes} bytes in UTF-8.";
}

/// <summary>An idempotency key: 1 to 255 visible ASCII characters.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class KeyAttribute() : RegularExpressionAttribute("^[!-~]{1,255}$")
{
    // The base class accepts an empty value.
    public override bool IsValid(object? value) => value is not "" && base.IsValid(value);

    public override string FormatErrorMessage(string name) => "must have 1 to 255 visible ASCII characters, without spaces.";
}

/// <summary>A list with a limited number of objects.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class CountAttribute(int least, int most) : LengthAttribute(least, most)
{
    public override string FormatErrorMessage(string name) => $"must be a list of {MinimumLength} to {MaximumLength} objects.";
}

/// <summary>The amount must be above zero.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class AboveZeroAttribute : ValidationAttribute
{
    public override bool IsValid(object? value) => value is null or > 0m;

    public override string FormatErrorMessage(string name) => "must be above zero.";
}

/// <summary>The largest number of rows in a page.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class LimitAttribute() : RangeAttribute(1, Most)
{
    public const int Default = 50;
    public const int Most = 500;

    public override string FormatErrorMessage(string name) => $"must be a whole number from 1 to {Most}.";
}

/// <summary>A place in the book: the id of an event, or 0-0.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class EventIdAttribute : ValidationAttribute
{
    public const string Rule = "must be the id of an event, such as 42-7, or 0-0 for the beginning of the book. An id that this book has not reached comes from another book or was lost in a restore.";

    public override bool IsValid(object? value) => value is null || (value is string text && EventCursor.TryParse(text, out _));

    public override string FormatErrorMessage(string name) => Rule;
}

/// <summary>How long a call waits for its answer, in seconds.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class WaitAttribute() : RangeAttribute(0, Most)
{
    public const int Most = 30;

    public override string FormatErrorMessage(string name) => $"must be a whole number of seconds from 0 to {Most}.";
}

/// <summary>An instant in the query: a time with <c>Z</c> or an offset from UTC.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class InstantAttribute : ValidationAttribute
{
    public override bool IsValid(object? value) => value is null || (value is string text && InstantConverter.Parse(text) is not null);

    public override string FormatErrorMessage(string name) => InstantConverter.Rule;

    /// <summary>The valid instant in UTC; null where it was left out.</summary>
    public static DateTime? Parse(string? instant) => instant is null ? null : InstantConverter.Parse(instant);
}

/// <summary>One of the given words.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class OneOfAttribute(params string[] words) : ValidationAttribute
{
    public IReadOnlyList<string> Words => words;

    public override bool IsValid(object? value) => value is null || (value is string word && words.Contains(word));

    public override string FormatErrorMessage(string name) => $"must be one of {string.Join(", ", words)}.";
}

/// <summary>Three capital letters, the form of an ISO 4217 currency code.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Parameter)]
public sealed class CurrencyCodeAttribute() : RegularExpressionAttribute("^[A-Z]{3}$")
{
    // The base class accepts an empty value.
    public override bool IsValid(object? value) => value is not "" && base.IsValid(value);

    public override string FormatErrorMessage(string name) => "must be an ISO 4217 currency code such as EUR.";
}

/// <summary>The member is required in postings of these types, and not allowed in others.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class MemberOfAttribute(params string[] types) : ValidationAttribute
{
    public override bool RequiresValidationContext => true;

    protected override ValidationResult? IsValid(object? value, ValidationContext validationContext) =>
        validationContext.ObjectInstance is BatchPosting { HasTheMembersOfItsType: false, Type: { } type } && types.Contains(type) != (value is not null)
            ? new(value is null ? $"is required in a {type}." : $"does not belong to a {type}. Remove it.")
            : ValidationResult.Success;
}
