using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>Money to reserve for a later payment.</summary>
[Example("""
    {"account_id":1000,"amount":"30.00","to_account_id":1001,"reference":"Order 17"}
    """)]
public sealed record PlaceHoldRequest(
    [property: Needed, Id, Description("The account whose money is reserved.")] long? AccountId,
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to reserve, in the account's currency. Above zero.")] decimal? Amount,
    [property: Id, Description("The account that captures pay. It has the same currency. Default: captures are withdrawals.")] long? ToAccountId = null,
    [property: JsonConverter(typeof(InstantConverter)), Description("When the hold expires: in the future, at most one year from now. Default: in 7 days.")] DateTime? ExpiresAt = null,
    [property: Text(0, 140), Description("Your own reference for the hold and its captures.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>A hold to capture, in whole or in part.</summary>
[Example("""
    {"hold_id":7,"amount":"12.50","final":false}
    """)]
public sealed record CaptureHoldRequest(
    [property: Needed, Id, Description("The hold's id.")] long? HoldId,
    [property: AboveZero, JsonConverter(typeof(MoneyConverter)), Description("How much to pay. Above zero. Default: all that the hold has left.")] decimal? Amount = null,
    [property: Description("Whether this is the last capture. The last capture releases the rest of the hold. Default: true.")] bool? Final = null);

/// <summary>A hold to release.</summary>
[Example("""
    {"hold_id":7,"reason":"Order cancelled"}
    """)]
public sealed record ReleaseHoldRequest(
    [property: Needed, Id, Description("The hold's id.")] long? HoldId,
    [property: Text(1, 500), Description("The reason, for the account's log.")] string? Reason = null);

/// <summary>A hold. Its amounts are strings with the decimals of its currency.</summary>
[Example("""
    {"hold_id":7,"account_id":1000,"to_account_id":1001,"currency":"EUR","amount":"30.00","captured_amount":"12.50","status":"pending","expires_at":"2026-01-09T03:04:05.678901Z","reference":"Order 17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public sealed record HoldResponse(
    [property: Description("The hold's id. It is the id of the event that placed the hold.")] long HoldId,
    [property: Description("The account whose money is reserved.")] long AccountId,
    [property: Description("The account that captures pay, or null if captures are withdrawals.")] long? ToAccountId,
    [property: Description("The account's currency as an ISO 4217 code.")] string Currency,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that the hold reserved when it was placed.")] string Amount,
    [property: RegularExpression(Money.AnswerPattern), Description("How much of the amount is captured so far.")] string CapturedAmount,
    [property: OneOf(HoldStatus.Pending, HoldStatus.Captured, HoldStatus.Released, HoldStatus.Expired),
        Description("What became of the hold. `pending`: the amount that is not captured stays reserved. `captured`: the last capture is made. `released` and `expired`: the rest is free again.")] string Status,
    [property: Description("When the hold expires, in UTC. From then on it can't be captured.")] DateTime ExpiresAt,
    [property: Description("Your own reference, or null.")] string? Reference,
    [property: Description("Your own notes, unchanged, or null.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When the hold was placed, in UTC.")] DateTime CreatedAt)
{
    public static async ValueTask<HoldResponse> FromAsync(Hold hold, Currencies currencies) => From(hold, await currencies.OfAsync(hold.Currency));

    public static HoldResponse From(Hold hold, Currency currency) => new(
        hold.HoldId, hold.AccountId, hold.ToAccountId, hold.Currency, Money.Format(hold.Amount, currency), Money.Format(hold.CapturedAmount, currency),
        hold.Status, hold.ExpiresAt, hold.Reference, Data.Metadata.Read(hold.Metadata), hold.CreatedAt);
}

/// <summary>A page of an account's holds, newest first.</summary>
[Example("""
    {"account_id":1000,"holds":[{"hold_id":7,"account_id":1000,"to_account_id":1001,"currency":"EUR","amount":"30.00","captured_amount":"12.50","status":"pending","expires_at":"2026-01-09T03:04:05.678901Z","reference":"Order 17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"7-5f3c9a01"}
    """)]
public sealed record HoldListResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The holds of this page, newest first.")] IReadOnlyList<HoldResponse> Holds,
    [property: Description("Send it as cursor to get the next page. Null on the last page.")] string? NextCursor);

/// <summary>Places, captures, releases, shows and lists holds.</summary>
internal static class HoldEndpoints
{
    public static void MapHolds(this IEndpointRouteBuilder api)
    {
        api.MapPost("/place_hold", PlaceHold)
            .WithName("place_hold")
            .WithTags("Holds")
            .WithSummary("Place a hold")
            .WithDescription("Reserves money for a later payment, if the available balance covers it. The balance stays. held rises, available falls.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<HoldResponse>(
                201, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.SameAccount, Refusal.CurrencyMismatch,
                Refusal.AmountPrecision, Refusal.InsufficientFunds, Refusal.BalanceLimitExceeded);
        api.MapPost("/capture_hold", CaptureHold)
            .WithName("capture_hold")
            .WithTags("Holds")
            .WithSummary("Capture a hold")
            .WithDescription("Pays reserved money. A capture with final false leaves the rest reserved for more captures. The last capture releases the rest.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<TransactionResponse>(
                201, Refusal.HoldNotFound, Refusal.HoldNotPending, Refusal.AccountFrozen, Refusal.AccountClosed,
                Refusal.AmountPrecision, Refusal.CaptureAmountExceeded, Refusal.BalanceLimitExceeded);
        api.MapPost("/release_hold", ReleaseHold)
            .WithName("release_hold")
            .WithTags("Holds")
            .WithSummary("Release a hold")
            .WithDescription("Makes the rest of a hold available again. The account may be frozen.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<HoldResponse>(200, Refusal.HoldNotFound, Refusal.HoldNotPending);
        api.MapGet("/get_one_hold", GetOneHold)
            .WithName("get_one_hold")
            .WithTags("Holds")
            .WithSummary("Show a hold")
            .WithDescription("Shows a hold with its current status.")
            .Needs(Scope.HoldsRead)
            .Answers<HoldResponse>(200, Refusal.HoldNotFound, Refusal.Overloaded);
        api.MapGet("/list_holds", ListHolds)
            .WithName("list_holds")
            .WithTags("Holds")
            .WithSummary("List an account's holds")
            .WithDescription(
                "Lists an account's holds, newest first, in pages. A filtered page may have fewer holds than limit, or none, although more follow. Read on until next_cursor is null.")
            .Needs(Scope.HoldsRead)
            .Answers<HoldListResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);
    }

    private static async Task<IResult> PlaceHold(
        PlaceHoldRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context)
    {
        var decision = await ledger.SubmitAsync(new PlaceHold(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("place_hold", request), request.AccountId!.Value, request.ToAccountId,
            request.Amount!.Value, request.ExpiresAt, request.Reference, Metadata.Write(request.Metadata)));
        return await decision.ToAnswerAsync(
            context, hold => HoldResponse.FromAsync(hold, currencies), hold => $"/api/get_one_hold?hold_id={hold.HoldId}");
    }

    private static async Task<IResult> CaptureHold(
        CaptureHoldRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Holds holds,
        Currencies currencies,
        HttpContext context) =>
        await holds.GetAsync(request.HoldId!.Value, CancellationToken.None) is { } hold
            ? await PostingEndpoints.AnswerAsync(context, currencies, await ledger.SubmitAsync(new CaptureHold(
                Caller.RequestOf(context, idempotencyKey), RequestHash.Of("capture_hold", request), hold, request.Amount, request.Final ?? true)))
            : NotFound(request.HoldId);

    private static async Task<IResult> ReleaseHold(
        ReleaseHoldRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Holds holds,
        Currencies currencies,
        HttpContext context)
    {
        if (await holds.GetAsync(request.HoldId!.Value, CancellationToken.None) is not { } hold)
        {
            return NotFound(request.HoldId);
        }

        var decision = await ledger.SubmitAsync(new ReleaseHold(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("release_hold", request), hold, request.Reason));
        return await decision.ToAnswerAsync(context, released => HoldResponse.FromAsync(released, currencies));
    }

    private static async Task<IResult> GetOneHold(
        [FromQuery(Name = "hold_id"), Needed, Id, Description("The hold's id."), Example("7")] long? holdId,
        Holds holds,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await holds.GetAsync(holdId!.Value, cancellationToken) is { } hold
            ? TypedResults.Ok(await HoldResponse.FromAsync(hold, currencies))
            : NotFound(holdId);

    private static async Task<IResult> ListHolds(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "status"), OneOf(HoldStatus.Pending, HoldStatus.Captured, HoldStatus.Released, HoldStatus.Expired),
            Description("Only holds with this status."), Example("\"pending\"")] string? status,
        [FromQuery(Name = "limit"), Limit, Description("The largest number of holds in a page."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the previous page. Leave it out for the first page."), Example("\"7-5f3c9a01\"")] string? cursor,
        HoldList holds,
        AuditHeads heads,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var list = new PagedList("list_holds", accountId, status);
        if (await list.StartAsync(cursor, long.MaxValue, heads, head => head.AccountEventId, cancellationToken) is not { } before)
        {
            return PagedList.NotItsCursor;
        }

        if (await holds.PageAsync(accountId!.Value, status, limit ?? LimitAttribute.Default, before, cancellationToken) is not { } page)
        {
            return Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");
        }

        var answers = new List<HoldResponse>(page.Holds.Count);
        foreach (var hold in page.Holds)
        {
            answers.Add(await HoldResponse.FromAsync(hold, currencies));
        }

        return TypedResults.Ok(new HoldListResponse(accountId.Value, answers, list.CursorAfter(page.Next)));
    }

    private static ProblemResult NotFound(long? holdId) => Problem.Of(Refusal.HoldNotFound, $"Hold {holdId} does not exist. Check the id.");
}
