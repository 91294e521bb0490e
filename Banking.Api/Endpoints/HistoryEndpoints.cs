using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction as one of its accounts sees it: a credit raises its balance, a debit lowers it.</summary>
public sealed record EntryResponse(
    long TransactionId,
    [property: AllowedValues(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer)] string Type,
    [property: AllowedValues("credit", "debit")] string Direction,
    [property: RegularExpression(Money.AnswerPattern)] string Amount,
    [property: RegularExpression(Money.AnswerPattern)] string BalanceAfter,
    long CounterpartyAccountId,
    string? Reference,
    IReadOnlyDictionary<string, string>? Metadata,
    DateTime CreatedAt)
{
    public static EntryResponse From(Entry entry, Currency currency) => new(
        entry.TransactionId, entry.Type, entry.Direction,
        Money.Format(entry.Amount, currency), Money.Format(entry.BalanceAfter, currency),
        entry.CounterpartyAccountId, entry.Reference, Data.Metadata.Read(entry.Metadata), entry.CreatedAt);
}

/// <summary>A page of an account's entries, newest first. The next cursor asks for the page after it; null on the last one.</summary>
public sealed record HistoryResponse(long AccountId, IReadOnlyList<EntryResponse> Transactions, string? NextCursor)
{
    public static HistoryResponse From(long accountId, HistoryPage page, Currencies currencies) => new(
        accountId, [.. page.Entries.Select(entry => EntryResponse.From(entry, currencies[entry.Currency]))],
        page.Next?.ToString(CultureInfo.InvariantCulture));
}

/// <summary>Shows accounts' entries a page at a time.</summary>
internal static class HistoryEndpoints
{
    public static void MapHistory(this IEndpointRouteBuilder api) =>
        api.MapGet("/transaction_history", TransactionHistory)
            .WithName("transaction_history")
            .WithTags("History")
            .WithSummary("List an account's transactions")
            .WithDescription("Newest first, with the running balance; page by page, with next_cursor.")
            .Needs(Scope.TransactionsRead)
            .Answers<HistoryResponse>(200, "account_not_found", "overloaded");

    private static async Task<IResult> TransactionHistory(
        [FromQuery(Name = "account_id"), Needed, Id] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("Entries a page; 50 where it is left out.")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before.")] string? cursor,
        History history,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var before = cursor is null ? long.MaxValue : long.Parse(cursor, NumberStyles.None, CultureInfo.InvariantCulture);
        return await history.PageAsync(accountId!.Value, limit ?? LimitAttribute.Default, before, cancellationToken) is { } page
            ? TypedResults.Ok(HistoryResponse.From(accountId.Value, page, currencies))
            : Problem.Of("account_not_found", $"There is no account {accountId}.");
    }
}
