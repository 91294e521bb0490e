using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Banking.Data;

namespace Banking.Api;

/// <summary>The end of the book: the hash that covers both logs, and the last ids.</summary>
[Example("""
    {"block_id":40,"transaction_id":42,"account_event_id":7,"account_id":1003,"hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public sealed record AuditHeadResponse(
    [property: Description("The last block's id.")] long BlockId,
    [property: Description("The last transaction's id.")] long TransactionId,
    [property: Description("The last account event's id.")] long AccountEventId,
    [property: Description("The last account's id.")] long AccountId,
    [property: RegularExpression("^[0-9a-f]{64}$"), Description("The last block's hash: SHA-256 in hexadecimal digits.")] string Hash,
    [property: Description("When the last block was written, in UTC.")] DateTime CreatedAt)
{
    public static AuditHeadResponse From(AuditHead head) =>
        new(head.BlockId, head.TransactionId, head.AccountEventId, head.AccountId, head.Hash, head.CreatedAt);
}

/// <summary>Shows the head of the chain of hashes, which proves later that nobody rewrote the logs.</summary>
internal static class AuditEndpoints
{
    public static void MapAudit(this IEndpointRouteBuilder api) =>
        api.MapGet("/audit_head", AuditHead)
            .WithName("audit_head")
            .WithTags("Audit")
            .WithSummary("Show the head of the chain of hashes")
            .WithDescription(
                "Shows the last block of the chain, and the last ids. Keep the answer outside the database. Later, `verify --against <block_id>:<hash>` proves "
                + "that both logs are unchanged up to this block. If a recovery loses the end of the book, the ids show which ones were already in use.")
            .Needs(Scope.AuditRead)
            .Answers<AuditHeadResponse>(200, Refusal.Overloaded);

    private static async Task<IResult> AuditHead(AuditHeads heads, CancellationToken cancellationToken) =>
        TypedResults.Ok(AuditHeadResponse.From(await heads.GetAsync(cancellationToken)));
}
