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

/// <summary>A parameter of a call, with the name that the client knows and its rules.</summary>
internal sealed record CallParameter(string Name, Type Type, ValidationAttribute[] Rules)
{
    public bool IsNeeded { get; } = Rules.OfType<NeededAttribute>().Any();
}

/// <summary>What a call accepts: query parameters by name, headers and, for some calls, a body.</summary>
internal sealed record CallForm(Dictionary<string, CallParameter> Query, CallParameter[] Headers, JsonTypeInfo? Body);

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
                body is null ? null : json.GetTypeInfo(body)));
        });
        // The framework has read the body and found it valid, so nobody needs it again. Large bodies must not stay in memory while they wait for the ledger.
        return endpoints.AddEndpointFilter((invocation, next) =>
        {
            (invocation.HttpContext.Features.Get<IRequestBodyPipeFeature>() as BufferedBody)?.Release();
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
    public static void UseStrictRequests(this WebApplication app) => app.Use(async (context, next) =>
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<CallForm>() is not { } call)
        {
            await next(context);
            return;
        }

        if (call.Body is not null && UnreadableContent(context.Request) is { } unreadable)
        {
            await unreadable.ExecuteAsync(context);
            return;
        }

        BufferedBody? body = null;
        if (call.Body is not null)
        {
            try
            {
                body = new(await ReadAsync(context.Request.BodyReader));
                context.Features.Set<IRequestBodyPipeFeature>(body);
            }
            catch (IOException exception) when (exception is not BadHttpRequestException)
            {
                return; // the client has disconnected
            }
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
        catch (BadHttpRequestException exception) when (exception.StatusCode == StatusCodes.Status400BadRequest && body is not null)
        {
            await mistakes.ToAnswer().ExecuteAsync(context);
        }
    });

    private static IEnumerable<CallParameter> Named<TSource>(List<ParameterInfo> parameters, Func<TSource, string?> nameOf)
        where TSource : Attribute =>
        from parameter in parameters
        let source = parameter.GetCustomAttribute<TSource>()
        where source is not null
        select new CallParameter(nameOf(source)!, parameter.ParameterType, [.. parameter.GetCustomAttributes<ValidationAttribute>()]);

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

        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
        {
            return Problem.Of(StatusCodes.Status415UnsupportedMediaType, request);
        }

        if (type.Charset.HasValue && !HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase))
        {
            return Problem.Of("unsupported_media_type", "The body is not in UTF-8. Send it in UTF-8.");
        }

        request.ContentType = "application/json"; // the framework does not know a quoted charset
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
