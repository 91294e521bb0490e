using System.ComponentModel;
using System.Reflection;
using System.Text.Json.Nodes;
using Banking.Data;
using Microsoft.AspNetCore.Mvc.ApiExplorer;
using Microsoft.AspNetCore.Mvc.Infrastructure;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Scalar.AspNetCore;

namespace Banking.Api;

/// <summary>The API's description, made from the endpoints themselves, and the page that shows it.</summary>
internal static class OpenApi
{
    /// <summary>The problem codes an endpoint can answer with.</summary>
    private sealed record PossibleProblems(IReadOnlyList<string> Codes);

    /// <summary>Words of an answer that are known today. An enum would be closed, and clients made from it would break at a new word.</summary>
    private const string KnownWords = "x-extensible-enum";

    /// <summary>Hides the docs page's link to its maker, and makes an answer's status, which links to a site elsewhere, plain text.</summary>
    private const string LinksOutside = ".darklight-reference a { display: none } a[href*='//developer.mozilla.org'] { pointer-events: none; text-decoration: none }";

    private const string AmountForm =
        "A decimal in a string, such as `\"10.50\"`: at most 15 whole digits and 4 decimals, no sign, no exponent. A JSON number is accepted too.";

    private static readonly Dictionary<string, string> Tags = new()
    {
        ["Accounts"] = "Open, show, change, freeze and close accounts.",
        ["Postings"] = "Move money: in, out, and from account to account. Reverse it, or post many at once.",
        ["Holds"] = "Reserve money now, and pay it later.",
        ["History"] = "Read what was posted.",
        ["Audit"] = "Prove that nothing was rewritten.",
    };

    /// <summary>States an endpoint's answers: its success, and its refusals beyond those that every endpoint has.</summary>
    public static RouteHandlerBuilder Answers<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Produces<TSuccess>(status).WithMetadata(new PossibleProblems(
        [
            "validation_failed", "unauthorized", "insufficient_scope", "method_not_allowed", "rate_limited", "internal_error", "database_unavailable",
            "authority_unavailable", .. refusals.Select(Problem.CodeOf),
        ]));

    /// <summary>States the answers of an operation of the ledger, with the refusals that every one of them can meet.</summary>
    public static RouteHandlerBuilder AnswersOfLedger<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Answers<TSuccess>(status, [.. refusals, Refusal.IdempotencyKeyReused, Refusal.Overloaded, Refusal.AccountBusy]);

    public static void AddOpenApiDocument(this IServiceCollection services) => services.AddOpenApi("v1", options =>
    {
        options.AddDocumentTransformer(Introduce);
        options.AddDocumentTransformer(TellRequestsFromAnswers);
        options.AddOperationTransformer(DescribeAsync);
        options.AddSchemaTransformer(Refine);
    });

    public static void MapDocs(this WebApplication app)
    {
        var description = new Lazy<Task<byte[]>>(() => DescriptionAsync(app.Services)); // the endpoints don't change, and making it takes long
        app.MapGet("/openapi/v1.json", async () => TypedResults.Bytes(await description.Value, "application/json;charset=utf-8")).ExcludeFromDescription();
        app.MapScalarApiReference(page =>
        {
            page.WithTitle("Core Banking")
                .DisableDefaultFonts() // they would come from a CDN
                .DisableAgent()
                .DisableMcp()
                .DisableTelemetry()
                .HideDeveloperTools()
                .HideClientButton() // its client is a site elsewhere
                .WithCustomCss(LinksOutside)
                .PreserveSchemaPropertyOrder();
            if (AsksForTokens(app.Services))
            {
                page.AddPreferredSecuritySchemes(Authentication.Scheme);
            }
        });
        app.MapGet("/", () => TypedResults.Redirect("/scalar")).ExcludeFromDescription();
    }

    private static async Task<byte[]> DescriptionAsync(IServiceProvider services)
    {
        var document = await services.GetRequiredKeyedService<IOpenApiDocumentProvider>("v1").GetOpenApiDocumentAsync();
        using var json = new MemoryStream();
        await document.SerializeAsJsonAsync(json, OpenApiSpecVersion.OpenApi3_1);
        return json.ToArray();
    }

    private static bool AsksForTokens(IServiceProvider services) =>
        new AuthenticationSettings(services.GetRequiredService<IConfiguration>()).AreGiven;

    private static Task Introduce(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new()
        {
            Title = "Core Banking",
            Version = Commands.Version,
            Description = """
                Opens accounts and moves money between them, exactly and durably. A 201 means: committed and on disk.
                Amounts are decimals in strings, never floats: answers have the currency's own digits. A JSON number is read, too.
                Send an `Idempotency-Key` with every POST and a retry is done once, whatever happened to the first answer.
                Every refusal is an RFC 9457 problem document with a stable `code`.
                New calls, members, codes and words may be added at any time: ignore what you do not know.
                Every answer names its trace in the header `traceresponse` (W3C Trace Context: `00-<trace id>-<span id>-<flags>`); quote it when you ask about an answer.
                """,
            License = new() { Name = "MIT", Identifier = "MIT" },
            Contact = new() { Name = "The Core Banking authors" },
        };
        document.Servers = [new() { Url = "/" }];
        document.Tags = Tags.Select(tag => new OpenApiTag { Name = tag.Key, Description = tag.Value }).ToHashSet();
        if (AsksForTokens(context.ApplicationServices))
        {
            document.AddComponent(Authentication.Scheme, new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                BearerFormat = "JWT",
                Description = "A token whose `scope` or `scp` names the scope that the call needs.",
            });
        }

        return Task.CompletedTask;
    }

    /// <summary>
    /// Requests are closed, as an unknown member is refused. Answers are open: a later version may add members and words. In both, a
    /// member that need not be there is left out, not null, so that its type is one.
    /// </summary>
    private static Task TellRequestsFromAnswers(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        var schemas = document.Components!.Schemas!;
        var sent = new HashSet<string>();
        foreach (var operation in document.Paths.Values.SelectMany(path => path.Operations!.Values))
        {
            CollectSent(operation.RequestBody?.Content?["application/json"].Schema);
        }

        foreach (var (name, schema) in schemas.Where(schema => schema.Value.Properties is not null))
        {
            if (!sent.Contains(name))
            {
                ((OpenApiSchema)schema).AdditionalPropertiesAllowed = true;
            }

            foreach (var (member, property) in schema.Properties!.Where(property => property.Value is OpenApiSchema).ToList())
            {
                if (schema.Required?.Contains(member) != true)
                {
                    ((OpenApiSchema)property).Type &= ~JsonSchemaType.Null;
                    schema.Properties![member] = property.OneOf?.OfType<OpenApiSchemaReference>().SingleOrDefault() ?? property;
                }

                if (!sent.Contains(name))
                {
                    OpenWords((OpenApiSchema)property);
                }
            }
        }

        return Task.CompletedTask;

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

    private static void OpenWords(OpenApiSchema schema)
    {
        if (schema.Enum is not { Count: > 0 } words)
        {
            return;
        }

        (schema.Extensions ??= new Dictionary<string, IOpenApiExtension>())[KnownWords] = new JsonNodeExtension(new JsonArray([.. words.Select(word => word.DeepClone())]));
        schema.Description += $" More may be added; known are {string.Join(", ", words.Select(word => $"`{word}`"))}.";
        schema.Enum = null;
    }

    private static async Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellationToken)
    {
        var codes = context.Description.ActionDescriptor.EndpointMetadata.OfType<PossibleProblems>().Single().Codes.AsEnumerable();
        if (operation.RequestBody is OpenApiRequestBody body)
        {
            codes = codes.Concat(["request_timeout", "payload_too_large", "unsupported_media_type"]);
            body.Required = true;
        }

        var scope = context.Description.ActionDescriptor.EndpointMetadata.OfType<NeededScope>().Single().Name;
        if (AsksForTokens(context.ApplicationServices))
        {
            operation.Description += $" Needs the scope `{scope}`.";
            operation.Security = [new() { [new OpenApiSecuritySchemeReference(Authentication.Scheme, context.Document)] = [scope] }];
        }
        else
        {
            operation.Description += $" Needs the scope `{scope}` where the service asks for tokens.";
        }

        var call = operation.OperationId!;
        operation.OperationId = CamelCase(call); // generators make a method's name of it
        foreach (var parameter in operation.Parameters?.OfType<OpenApiParameter>() ?? [])
        {
            Exemplify(parameter, AttributesOf(context.Description.ParameterDescriptions.Single(one => one.Name == parameter.Name)), call);
        }

        var problem = await context.GetOrCreateSchemaAsync(typeof(Problem), null, cancellationToken);
        context.Document!.AddComponent(nameof(Problem), problem);
        foreach (var status in codes.Select(Problem.KindOf).OrderBy(kind => kind.Status).GroupBy(kind => kind.Status))
        {
            var response = new OpenApiResponse
            {
                Description = string.Join(" ", status.Select(kind => $"`{kind.Code}`: {kind.Title}.")),
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    [Problem.ContentType] = new()
                    {
                        Schema = new OpenApiSchemaReference(nameof(Problem), context.Document),
                        Examples = status.ToDictionary(kind => kind.Code, IOpenApiExample (kind) => new OpenApiExample { Value = ExampleOf(kind) }),
                    },
                },
            };
            response.Headers = status.Key switch
            {
                401 or 403 => Header("WWW-Authenticate", "What is wrong with the token, in the form of RFC 6750.", JsonSchemaType.String),
                _ when status.Any(kind => kind.RetryAfter is not null) => Header("Retry-After", "Seconds after which to try again.", JsonSchemaType.Integer),
                _ => null,
            };

            operation.Responses![$"{status.Key}"] = response;
        }

        if (operation.RequestBody is not null)
        {
            foreach (var (status, success) in operation.Responses!.Where(response => response.Key[0] == '2'))
            {
                var replayed = Header(Idempotency.ReplayedHeader, "`true` where an earlier request with the same key did it.", JsonSchemaType.String);
                success.Description = "Done. What it wrote is committed and durable.";
                ((OpenApiResponse)success).Headers = status == "201"
                    ? Header("Location", "Where to read it again.", JsonSchemaType.String).Concat(replayed).ToDictionary()
                    : replayed;
            }
        }
    }

    private static string CamelCase(string call) =>
        string.Concat(call.Split('_').Select((word, i) => i == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));

    private static IEnumerable<Attribute> AttributesOf(ApiParameterDescription? parameter) =>
        (parameter?.ParameterDescriptor as IParameterInfoParameterDescriptor)?.ParameterInfo.GetCustomAttributes() ?? [];

    private static void Exemplify(OpenApiParameter parameter, IEnumerable<Attribute> attributes, string call)
    {
        if (attributes.OfType<KeyAttribute>().Any() && !attributes.OfType<ExampleAttribute>().Any())
        {
            parameter.Example = $"{call}-4711"; // of this call's own: the docs page sends it with each
        }
        else if (attributes.OfType<ExampleAttribute>().SingleOrDefault() is { } example && parameter.Required)
        {
            parameter.Example = example.Value;
        }
        else if (attributes.OfType<ExampleAttribute>().SingleOrDefault() is { } shown)
        {
            // The docs page shows it, and sends it only when told to: a first Send is not filtered by it.
            parameter.Examples = new Dictionary<string, IOpenApiExample>
            {
                ["example"] = new OpenApiExample
                {
                    Value = shown.Value,
                    Extensions = new Dictionary<string, IOpenApiExtension> { ["x-disabled"] = new JsonNodeExtension(true) },
                },
            };
        }
    }

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

    private static Task Refine(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancellationToken)
    {
        var type = context.JsonTypeInfo.Type;
        var attributes = context.JsonPropertyInfo?.AttributeProvider?.GetCustomAttributes(inherit: true)
            ?? [.. AttributesOf(context.ParameterDescription)];
        if (type == typeof(decimal?))
        {
            schema.Type = JsonSchemaType.String | JsonSchemaType.Null;
            schema.Format = null;
            schema.Pattern = Money.RequestPattern;
            schema.Description = $"{attributes.OfType<DescriptionAttribute>().SingleOrDefault()?.Description} {AmountForm}".Trim();
        }

        if (type == typeof(DateTime) || type == typeof(DateTime?))
        {
            // The converters hide it.
            (schema.Type, schema.Format) = (JsonSchemaType.String, "date-time");
            schema.Description = attributes.OfType<DescriptionAttribute>().SingleOrDefault()?.Description;
        }

        if (attributes.OfType<NeededAttribute>().Any())
        {
            schema.Type &= ~JsonSchemaType.Null;
        }

        if (attributes.OfType<IdAttribute>().Any())
        {
            schema.Maximum = null; // int64 says it, and JavaScript's readers would show another number
        }

        if (attributes.OfType<LimitAttribute>().Any())
        {
            schema.Default = LimitAttribute.Default;
        }

        if (attributes.OfType<MetadataAttribute>().Any())
        {
            schema.Type = JsonSchemaType.Object | JsonSchemaType.Null;
            schema.AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = MetadataAttribute.LongestValue };
            schema.MaxProperties = MetadataAttribute.MostMembers;
            schema.Description = $"A client's own notes: {MetadataAttribute.Form}";
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
                ["x-ms-primary-error-message"] = new JsonNodeExtension(true), // Kiota's exceptions take it for their message
            };
        }

        if (type.GetCustomAttribute<ExampleAttribute>() is { } example)
        {
            schema.Examples = [example.Value];
        }

        return Task.CompletedTask;
    }
}
