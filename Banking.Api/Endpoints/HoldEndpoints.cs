using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
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
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to reserve, above zero, in the account's currency.")] decimal? Amount,
    [property: Id, Description("The account that captures pay; left out, they pay out of the book, as withdrawals.")] long? ToAccountId = null,
    [property: JsonConverter(typeof(InstantConverter)), Description("When the hold ends by itself: at most a year away; left out, in 7 days.")] DateTime? ExpiresAt = null,
    [property: Text(0, 140), Description("The client's own reference, kept as given; its captures have it too.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>A hold to capture, whole or in part.</summary>
[Example("""
    {"hold_id":7,"amount":"12.50","final":false}
    """)]
public sealed record CaptureHoldRequest(
    [property: Needed, Id, Description("The hold's id.")] long? HoldId,
    [property: AboveZero, JsonConverter(typeof(MoneyConverter)), Description("How much to pay; left out, all that the hold has left.")] decimal? Amount = null,
    [property: Description("Whether this is the last capture: what it leaves is released. Left out, it is.")] bool? Final = null);

/// <summary>A hold to release.</summary>
[Example("""
    {"hold_id":7,"reason":"Order cancelled"}
    """)]
public sealed record ReleaseHoldRequest(
    [property: Needed, Id, Description("The hold's id.")] long? HoldId,
    [property: Text(1, 500), Description("Why, for the account's log.")] string? Reason = null);

/// <summary>A hold. Amounts are decimal strings with the currency's own digits.</summary>
[Example("""
    {"hold_id":7,"account_id":1000,"to_account_id":1001,"currency":"EUR","amount":"30.00","captured_amount":"12.50","status":"pending","expires_at":"2026-01-09T03:04:05.678901Z","reference":"Order 17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public sealed record HoldResponse(
    [property: Description("The hold's id: that of the event which placed it.")] long HoldId,
    [property: Description("The account whose money is reserved.")] long AccountId,
    [property: Description("The account that captures pay; null where they pay out of the book.")] long? ToAccountId,
    [property: Description("The currency of the hold, a code of ISO 4217.")] string Currency,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that was reserved.")] string Amount,
    [property: RegularExpression(Money.AnswerPattern), Description("How much of it is captured.")] string CapturedAmount,
    [property: OneOf(HoldStatus.Pending, HoldStatus.Captured, HoldStatus.Released, HoldStatus.Expired),
        Description("Where the hold stands. Only a pending one reserves money.")] string Status,
    [property: Description("When the hold ends by itself, in UTC. From then on it cannot be captured.")] DateTime ExpiresAt,
    [property: Description("The client's own reference; null where it gave none.")] string? Reference,
    [property: Description("The client's own notes, as given; null where there are none.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was placed, in UTC, to the microsecond.")] DateTime CreatedAt)
{
    public static async ValueTask<HoldResponse> FromAsync(Hold hold, Currencies currencies) => From(hold, await currencies.OfAsync(hold.Currency));

    public static HoldResponse From(Hold hold, Currency currency) => new(
        hold.HoldId, hold.AccountId, hold.ToAccountId, hold.Currency, Money.Format(hold.Amount, currency), Money.Format(hold.CapturedAmount, currency),
        hold.Status, hold.ExpiresAt, hold.Reference, Data.Metadata.Read(hold.Metadata), hold.CreatedAt);
}

/// <summary>A page of an account's holds, newest first. The next cursor asks for the page after it; null on the last one.</summary>
[Example("""
    {"account_id":1000,"holds":[{"hold_id":7,"account_id":1000,"to_account_id":1001,"currency":"EUR","amount":"30.00","captured_amount":"12.50","status":"pending","expires_at":"2026-01-09T03:04:05.678901Z","reference":"Order 17","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"7"}
    """)]
public sealed record HoldListResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The holds of this page, newest first.")] IReadOnlyList<HoldResponse> Holds,
    [property: Description("Asks for the next page; null on the last.")] string? NextCursor);

/// <summary>Reserves money, and pays it later or makes it free again.</summary>
internal static class HoldEndpoints
{
    public static void MapHolds(this IEndpointRouteBuilder api)
    {
        api.MapPost("/place_hold", PlaceHold)
            .WithName("place_hold")
            .WithTags("Holds")
            .WithSummary("Reserve money")
            .WithDescription("As far as balance - held + overdraft_limit covers it. The balance stays; held rises.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<HoldResponse>(
                201, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.SameAccount, Refusal.CurrencyMismatch,
                Refusal.AmountPrecision, Refusal.InsufficientFunds, Refusal.BalanceLimitExceeded);
        api.MapPost("/capture_hold", CaptureHold)
            .WithName("capture_hold")
            .WithTags("Holds")
            .WithSummary("Pay reserved money")
            .WithDescription("Whole or in part, several times while final is false. A final capture releases what it leaves.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<TransactionResponse>(
                201, Refusal.HoldNotFound, Refusal.HoldNotPending, Refusal.AccountFrozen, Refusal.AccountClosed,
                Refusal.AmountPrecision, Refusal.CaptureAmountExceeded, Refusal.BalanceLimitExceeded);
        api.MapPost("/release_hold", ReleaseHold)
            .WithName("release_hold")
            .WithTags("Holds")
            .WithSummary("Make reserved money free again")
            .WithDescription("All that the hold has left. This works on a frozen account too.")
            .Needs(Scope.HoldsWrite)
            .AnswersOfLedger<HoldResponse>(200, Refusal.HoldNotFound, Refusal.HoldNotPending);
        api.MapGet("/get_one_hold", GetOneHold)
            .WithName("get_one_hold")
            .WithTags("Holds")
            .WithSummary("Show a hold")
            .WithDescription("As it stands at this moment.")
            .Needs(Scope.HoldsRead)
            .Answers<HoldResponse>(200, Refusal.HoldNotFound, Refusal.Overloaded);
        api.MapGet("/list_holds", ListHolds)
            .WithName("list_holds")
            .WithTags("Holds")
            .WithSummary("List an account's holds")
            .WithDescription("Newest first; page by page, with next_cursor. A page with a filter may hold fewer than limit, or none, while next_cursor is set.")
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
        [FromQuery(Name = "limit"), Limit, Description("Holds in a page, at most."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before; left out, the first page."), Example("\"7\"")] string? cursor,
        HoldList holds,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        if (await holds.PageAsync(
            accountId!.Value, status, limit ?? LimitAttribute.Default, CursorAttribute.Parse(cursor) ?? long.MaxValue, cancellationToken) is not { } page)
        {
            return Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");
        }

        var answers = new List<HoldResponse>(page.Holds.Count);
        foreach (var hold in page.Holds)
        {
            answers.Add(await HoldResponse.FromAsync(hold, currencies));
        }

        return TypedResults.Ok(new HoldListResponse(accountId.Value, answers, page.Next?.ToString(CultureInfo.InvariantCulture)));
    }

    private static ProblemResult NotFound(long? holdId) => Problem.Of(Refusal.HoldNotFound, $"There is no hold {holdId}.");
}
