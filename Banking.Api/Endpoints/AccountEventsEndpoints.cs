using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>An event of an account that is not a posting: what happened, who asked for it and why, and the account right after it.</summary>
public sealed record AccountEventResponse(
    [property: Description("The event's id. Ids have no gaps and follow the order of commits.")] long AccountEventId,
    [property: OneOf(AccountEventType.Opened, AccountEventType.Changed, AccountEventType.Frozen, AccountEventType.Unfrozen, AccountEventType.Closed,
            AccountEventType.HoldPlaced, AccountEventType.HoldReleased, AccountEventType.HoldExpired),
        Description("What happened.")] string Type,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
        Description("The account's status right after the event.")] string StatusAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance right after the event, in the account's currency.")] string BalanceAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that holds reserved right after the event.")] string HeldAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The overdraft limit right after the event.")] string OverdraftLimitAfter,
    [property: Description("The hold that the event is about, or null.")] long? HoldId,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that the event holds or releases, or null.")] string? Amount,
    [property: Description("The last transaction before the event. It shows the order of events and transactions.")] long AfterTransactionId,
    [property: Description("The caller who asked for it.")] string ClientId,
    [property: Description("The caller's reason, or null.")] string? Reason,
    [property: Description("When it happened, in UTC.")] DateTime CreatedAt)
{
    public static AccountEventResponse From(AccountEvent row, Currency currency) => new(
        row.AccountEventId, row.Type, row.StatusAfter, Money.Format(row.BalanceAfter, currency), Money.Format(row.HeldAfter, currency),
        Money.Format(row.OverdraftLimitAfter, currency), row.HoldId, row.Amount is { } amount ? Money.Format(amount, currency) : null,
        row.AfterTransactionId, row.ClientId, row.Reason, row.CreatedAt);
}

/// <summary>A page of an account's events, newest first.</summary>
[Example("""
    {"account_id":1000,"events":[{"account_event_id":7,"type":"frozen","status_after":"debits_blocked","balance_after":"100.00","held_after":"0.00","overdraft_limit_after":"0.00","hold_id":null,"amount":null,"after_transaction_id":42,"client_id":"back-office","reason":"Court order 17/2026","created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"7-5f3c9a01"}
    """)]
public sealed record AccountEventsResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The events of this page, newest first.")] IReadOnlyList<AccountEventResponse> Events,
    [property: Description("Send it as cursor to get the next page. Null on the last page.")] string? NextCursor)
{
    internal static async ValueTask<AccountEventsResponse> FromAsync(long accountId, AccountEventPage page, PagedList list, Currencies currencies)
    {
        var currency = await currencies.OfAsync(page.Currency);
        return new(
            accountId, [.. page.Events.Select(row => AccountEventResponse.From(row, currency))], list.CursorAfter(page.Next));
    }
}

/// <summary>Lists the events of an account.</summary>
internal static class AccountEventsEndpoints
{
    public static void MapAccountEvents(this IEndpointRouteBuilder api) =>
        api.MapGet("/account_events", AccountEvents)
            .WithName("account_events")
            .WithTags("Accounts")
            .WithSummary("List an account's events")
            .WithDescription("Lists everything that happened to an account except postings, newest first: its opening, changes, freezes, holds and closing, with the caller and the reason.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountEventsResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);

    private static async Task<IResult> AccountEvents(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("The largest number of events in a page."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the previous page. Leave it out for the first page."), Example("\"7-5f3c9a01\"")] string? cursor,
        AccountEvents events,
        AuditHeads heads,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var list = new PagedList("account_events", accountId);
        if (await list.StartAsync(cursor, long.MaxValue, heads, head => head.AccountEventId, cancellationToken) is not { } before)
        {
            return PagedList.NotItsCursor;
        }

        return await events.PageAsync(accountId!.Value, limit ?? LimitAttribute.Default, before, cancellationToken) is { } page
            ? TypedResults.Ok(await AccountEventsResponse.FromAsync(accountId.Value, page, list, currencies))
            : Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");
    }
}
