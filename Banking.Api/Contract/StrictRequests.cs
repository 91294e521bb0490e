using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;

namespace Banking.Api;

/// <summary>What the framework lets pass or can't put in words: unknown or repeated parameters, odd content types, and members of a body that can't be read.</summary>
internal static class StrictRequests
{
    /// <summary>The query parameters of an endpoint by name.</summary>
    private sealed record QueryParameters(Dictionary<string, ParameterInfo> ByName);

    /// <summary>Notes each endpoint's parameters beside it, where <see cref="UseStrictParameters"/> finds them.</summary>
    public static TBuilder WithStrictParameters<TBuilder>(this TBuilder endpoints)
        where TBuilder : IEndpointConventionBuilder
    {
        endpoints.Finally(endpoint => endpoint.Metadata.Add(new QueryParameters(endpoint.Metadata
            .OfType<IParameterBindingMetadata>()
            .Select(parameter => (parameter.ParameterInfo, parameter.ParameterInfo.GetCustomAttribute<FromQueryAttribute>()?.Name))
            .Where(parameter => parameter.Name is not null)
            .ToDictionary(parameter => parameter.Name!, parameter => parameter.ParameterInfo))));
        return endpoints;
    }

    /// <summary>Refuses parameters that are missing, given twice, not the endpoint's, or no numbers where numbers are asked for.</summary>
    public static void UseStrictParameters(this WebApplication app) => app.Use((context, next) =>
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<QueryParameters>() is not { } known)
        {
            return next(context);
        }

        Dictionary<string, string[]>? errors = null;
        void Add(string name, string rule) => (errors ??= [])[name] = [rule];

        foreach (var (name, values) in context.Request.Query)
        {
            if (!known.ByName.TryGetValue(name, out var parameter))
            {
                Add(name, "is not a parameter of this call.");
            }
            else if (values.Count > 1)
            {
                Add(name, "is given more than once.");
            }
            else if (parameter.ParameterType != typeof(string) && !IsNumber(values[0], parameter.ParameterType))
            {
                Add(name, parameter.GetCustomAttribute<RangeAttribute>()!.FormatErrorMessage(name));
            }
        }

        foreach (var (name, parameter) in known.ByName)
        {
            // The framework validates only the arguments that were given.
            if (!context.Request.Query.ContainsKey(name) && parameter.GetCustomAttribute<NeededAttribute>() is { } needed)
            {
                Add(name, needed.FormatErrorMessage(name));
            }
        }

        if (context.Request.Headers[Idempotency.Header].Count > 1)
        {
            Add(Idempotency.Header, "is given more than once.");
        }

        return errors is null ? next(context) : Problem.Invalid(errors).ExecuteAsync(context);
    });

    private static bool IsNumber(string? text, Type type) => type == typeof(int?)
        ? int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _)
        : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    /// <summary>Refuses bodies that are not plain UTF-8 JSON, which is all that JSON on the wire is (RFC 8259).</summary>
    public static void UseStrictContent(this WebApplication app) => app.Use((context, next) =>
    {
        var request = context.Request;
        if (context.GetEndpoint()?.Metadata.GetMetadata<IAcceptsMetadata>() is null || request.ContentType is null)
        {
            return next(context);
        }

        var isPlain = request.Headers.ContentEncoding.Count == 0
            && MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
            && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            && (!type.Charset.HasValue || HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase));
        if (!isPlain)
        {
            return Problem.Of(StatusCodes.Status415UnsupportedMediaType, request).ExecuteAsync(context);
        }

        request.ContentType = "application/json"; // the framework takes a quoted charset for an unknown one
        return next(context);
    });

    /// <summary>The field and the rule behind a body that couldn't be read.</summary>
    public static ProblemResult Explain(JsonException exception, Type? requestType)
    {
        var field = FieldOf(exception.Path);
        if (exception.InnerException is JsonException) // what the reader itself throws is wrapped; what a converter throws is not
        {
            return Problem.Invalid(
                field ?? "body", $"is not well-formed JSON, at line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1}.");
        }

        if (exception is MetadataMemberException metadata)
        {
            return Problem.Invalid($"{field}.{metadata.Member}", metadata.Message);
        }

        if (exception.Message.StartsWith("Duplicate property", StringComparison.Ordinal))
        {
            return Problem.Invalid(field ?? "body", "is given more than once.");
        }

        if (field is null)
        {
            return Problem.Invalid("body", "must be a JSON object with the members that the call describes.");
        }

        var member = field.Split('.', '[')[0];
        var known = requestType is null ? null : ApiJson.Default.GetTypeInfo(requestType)?.Properties.FirstOrDefault(property => property.Name == member);
        return Problem.Invalid(field, known is null ? "is not a member of this call." : RuleOf(known));
    }

    /// <summary>The field of a JSON path such as <c>$.amount</c>, <c>$.metadata.branch</c> or <c>$['a b']</c>; null for the whole body.</summary>
    private static string? FieldOf(string? path) => path switch
    {
        null or "$" => null,
        _ when path.StartsWith("$['", StringComparison.Ordinal) && path.EndsWith("']", StringComparison.Ordinal) => path[3..^2],
        _ => path[1..].TrimStart('.'),
    };

    private static string RuleOf(JsonPropertyInfo property) =>
        property.PropertyType == typeof(decimal?) ? Money.Rule
        : property.PropertyType == typeof(long?) ? IdAttribute.Rule
        : property.PropertyType == typeof(string) ? "must be a string of well-formed Unicode text."
        : new MetadataAttribute().FormatErrorMessage(property.Name);
}
