using System.Buffers;
using System.ComponentModel.DataAnnotations;
using System.IO.Pipelines;
using System.Reflection;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace Banking.Api;

/// <summary>A parameter of a call, with the name that the client knows, its rules and its place among the arguments of the handler.</summary>
internal sealed record CallParameter(string Name, Type Type, ValidationAttribute[] Rules, int Place);

/// <summary>The body of a call, and its place among the arguments of the handler.</summary>
internal sealed record CallBody(JsonTypeInfo Type, int Place)
{
    public MemberRules Rules { get; } = new(Type);
}

/// <summary>What a call accepts: query parameters by name, headers and, for some calls, a body.</summary>
internal sealed record CallForm(Dictionary<string, CallParameter> Query, CallParameter[] Headers, CallBody? Body)
{
    private readonly CallParameter[] parameters = [.. Query.Values, .. Headers];

    /// <summary>Whether the arguments of the handler keep all rules. <see cref="Mistakes"/> then says which they break.</summary>
    public bool Accepts(IList<object?> arguments)
    {
        foreach (var parameter in parameters)
        {
            foreach (var rule in parameter.Rules)
            {
                if (!rule.IsValid(arguments[parameter.Place]))
                {
                    return false;
                }
            }
        }

        return Body is null || Body.Rules.AreKeptBy(arguments[Body.Place]!);
    }
}

/// <summary>A body in memory. The framework reads it, and <see cref="Mistakes"/> reads it again if something is wrong.</summary>
internal sealed class BufferedBody(byte[] bytes) : IRequestBodyPipeFeature
{
    private PipeReader? reader;

    public byte[] Bytes { get; private set; } = bytes;

    public PipeReader Reader => reader ??= PipeReader.Create(new ReadOnlySequence<byte>(Bytes));

    public void Release() => (Bytes, reader) = ([], null);
}

/// <summary>Refuses mistakes that the framework ignores, and lists all mistakes of a request in one answer.</summary>
internal static class StrictRequests
{
    private const string Json = "application/json";

    /// <summary>Stores what each endpoint accepts in its metadata, for <see cref="UseStrictRequests"/>.</summary>
    public static TBuilder WithStrictRequests<TBuilder>(this TBuilder endpoints)
        where TBuilder : IEndpointConventionBuilder
    {
        endpoints.Finally(endpoint =>
        {
            var json = endpoint.ApplicationServices.GetRequiredService<IOptions<Microsoft.AspNetCore.Http.Json.JsonOptions>>().Value.SerializerOptions;
            var body = endpoint.Metadata.OfType<IAcceptsMetadata>().FirstOrDefault()?.RequestType;
            var parameters = endpoint.Metadata.OfType<IParameterBindingMetadata>().Select(parameter => parameter.ParameterInfo).ToList();
            endpoint.Metadata.Add(new CallForm(
                Named<FromQueryAttribute>(parameters, query => query.Name).ToDictionary(parameter => parameter.Name),
                [.. Named<FromHeaderAttribute>(parameters, header => header.Name)],
                body is null ? null : new(json.GetTypeInfo(body), parameters.Single(parameter => parameter.ParameterType == body).Position)));
        });
        return endpoints.AddEndpointFilter((invocation, next) =>
        {
            var context = invocation.HttpContext;
            var call = context.GetEndpoint()!.Metadata.GetMetadata<CallForm>()!;
            var body = context.Features.Get<IRequestBodyPipeFeature>() as BufferedBody;
            if (!call.Accepts(invocation.Arguments))
            {
                return new(new Mistakes(context.Request, call, body).ToAnswer());
            }

            body?.Release(); // nobody needs it again, and large bodies must not stay in memory while they wait for the ledger
            return next(invocation);
        });
    }

    /// <summary>Handles HEAD like GET. Kestrel remembers the method and sends no body.</summary>
    public static void UseHeadAsGet(this WebApplication app) => app.Use((context, next) =>
    {
        if (HttpMethods.IsHead(context.Request.Method))
        {
            context.Items[HttpMethods.Head] = true;
            context.Request.Method = HttpMethods.Get;
        }

        return next(context);
    });

    /// <summary>Whether the client asked for the headers alone. A long body would be made for nothing.</summary>
    public static bool AsksForHead(this HttpContext context) => context.Items.ContainsKey(HttpMethods.Head);

    /// <summary>Forbids caches to store any answer of the API.</summary>
    public static void UseNoStore(this WebApplication app) => app.Use((context, next) =>
    {
        if (context.Request.Path.StartsWithSegments("/api"))
        {
            context.Response.Headers.CacheControl = "no-store";
        }

        return next(context);
    });

    /// <summary>Refuses requests with mistakes and lists them all. Reads the body into memory once, and searches it only if something is wrong.</summary>
    public static void UseStrictRequests(this WebApplication app) => app.Use((context, next) =>
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<CallForm>() is not { } call)
        {
            return next(context);
        }

        if (call.Body is not null)
        {
            return WithBodyAsync(context, call, next);
        }

        var mistakes = new Mistakes(context.Request, call, body: null);
        return mistakes.AreInParameters() ? mistakes.ToAnswer().ExecuteAsync(context) : next(context);
    });

    private static async Task WithBodyAsync(HttpContext context, CallForm call, RequestDelegate next)
    {
        if (UnreadableContent(context.Request) is { } unreadable)
        {
            await unreadable.ExecuteAsync(context);
            return;
        }

        BufferedBody body;
        try
        {
            body = new(await ReadAsync(context.Request.BodyReader));
            context.Features.Set<IRequestBodyPipeFeature>(body);
        }
        catch (IOException exception) when (exception is not BadHttpRequestException)
        {
            return; // the client has disconnected
        }

        var mistakes = new Mistakes(context.Request, call, body);
        if (mistakes.AreInParameters())
        {
            await mistakes.ToAnswer().ExecuteAsync(context);
            return;
        }

        try
        {
            await next(context);
        }
        catch (BadHttpRequestException exception) when (exception.StatusCode == StatusCodes.Status400BadRequest)
        {
            await mistakes.ToAnswer().ExecuteAsync(context);
        }
    }

    private static IEnumerable<CallParameter> Named<TSource>(List<ParameterInfo> parameters, Func<TSource, string?> nameOf)
        where TSource : Attribute =>
        from parameter in parameters
        let source = parameter.GetCustomAttribute<TSource>()
        where source is not null
        select new CallParameter(nameOf(source)!, parameter.ParameterType, [.. parameter.GetCustomAttributes<ValidationAttribute>()], parameter.Position);

    /// <summary>The refusal of a body that is not uncompressed JSON in UTF-8 (RFC 8259); null if it is.</summary>
    private static ProblemResult? UnreadableContent(HttpRequest request)
    {
        if (request.Headers.ContentEncoding.Count > 0)
        {
            return Problem.Of("unsupported_media_type", "The body is compressed. Send it uncompressed, without Content-Encoding.");
        }

        if (request.ContentType is null)
        {
            return null; // the framework tells a missing type from a missing body
        }

        if (request.ContentType == Json)
        {
            return null; // what nearly every client sends needs no parsing
        }

        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals(Json, StringComparison.OrdinalIgnoreCase))
        {
            return Problem.Of(StatusCodes.Status415UnsupportedMediaType, request);
        }

        if (type.Charset.HasValue && !HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase))
        {
            return Problem.Of("unsupported_media_type", "The body is not in UTF-8. Send it in UTF-8.");
        }

        request.ContentType = Json; // the framework does not know a quoted charset
        return null;
    }

    private static async ValueTask<byte[]> ReadAsync(PipeReader body)
    {
        while (true)
        {
            var read = await body.ReadAsync();
            if (read.IsCompleted)
            {
                var bytes = read.Buffer.ToArray();
                body.AdvanceTo(read.Buffer.End);
                return bytes;
            }

            body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }
}
