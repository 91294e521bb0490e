using System.ComponentModel;
using System.Reflection;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Banking.Api;

/// <summary>How the OpenAPI document describes bodies and their members, so that generated clients keep amounts exact and survive additions.</summary>
internal static class OpenApiSchemas
{
    /// <summary>The words of an answer that are known today. A plain enum would be closed: clients made from it would fail at a new word.</summary>
    private const string KnownWords = "x-extensible-enum";

    private const string MetadataSchema = "Metadata";

    private const string AmountForm =
        "A decimal in a string, such as `\"10.50\"`: at most 15 whole digits and 4 decimals, no sign, no exponent. A JSON number is accepted too.";

    /// <summary>Says in a member's or a parameter's schema what its attributes demand.</summary>
    public static void Refine(OpenApiSchema schema, OpenApiSchemaTransformerContext context)
    {
        var type = context.JsonTypeInfo.Type;
        var attributes = context.JsonPropertyInfo?.AttributeProvider?.GetCustomAttributes(inherit: true)
            ?? [.. OpenApiOperations.AttributesOf(context.ParameterDescription)];
        if (type == typeof(decimal?))
        {
            schema.Type = JsonSchemaType.String | JsonSchemaType.Null;
            schema.Format = null;
            schema.Pattern = Money.RequestPattern;
            schema.Description = $"{attributes.OfType<DescriptionAttribute>().SingleOrDefault()?.Description} {AmountForm}".Trim();
        }

        if (type == typeof(DateTime) || type == typeof(DateTime?))
        {
            // Its converter hides these.
            schema.Type = JsonSchemaType.String | (type == typeof(DateTime?) ? JsonSchemaType.Null : default);
            schema.Format = "date-time";
            schema.Description = attributes.OfType<DescriptionAttribute>().SingleOrDefault()?.Description;
        }

        if (attributes.OfType<InstantAttribute>().Any())
        {
            schema.Format = "date-time";
        }

        if (attributes.OfType<NeededAttribute>().Any())
        {
            schema.Type &= ~JsonSchemaType.Null;
        }

        if (attributes.OfType<IdAttribute>().Any())
        {
            schema.Maximum = null; // int64 says it, and tools in JavaScript would show another number
        }

        if (attributes.OfType<LimitAttribute>().Any())
        {
            schema.Default = LimitAttribute.Default;
        }

        if (attributes.OfType<OneOfAttribute>().FirstOrDefault() is { } allowed)
        {
            schema.Enum = [.. allowed.Words.Select(word => (JsonNode)word)];
        }

        if (type == typeof(Problem))
        {
            schema.AdditionalProperties = new OpenApiSchema();
            ((OpenApiSchema)schema.Properties!["code"]).Enum = [.. Problem.Kinds.Select(kind => (JsonNode)kind.Code)];
            ((OpenApiSchema)schema.Properties["detail"]).Extensions = new Dictionary<string, IOpenApiExtension>
            {
                ["x-ms-primary-error-message"] = new JsonNodeExtension(true), // the message of Kiota's exception
            };
        }

        if (type.GetCustomAttribute<ExampleAttribute>() is { } example)
        {
            schema.Examples = [example.Value];
        }
    }

    /// <summary>
    /// Opens answers, as a later version may add members and words. Requests stay closed, as the service refuses a member that it does
    /// not know. In both, an optional member is left out and not null, so that it has one type.
    /// </summary>
    public static void OpenAnswers(OpenApiDocument document)
    {
        var schemas = document.Components!.Schemas!;
        var sent = new HashSet<string>();
        foreach (var operation in document.Paths.Values.SelectMany(path => path.Operations!.Values))
        {
            CollectSent(operation.RequestBody?.Content?["application/json"].Schema);
        }

        foreach (var (name, schema) in schemas.Where(schema => schema.Value.Properties is not null))
        {
            var isAnswer = !sent.Contains(name);
            if (isAnswer)
            {
                ((OpenApiSchema)schema).AdditionalPropertiesAllowed = true;
            }

            foreach (var (member, property) in schema.Properties!.ToList())
            {
                if (property is not OpenApiSchema inline)
                {
                    continue;
                }

                if (schema.Required?.Contains(member) != true)
                {
                    inline.Type &= ~JsonSchemaType.Null;
                    schema.Properties![member] = inline.OneOf?.OfType<OpenApiSchemaReference>().SingleOrDefault() ?? property;
                }

                if (isAnswer)
                {
                    OpenWords(inline);
                }
            }
        }

        void CollectSent(IOpenApiSchema? schema)
        {
            if (schema is OpenApiSchemaReference { Reference.Id: { } name })
            {
                if (!sent.Add(name))
                {
                    return;
                }

                schema = schemas[name];
            }

            if (schema is null)
            {
                return;
            }

            CollectSent(schema.Items);
            foreach (var property in schema.Properties?.Values ?? [])
            {
                CollectSent(property);
            }
        }
    }

    /// <summary>Describes metadata once. Described at each member, it would be another type in each of a generated client's classes.</summary>
    public static void ShareMetadata(OpenApiDocument document)
    {
        document.AddComponent(MetadataSchema, new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Description = $"A client's own notes: {MetadataAttribute.Form}",
            AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = MetadataAttribute.LongestValue },
            MaxProperties = MetadataAttribute.MostMembers,
        });
        foreach (var schema in document.Components!.Schemas!.Values)
        {
            if (schema.Properties?.TryGetValue("metadata", out var member) == true)
            {
                var metadata = new OpenApiSchemaReference(MetadataSchema, document);
                schema.Properties["metadata"] = schema.Required?.Contains("metadata") == true
                    ? new OpenApiSchema { Description = member.Description, OneOf = [new OpenApiSchema { Type = JsonSchemaType.Null }, metadata] }
                    : metadata;
            }
        }
    }

    private static void OpenWords(OpenApiSchema schema)
    {
        if (schema.Enum is not { Count: > 0 } words)
        {
            return;
        }

        (schema.Extensions ??= new Dictionary<string, IOpenApiExtension>())[KnownWords] = new JsonNodeExtension(new JsonArray([.. words.Select(word => word.DeepClone())]));
        schema.Description += $" Known today: {string.Join(", ", words.Select(word => $"`{word}`"))}. More may be added.";
        schema.Enum = null;
    }
}
