using System.ComponentModel.DataAnnotations;
using Banking.Data;

namespace Banking.Api;

/// <summary>The end of the chain of hashes over the log, for an outsider to keep.</summary>
public sealed record AuditHeadResponse(
    long TransactionId,
    [property: RegularExpression("^[0-9a-f]{64}$")] string Hash,
    DateTime CreatedAt)
{
    public static AuditHeadResponse From(AuditHead head) => new(head.TransactionId, head.Hash, head.CreatedAt);
}

/// <summary>Shows what proves later that nothing was rewritten.</summary>
internal static class AuditEndpoints
{
    public static void MapAudit(this IEndpointRouteBuilder api) =>
        api.MapGet("/audit_head", AuditHead)
            .WithName("audit_head")
            .WithTags("Audit")
            .WithSummary("Show the head of the log's chain of hashes")
            .WithDescription("Keep it outside: `verify --against <transaction_id>:<hash>` proves later that the log up to it is still the same.")
            .Needs(Scope.AuditRead)
            .Answers<AuditHeadResponse>(200, "overloaded");

    private static async Task<IResult> AuditHead(AuditHeads heads, CancellationToken cancellationToken) =>
        TypedResults.Ok(AuditHeadResponse.From(await heads.GetAsync(cancellationToken)));
}
