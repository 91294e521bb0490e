using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction as one of its accounts sees it: a credit raises its balance, a debit lowers it.</summary>
public sealed record EntryResponse(
    long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer)] string Type,
    [property: OneOf("credit", "debit")] string Direction,
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
    public static async ValueTask<HistoryResponse> FromAsync(long accountId, HistoryPage page, Currencies currencies)
    {
        var entries = new List<EntryResponse>(page.Entries.Count);
        foreach (var entry in page.Entries)
        {
            entries.Add(EntryResponse.From(entry, await currencies.OfAsync(entry.Currency)));
        }

        return new(accountId, entries, page.Next?.ToString(CultureInfo.InvariantCulture));
    }
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
            .Answers<HistoryResponse>(200, Refusal.AccountNotFound);

    private static async Task<IResult> TransactionHistory(
        [FromQuery(Name = "account_id"), Needed, Id] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("Entries a page; 50 where it is left out.")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before.")] string? cursor,
        History history,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await history.PageAsync(accountId!.Value, limit ?? LimitAttribute.Default, CursorAttribute.Parse(cursor) ?? long.MaxValue, cancellationToken) is { } page
            ? TypedResults.Ok(await HistoryResponse.FromAsync(accountId.Value, page, currencies))
            : Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");
}
