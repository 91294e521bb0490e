using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;

namespace Banking.Api;

/// <summary>What the API's description shows for this body or parameter, as JSON.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Parameter)]
internal sealed class ExampleAttribute([StringSyntax(StringSyntaxAttribute.Json)] string json) : Attribute
{
    public JsonNode Value => JsonNode.Parse(json)!;
}
