using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization.Metadata;

namespace Banking.Api;

/// <summary>
/// The rules of an object's members, and of the objects in its lists. Says whether all are kept, which every request pays.
/// <see cref="Mistakes"/> finds the broken ones.
/// </summary>
internal sealed class MemberRules(JsonTypeInfo type)
{
    private readonly Member[] members =
    [
        .. type.Properties.Select(property => new Member(property.Get!, [.. Of(property)], ItemsOf(property) is { } items ? new(items) : null)),
    ];

    private sealed record Member(Func<object, object?> Get, ValidationAttribute[] Rules, MemberRules? OfItems);

    public static IEnumerable<ValidationAttribute> Of(JsonPropertyInfo property) =>
        property.AttributeProvider?.GetCustomAttributes(typeof(ValidationAttribute), inherit: true).Cast<ValidationAttribute>() ?? [];

    /// <summary>The form of the items of a list of objects; null for any other member.</summary>
    public static JsonTypeInfo? ItemsOf(JsonPropertyInfo property) =>
        property.Options.GetTypeInfo(property.PropertyType) is { Kind: JsonTypeInfoKind.Enumerable, ElementType: { } item } ? property.Options.GetTypeInfo(item) : null;

    public bool AreKeptBy(object instance)
    {
        ValidationContext? context = null; // one for the few rules that look at the other members
        foreach (var member in members)
        {
            var value = member.Get(instance);
            foreach (var rule in member.Rules)
            {
                if (rule.RequiresValidationContext ? rule.GetValidationResult(value, context ??= new(instance)) is not null : !rule.IsValid(value))
                {
                    return false;
                }
            }

            if (member.OfItems is { } ofItems && value is IEnumerable items)
            {
                foreach (var item in items)
                {
                    if (!ofItems.AreKeptBy(item))
                    {
                        return false;
                    }
                }
            }
        }

        return true;
    }
}
