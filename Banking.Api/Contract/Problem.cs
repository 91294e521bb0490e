using System.ComponentModel;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Http.Features;

namespace Banking.Api;

/// <summary>An RFC 9457 problem document. Each code is stable and has one status.</summary>
public sealed record Problem(
    [property: Description("The kind of problem as a URI: `urn:core-banking:problem:` followed by the code.")] string Type,
    [property: Description("The kind of problem in a few words. The same for every problem with this code.")] string Title,
    [property: Description("The HTTP status.")] int Status,
    [property: Description("What is wrong with this request and what to do, for people.")] string Detail,
    [property: Description("The kind of problem, for programs. Handle the codes that you know, and every other code by its status.")] string Code,
    [property: Description("The id of this request in the service's log and traces. Quote it when you report a problem.")] string TraceId,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("What is wrong, by member, header or parameter.")]
    IReadOnlyDictionary<string, string[]>? Errors = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("In an atomic batch: the index of the first posting that is refused. The first posting has index 0.")]
    int? FailedIndex = null)
{
    public const string ContentType = "application/problem+json";

    /// <summary>A code's status, its title and, where a retry may help, the seconds to wait before it.</summary>
    public sealed record Kind(string Code, int Status, string Title, int? RetryAfter = null);

    /// <summary>Every code of the service: those about HTTP and callers, then the refusals of the ledger and of reads.</summary>
    public static readonly IReadOnlyList<Kind> Kinds =
    [
        new("unauthorized", 401, "The call needs a valid token"),
        new("insufficient_scope", 403, "The token lacks the scope that this call needs"),
        new("not_found", 404, "The path does not exist"),
        new("method_not_allowed", 405, "The path does not support this method"),
        new("request_timeout", 408, "The body arrived too slowly"),
        new("payload_too_large", 413, "The body is too large"),
        new("unsupported_media_type", 415, "The body is not plain JSON in UTF-8"),
        new("rate_limited", 429, "The caller sends too many requests", RetryAfter: 1),
        new("internal_error", 500, "The service failed"),
        new("authority_unavailable", 503, "The token issuer does not answer", RetryAfter: 5),
        .. Enum.GetValues<Refusal>().Select(KindOf),
    ];

    private static readonly Dictionary<string, Kind> ByCode = Kinds.ToDictionary(kind => kind.Code);

    public static string TypeOf(string code) => $"urn:core-banking:problem:{code}";

    public static Kind KindOf(string code) => ByCode[code];

    public static string CodeOf(Refusal refusal) => JsonNamingPolicy.SnakeCaseLower.ConvertName($"{refusal}");

    public static ProblemResult Of(Refused refused)
    {
        var errors = refused.Field is null ? null : new Dictionary<string, string[]> { [refused.Field] = [refused.Detail] };
        return refused.Refusal == Refusal.ValidationFailed ? Invalid(errors!) : new(KindOf(CodeOf(refused.Refusal)), refused.Detail, errors, refused.Index);
    }

    public static ProblemResult Of(Refusal refusal, string detail) => Of(CodeOf(refusal), detail);

    private static Kind KindOf(Refusal refusal)
    {
        var meaning = typeof(Refusal).GetField($"{refusal}")!.GetCustomAttribute<MeaningAttribute>()!;
        var status = meaning.Kind switch
        {
            RefusalKind.Invalid => 400,
            RefusalKind.NotFound => 404,
            RefusalKind.Conflict => 409,
            RefusalKind.BrokenRule => 422,
            RefusalKind.NotNow => 503,
            _ => throw new InvalidOperationException($"{meaning.Kind} has no status."),
        };
        return new(CodeOf(refusal), status, meaning.Title, meaning.RetryAfter == 0 ? null : meaning.RetryAfter);
    }

    public static ProblemResult Of(string code, string detail, IReadOnlyDictionary<string, string[]>? errors = null) =>
        new(KindOf(code), detail, errors);

    /// <summary>The answer to a request that breaks rules, given as rules by field.</summary>
    public static ProblemResult Invalid(IReadOnlyDictionary<string, string[]> errors) =>
        Of("validation_failed", string.Join(' ', errors.Select(error => $"{error.Key} {error.Value[0]}")), errors);

    public static ProblemResult Invalid(string field, string rule) => Invalid(new Dictionary<string, string[]> { [field] = [rule] });

    /// <summary>The answer for a status that the framework set before an endpoint saw the request.</summary>
    public static ProblemResult Of(int status, HttpRequest request) => status switch
    {
        404 => Of("not_found", $"The path {request.Path} does not exist. See all calls at /scalar."),
        405 => Of("method_not_allowed", $"{request.Path} does not support {request.Method}. Use {request.HttpContext.Response.Headers.Allow}."),
        408 => Of("request_timeout", "The body arrived too slowly. Nothing was done. Send it faster."),
        413 => Of("payload_too_large", $"The body is larger than {request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize} bytes. Send a smaller one."),
        415 => Of("unsupported_media_type", "The body has another Content-Type, or none. Send JSON with Content-Type: application/json."),
        >= 500 => Of("internal_error", "This is a fault of the service. Retry with the same Idempotency-Key: the request is applied at most once. Quote trace_id when you report the fault."),
        _ => Of("validation_failed", "The request can't be read. Check its headers and its body."),
    };
}

/// <summary>Answers with a problem document, even if the client's Accept header asks for something else.</summary>
public sealed class ProblemResult(Problem.Kind kind, string detail, IReadOnlyDictionary<string, string[]>? errors, int? failedIndex = null) : IResult, IStatusCodeHttpResult
{
    public int? StatusCode => kind.Status;

    public string Detail => detail;

    public Task ExecuteAsync(HttpContext httpContext)
    {
        Observability.Refused(httpContext, kind.Code);
        Observability.NameTrace(httpContext); // again, because an exception clears the headers
        httpContext.Response.StatusCode = kind.Status;
        if (kind.RetryAfter is { } seconds)
        {
            httpContext.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }

        return httpContext.Response.WriteAsJsonAsync(ToProblem(httpContext), options: null, Problem.ContentType);
    }

    public Problem ToProblem(HttpContext httpContext) =>
        new(Problem.TypeOf(kind.Code), kind.Title, kind.Status, detail, kind.Code, Observability.LineOf(httpContext).TraceId, errors, failedIndex);
}
