using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Banking.Data;

namespace Banking.Api;

/// <summary>Where the book ends: the hash that covers both logs so far, for an outsider to keep, and the last ids given out.</summary>
[Example("""
    {"block_id":40,"transaction_id":42,"account_event_id":7,"account_id":1003,"hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public sealed record AuditHeadResponse(
    [property: Description("The last block's id.")] long BlockId,
    [property: Description("The last transaction's id.")] long TransactionId,
    [property: Description("The last account event's id.")] long AccountEventId,
    [property: Description("The id of the last account that was opened.")] long AccountId,
    [property: RegularExpression("^[0-9a-f]{64}$"), Description("The last block's hash: SHA-256, in hexadecimal digits.")] string Hash,
    [property: Description("When the last block was written, in UTC, to the microsecond.")] DateTime CreatedAt)
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
