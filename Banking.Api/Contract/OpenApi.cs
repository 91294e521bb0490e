using System.Text.Json.Nodes;
using Banking.Data;
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

    /// <summary>States an endpoint's answers: its success, and its refusals beyond those that every endpoint has.</summary>
    public static RouteHandlerBuilder Answers<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Produces<TSuccess>(status).WithMetadata(new PossibleProblems(
        [
            "validation_failed", "unauthorized", "insufficient_scope", "rate_limited", "internal_error", "database_unavailable",
            "authority_unavailable", .. refusals.Select(Problem.CodeOf),
        ]));

    /// <summary>States the answers of an operation of the ledger, with the refusals that every one of them can meet.</summary>
    public static RouteHandlerBuilder AnswersOfLedger<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Answers<TSuccess>(status, [.. refusals, Refusal.IdempotencyKeyReused, Refusal.Overloaded, Refusal.AccountBusy]);

    public static void AddOpenApiDocument(this IServiceCollection services) => services.AddOpenApi("v1", options =>
    {
        options.AddDocumentTransformer(Introduce);
        options.AddOperationTransformer(DescribeAsync);
        options.AddSchemaTransformer(Refine);
    });

    public static void MapDocs(this WebApplication app)
    {
        var description = new Lazy<Task<byte[]>>(() => DescriptionAsync(app.Services)); // the endpoints don't change, and making it takes long
        app.MapGet("/openapi/v1.json", async () => TypedResults.Bytes(await description.Value, "application/json;charset=utf-8")).ExcludeFromDescription();
        app.MapScalarApiReference(page => page
            .WithTitle("Core Banking")
            .DisableDefaultFonts() // they would come from a CDN
            .DisableAgent()
            .DisableTelemetry()
            .HideDeveloperTools()
            .AddPreferredSecuritySchemes(Authentication.Scheme)
            .PreserveSchemaPropertyOrder());
        app.MapGet("/", () => TypedResults.Redirect("/scalar")).ExcludeFromDescription();
    }

    private static async Task<byte[]> DescriptionAsync(IServiceProvider services)
    {
        var document = await services.GetRequiredKeyedService<IOpenApiDocumentProvider>("v1").GetOpenApiDocumentAsync();
        using var json = new MemoryStream();
        await document.SerializeAsJsonAsync(json, OpenApiSpecVersion.OpenApi3_1);
        return json.ToArray();
    }

    private static Task Introduce(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new()
        {
            Title = "Core Banking",
            Version = "v1",
            Description = """
                Opens accounts and moves money between them, exactly and durably. A 201 means: committed and on disk.
                Amounts are decimals, never floats: send a string or a number, get a string with the currency's own digits.
                Send an `Idempotency-Key` with every POST and a retry is done once, whatever happened to the first answer.
                Every refusal is an RFC 9457 problem document with a stable `code`.
                Every answer names its trace in the header `traceresponse` (W3C Trace Context: `00-<trace id>-<span id>-<flags>`); quote it when you ask about an answer.
                """,
        };
        document.Servers = [];
        document.AddComponent(Authentication.Scheme, new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.Http,
            Scheme = "bearer",
            BearerFormat = "JWT",
            Description = "A token whose `scope` or `scp` names the scope that the call needs. Only where the service runs without authentication, as it does in Development unless told otherwise, none is needed.",
        });
        return Task.CompletedTask;
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
        operation.Description += $" Needs the scope `{scope}`.";
        operation.Security = [new() { [new OpenApiSecuritySchemeReference(Authentication.Scheme, context.Document)] = [scope] }];

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
                success.Description = "Done: committed and durable.";
                ((OpenApiResponse)success).Headers = status == "201"
                    ? Header("Location", "Where to read it again.", JsonSchemaType.String).Concat(replayed).ToDictionary()
                    : replayed;
            }
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
            ?? (context.ParameterDescription?.ParameterDescriptor as IParameterInfoParameterDescriptor)?.ParameterInfo.GetCustomAttributes(inherit: true)
            ?? [];
        if (type == typeof(decimal?))
        {
            schema.Type = JsonSchemaType.String | JsonSchemaType.Number | JsonSchemaType.Null;
            schema.Format = null;
            schema.Pattern = Money.RequestPattern;
            schema.Description = $"An amount: {Money.Form}";
        }

        if (attributes.OfType<NeededAttribute>().Any())
        {
            schema.Type &= ~JsonSchemaType.Null;
        }

        if (attributes.OfType<IdAttribute>().Any())
        {
            schema.Maximum = null; // int64 says it, and JavaScript's readers would show another number
        }

        if (attributes.OfType<MetadataAttribute>().Any())
        {
            schema.Type = JsonSchemaType.Object | JsonSchemaType.Null;
            schema.AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.String };
            schema.MaxProperties = MetadataAttribute.MostMembers;
            schema.Description = $"A client's own notes: {MetadataAttribute.Form}";
        }

        if (attributes.OfType<OneOfAttribute>().FirstOrDefault() is { } allowed)
        {
            schema.Enum = [.. allowed.Words.Select(word => (JsonNode)word)];
        }

        if (type == typeof(Problem))
        {
            ((OpenApiSchema)schema.Properties!["code"]).Enum = [.. Problem.Kinds.Select(kind => (JsonNode)kind.Code)];
            ((OpenApiSchema)schema.Properties["errors"]).Description = "What is wrong, by field, header or parameter.";
        }

        if (Examples.TryGetValue(type, out var example))
        {
            schema.Examples = [JsonNode.Parse(example)!];
        }

        return Task.CompletedTask;
    }

    private static readonly Dictionary<Type, string> Examples = new()
    {
        [typeof(CreateAccountRequest)] = """
            {"owner_name":"Ada Lovelace","currency":"EUR","initial_deposit":"100.00","overdraft_limit":"0"}
            """,
        [typeof(CashRequest)] = """
            {"account_id":1000,"amount":"10.50","reference":"Cash at counter 3","metadata":{"branch":"Main Street"}}
            """,
        [typeof(TransferRequest)] = """
            {"from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"}
            """,
        [typeof(ChangeAccountRequest)] = """
            {"account_id":1000,"overdraft_limit":"250.00","reason":"Agreed on the phone"}
            """,
        [typeof(FreezeAccountRequest)] = """
            {"account_id":1000,"blocks":"debits","reason":"Court order 17/2026"}
            """,
        [typeof(UnfreezeAccountRequest)] = """
            {"account_id":1000,"reason":"Court order lifted"}
            """,
        [typeof(CloseAccountRequest)] = """
            {"account_id":1000,"reason":"At the customer's request"}
            """,
        [typeof(AccountResponse)] = """
            {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
            """,
        [typeof(CreateAccountResponse)] = """
            {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","transaction_id":41}
            """,
        [typeof(AccountListResponse)] = """
            {"accounts":[{"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","status":"active","balance":"100.00","held":"0.00","available":"100.00","overdraft_limit":"0.00","reference":"customer-17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"1000"}
            """,
        [typeof(AccountEventsResponse)] = """
            {"account_id":1000,"events":[{"account_event_id":7,"type":"frozen","status_after":"debits_blocked","balance_after":"100.00","held_after":"0.00","overdraft_limit_after":"0.00","hold_id":null,"amount":null,"after_transaction_id":42,"client_id":"back-office","reason":"Court order 17/2026","created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"7"}
            """,
        [typeof(TransactionResponse)] = """
            {"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
            """,
        [typeof(RequestResponse)] = """
            {"idempotency_key":"invoice-4711","transactions":[{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"account":null}
            """,
        [typeof(AuditHeadResponse)] = """
            {"block_id":40,"transaction_id":42,"account_event_id":7,"account_id":1003,"hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","created_at":"2026-01-02T03:04:05.678901Z"}
            """,
        [typeof(HistoryResponse)] = """
            {"account_id":1000,"transactions":[{"transaction_id":42,"type":"transfer","direction":"debit","amount":"25.00","balance_after":"75.00","counterparty_account_id":1001,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"42"}
            """,
    };
}
