using System.ComponentModel.DataAnnotations;
using Banking.Data;

namespace Banking.Api;

/// <summary>Where the book ends: the hash that covers both logs so far, for an outsider to keep, and the last ids given out.</summary>
public sealed record AuditHeadResponse(
    long BlockId,
    long TransactionId,
    long AccountEventId,
    long AccountId,
    [property: RegularExpression("^[0-9a-f]{64}$")] string Hash,
    DateTime CreatedAt)
{
    public static AuditHeadResponse From(AuditHead head) =>
        new(head.BlockId, head.TransactionId, head.AccountEventId, head.AccountId, head.Hash, head.CreatedAt);
}

/// <summary>Shows what proves later that nothing was rewritten.</summary>
internal static class AuditEndpoints
{
    public static void MapAudit(this IEndpointRouteBuilder api) =>
        api.MapGet("/audit_head", AuditHead)
            .WithName("audit_head")
            .WithTags("Audit")
            .WithSummary("Show the head of the chain of hashes")
            .WithDescription(
                "Keep it outside: `verify --against <block_id>:<hash>` proves later that both logs up to this block are still the same. "
                + "The ids are the last ones given out; after a recovery that lost the end of the book they say where to go on.")
            .Needs(Scope.AuditRead)
            .Answers<AuditHeadResponse>(200, Refusal.Overloaded);

    private static async Task<IResult> AuditHead(AuditHeads heads, CancellationToken cancellationToken) =>
        TypedResults.Ok(AuditHeadResponse.From(await heads.GetAsync(cancellationToken)));
}
