using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;

namespace Banking.Api;

/// <summary>The example, as JSON, that the OpenAPI document shows for a body or parameter.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Parameter)]
internal sealed class ExampleAttribute([StringSyntax(StringSyntaxAttribute.Json)] string json) : Attribute
{
    public JsonNode Value => JsonNode.Parse(json)!;
}
