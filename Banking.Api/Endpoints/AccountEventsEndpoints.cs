using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>What happened to an account beside postings, what it left behind, by whom and why.</summary>
public sealed record AccountEventResponse(
    long AccountEventId,
    [property: OneOf(AccountEventType.Opened, AccountEventType.Changed, AccountEventType.Frozen, AccountEventType.Unfrozen, AccountEventType.Closed)] string Type,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed)] string StatusAfter,
    [property: RegularExpression(Money.AnswerPattern)] string BalanceAfter,
    [property: RegularExpression(Money.AnswerPattern)] string HeldAfter,
    [property: RegularExpression(Money.AnswerPattern)] string OverdraftLimitAfter,
    long? HoldId,
    [property: RegularExpression(Money.AnswerPattern)] string? Amount,
    long AfterTransactionId,
    string ClientId,
    string? Reason,
    DateTime CreatedAt)
{
    public static AccountEventResponse From(AccountEvent row, Currency currency) => new(
        row.AccountEventId, row.Type, row.StatusAfter, Money.Format(row.BalanceAfter, currency), Money.Format(row.HeldAfter, currency),
        Money.Format(row.OverdraftLimitAfter, currency), row.HoldId, row.Amount is { } amount ? Money.Format(amount, currency) : null,
        row.AfterTransactionId, row.ClientId, row.Reason, row.CreatedAt);
}

/// <summary>A page of an account's events, newest first. The next cursor asks for the page after it; null on the last one.</summary>
public sealed record AccountEventsResponse(long AccountId, IReadOnlyList<AccountEventResponse> Events, string? NextCursor)
{
    public static async ValueTask<AccountEventsResponse> FromAsync(long accountId, AccountEventPage page, Currencies currencies)
    {
        var currency = await currencies.OfAsync(page.Currency);
        return new(
            accountId, [.. page.Events.Select(row => AccountEventResponse.From(row, currency))], page.Next?.ToString(CultureInfo.InvariantCulture));
    }
}

/// <summary>Shows accounts' events a page at a time.</summary>
internal static class AccountEventsEndpoints
{
    public static void MapAccountEvents(this IEndpointRouteBuilder api) =>
        api.MapGet("/account_events", AccountEvents)
            .WithName("account_events")
            .WithTags("Accounts")
            .WithSummary("List what happened to an account beside postings")
            .WithDescription("Newest first: its opening, changes, freezes and closing, with who asked and why; page by page, with next_cursor.")
            .Needs(Scope.AccountsRead)
            .Answers<AccountEventsResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);

    private static async Task<IResult> AccountEvents(
        [FromQuery(Name = "account_id"), Needed, Id] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("Events a page; 50 where it is left out.")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before.")] string? cursor,
        AccountEvents events,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await events.PageAsync(accountId!.Value, limit ?? LimitAttribute.Default, CursorAttribute.Parse(cursor) ?? long.MaxValue, cancellationToken) is { } page
            ? TypedResults.Ok(await AccountEventsResponse.FromAsync(accountId.Value, page, currencies))
            : Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");
}
