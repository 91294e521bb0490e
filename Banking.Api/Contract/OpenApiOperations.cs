using System.Reflection;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Mvc.ApiExplorer;
using Microsoft.AspNetCore.Mvc.Infrastructure;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Banking.Api;

/// <summary>How the OpenAPI document describes a call: its name, scope, parameters, problems and headers.</summary>
internal static class OpenApiOperations
{
    public static async Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        var (call, document) = (operation.OperationId!, context.Document!);
        operation.OperationId = CamelCase(call); // the name of a generated method
        NameScope(operation, metadata.OfType<NeededScope>().Single().Name, document, OpenApi.AsksForTokens(context.ApplicationServices));
        foreach (var parameter in operation.Parameters?.OfType<OpenApiParameter>() ?? [])
        {
            Exemplify(parameter, AttributesOf(context.Description.ParameterDescriptions.Single(one => one.Name == parameter.Name)), call);
            NameWords(parameter, operation.OperationId, document);
        }

        var codes = metadata.OfType<PossibleProblems>().Single().Codes.AsEnumerable();
        if (operation.RequestBody is OpenApiRequestBody body)
        {
            body.Required = true;
            codes = codes.Concat(["request_timeout", "payload_too_large", "unsupported_media_type"]);
            DescribeSuccess(operation.Responses!);
        }

        document.AddComponent(nameof(Problem), await context.GetOrCreateSchemaAsync(typeof(Problem), null, cancellationToken));
        foreach (var status in codes.Select(Problem.KindOf).OrderBy(kind => kind.Status).GroupBy(kind => kind.Status))
        {
            operation.Responses![$"{status.Key}"] = ProblemResponse(status.Key, [.. status], document);
        }
    }

    public static IEnumerable<Attribute> AttributesOf(ApiParameterDescription? parameter) =>
        (parameter?.ParameterDescriptor as IParameterInfoParameterDescriptor)?.ParameterInfo.GetCustomAttributes() ?? [];

    private static string CamelCase(string name) => $"{name[0]}{PascalCase(name)[1..]}";

    private static string PascalCase(string name) => string.Concat(name.Split('_').Select(word => $"{char.ToUpperInvariant(word[0])}{word[1..]}"));

    private static void NameScope(OpenApiOperation operation, string scope, OpenApiDocument document, bool asksForTokens)
    {
        if (!asksForTokens)
        {
            operation.Description += $" Needs the scope `{scope}` where the service asks for tokens.";
            return;
        }

        operation.Description += $" Needs the scope `{scope}`.";
        // Without its scope: linters look for scopes in the flows of OAuth 2, and only the issuer knows those.
        operation.Security = [new() { [new OpenApiSecuritySchemeReference(Authentication.Scheme, document)] = [] }];
    }

    private static void Exemplify(OpenApiParameter parameter, IEnumerable<Attribute> attributes, string call)
    {
        var example = attributes.OfType<ExampleAttribute>().SingleOrDefault();
        if (example is null && attributes.OfType<KeyAttribute>().Any())
        {
            parameter.Example = $"{call}-4711"; // another key for each call, as the docs page sends it
        }
        else if (example is not null && parameter.Required)
        {
            parameter.Example = example.Value;
        }
        else if (example is not null)
        {
            // Disabled, so that the docs page shows it and does not send it: a first Send is not filtered.
            parameter.Examples = new Dictionary<string, IOpenApiExample>
            {
                ["example"] = new OpenApiExample
                {
                    Value = example.Value,
                    Extensions = new Dictionary<string, IOpenApiExtension> { ["x-disabled"] = new JsonNodeExtension(true) },
                },
            };
        }
    }

    /// <summary>Gives the words of a parameter a name. Generators make a type of them, and each has another rule for the name of one that has none.</summary>
    private static void NameWords(OpenApiParameter parameter, string operationId, OpenApiDocument document)
    {
        if (parameter.Schema is OpenApiSchema { Enum.Count: > 0 } words)
        {
            var name = $"{PascalCase(operationId)}{PascalCase(parameter.Name!)}";
            document.AddComponent(name, words);
            parameter.Schema = new OpenApiSchemaReference(name, document);
        }
    }

    private static void DescribeSuccess(OpenApiResponses responses)
    {
        foreach (var (status, success) in responses)
        {
            var replayed = Header(Idempotency.ReplayedHeader, "`true` if an earlier request with the same key did it.", JsonSchemaType.String);
            success.Description = "Done. What it wrote is committed and durable.";
            ((OpenApiResponse)success).Headers = status == "201"
                ? Header("Location", "Where to read it again.", JsonSchemaType.String).Concat(replayed).ToDictionary()
                : replayed;
        }
    }

    private static OpenApiResponse ProblemResponse(int status, IReadOnlyList<Problem.Kind> kinds, OpenApiDocument document) => new()
    {
        Description = string.Join(" ", kinds.Select(kind => $"`{kind.Code}`: {kind.Title}.")),
        Headers = status switch
        {
            401 or 403 => Header("WWW-Authenticate", "What is wrong with the token, in the form of RFC 6750.", JsonSchemaType.String),
            _ when kinds.Any(kind => kind.RetryAfter is not null) => Header("Retry-After", "Seconds to wait before a retry.", JsonSchemaType.Integer),
            _ => null,
        },
        Content = new Dictionary<string, OpenApiMediaType>
        {
            [Problem.ContentType] = new()
            {
                Schema = new OpenApiSchemaReference(nameof(Problem), document),
                Examples = kinds.ToDictionary(kind => kind.Code, IOpenApiExample (kind) => new OpenApiExample { Value = ExampleOf(kind) }),
            },
        },
    };

    private static Dictionary<string, IOpenApiHeader> Header(string name, string description, JsonSchemaType type) =>
        new() { [name] = new OpenApiHeader { Description = description, Schema = new OpenApiSchema { Type = type } } };

    private static JsonObject ExampleOf(Problem.Kind kind)
    {
        var example = new JsonObject
        {
            ["type"] = Problem.TypeOf(kind.Code),
            ["title"] = kind.Title,
            ["status"] = kind.Status,
            ["detail"] = kind.Code == "validation_failed" ? "amount must be above zero." : $"{kind.Title}.",
            ["code"] = kind.Code,
            ["trace_id"] = "0af7651916cd43dd8448eb211c80319c",
        };
        if (kind.Code == "validation_failed")
        {
            example["errors"] = new JsonObject { ["amount"] = new JsonArray("must be above zero.") };
        }

        return example;
    }
}
