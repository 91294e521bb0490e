using Banking.Data;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Scalar.AspNetCore;

namespace Banking.Api;

/// <summary>The problem codes that an endpoint can answer with.</summary>
internal sealed record PossibleProblems(IReadOnlyList<string> Codes);

/// <summary>
/// The OpenAPI document, made from the endpoints, and the page that shows it. <see cref="OpenApiOperations"/> describes the calls,
/// <see cref="OpenApiSchemas"/> their bodies.
/// </summary>
internal static class OpenApi
{
    /// <summary>Hides the docs page's link to its maker, and makes the link on a status, which leads to another site, plain text.</summary>
    private const string LinksOutside = ".darklight-reference a { display: none } a[href*='//developer.mozilla.org'] { pointer-events: none; text-decoration: none }";

    private static readonly Dictionary<string, string> Tags = new()
    {
        ["Accounts"] = "Open, show, change, freeze and close accounts.",
        ["Postings"] = "Move money: in, out, and from account to account. Reverse it, or post many at once.",
        ["Holds"] = "Reserve money now, and pay it later.",
        ["History"] = "Read what was posted.",
        ["Events"] = "Follow everything that happens, in order.",
        ["Audit"] = "Prove that nothing was rewritten.",
    };

    /// <summary>States what an endpoint answers: its success, the problems of every endpoint, and its own refusals.</summary>
    public static RouteHandlerBuilder Answers<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Answers<TSuccess>(status, "application/json", refusals);

    /// <summary>The same, for a success of another media type.</summary>
    public static RouteHandlerBuilder Answers<TSuccess>(this RouteHandlerBuilder endpoint, int status, string contentType, params Refusal[] refusals) =>
        endpoint.Produces<TSuccess>(status, contentType).WithMetadata(new PossibleProblems(
        [
            "validation_failed", "unauthorized", "insufficient_scope", "method_not_allowed", "rate_limited", "internal_error", "database_unavailable",
            "authority_unavailable", .. refusals.Select(Problem.CodeOf),
        ]));

    /// <summary>States what an operation of the ledger answers, with the refusals that all of these operations share.</summary>
    public static RouteHandlerBuilder AnswersOfLedger<TSuccess>(this RouteHandlerBuilder endpoint, int status, params Refusal[] refusals) =>
        endpoint.Answers<TSuccess>(status, [.. refusals, Refusal.IdempotencyKeyReused, Refusal.Overloaded, Refusal.AccountBusy]);

    public static void AddOpenApiDocument(this IServiceCollection services) => services.AddOpenApi("v1", options =>
    {
        options.AddSchemaTransformer((schema, context, _) =>
        {
            OpenApiSchemas.Refine(schema, context);
            return Task.CompletedTask;
        });
        options.AddOperationTransformer(OpenApiOperations.DescribeAsync);
        options.AddDocumentTransformer(Introduce);
        options.AddDocumentTransformer((document, _, _) =>
        {
            OpenApiSchemas.OpenAnswers(document);
            OpenApiSchemas.ShareMetadata(document);
            return Task.CompletedTask;
        });
    });

    public static void MapDocs(this WebApplication app)
    {
        var document = new Lazy<Task<byte[]>>(() => DocumentAsync(app.Services)); // made once: that takes long, and the endpoints do not change
        app.MapGet("/openapi/v1.json", async () => TypedResults.Bytes(await document.Value, "application/json;charset=utf-8")).ExcludeFromDescription();
        app.MapScalarApiReference(page =>
        {
            page.WithTitle("Core Banking")
                .DisableDefaultFonts() // they would come from a CDN
                .DisableAgent()
                .DisableMcp()
                .DisableTelemetry()
                .HideDeveloperTools()
                .HideClientButton() // it leads to another site
                .WithCustomCss(LinksOutside)
                .PreserveSchemaPropertyOrder();
            if (AsksForTokens(app.Services))
            {
                page.AddPreferredSecuritySchemes(Authentication.Scheme);
            }
        });
        app.MapGet("/", () => TypedResults.Redirect("/scalar")).ExcludeFromDescription();
    }

    public static bool AsksForTokens(IServiceProvider services) =>
        new AuthenticationSettings(services.GetRequiredService<IConfiguration>()).AreGiven;

    private static async Task<byte[]> DocumentAsync(IServiceProvider services)
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
            Version = Commands.Version,
            Description = """
                Opens accounts and moves money between them. A 201 means: committed and on disk.
                Amounts are decimals in strings, never floats. Answers have the currency's own digits. Requests may send a JSON number, too.
                Send an `Idempotency-Key` with every POST: a retry with the same key is applied once and gets the first answer.
                Every refusal is an RFC 9457 problem document with a stable `code`.
                New calls, members, codes and words may be added at any time: ignore what you do not know.
                Every answer names its trace in the header `traceresponse` (W3C Trace Context: `00-<trace id>-<span id>-<flags>`). Quote it when you ask about an answer.
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
}
