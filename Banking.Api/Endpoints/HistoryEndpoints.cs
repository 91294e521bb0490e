using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Banking.Data;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction as one of its accounts sees it: a credit raises its balance, a debit lowers it.</summary>
public sealed record EntryResponse(
    [property: Description("The transaction's id.")] long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal), Description("What the transaction is.")] string Type,
    [property: OneOf("credit", "debit"), Description("A credit raises this account's balance, a debit lowers it.")] string Direction,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that moved, in the account's currency.")] string Amount,
    [property: RegularExpression(Money.AnswerPattern), Description("This account's balance right after it.")] string BalanceAfter,
    [property: Description("The account on the other side.")] long CounterpartyAccountId,
    [property: Description("The transaction that this one reverses, whole or in part; null where it is no reversal.")] long? ReversesTransactionId,
    [property: Description("The transactions that reverse this one, in their order; none where nothing of it is reversed.")] IReadOnlyList<long> ReversedByTransactionIds,
    [property: Description("The hold that this transaction captures; null where it captures none.")] long? HoldId,
    [property: Description("The client's own reference; null where it gave none.")] string? Reference,
    [property: Description("The client's own notes, as given; null where there are none.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was posted, in UTC, to the microsecond.")] DateTime CreatedAt)
{
    public static EntryResponse From(Entry entry, Currency currency) => new(
        entry.TransactionId, entry.Type, entry.Direction,
        Money.Format(entry.Amount, currency), Money.Format(entry.BalanceAfter, currency),
        entry.CounterpartyAccountId, entry.ReversesTransactionId, entry.ReversedBy, entry.HoldId, entry.Reference, Data.Metadata.Read(entry.Metadata), entry.CreatedAt);
}

/// <summary>A page of an account's entries, newest first. The next cursor asks for the page after it; null on the last one.</summary>
[Example("""
    {"account_id":1000,"transactions":[{"transaction_id":42,"type":"transfer","direction":"debit","amount":"25.00","balance_after":"75.00","counterparty_account_id":1001,"reverses_transaction_id":null,"reversed_by_transaction_ids":[],"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"42"}
    """)]
public sealed record HistoryResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The transactions of this page, newest first.")] IReadOnlyList<EntryResponse> Transactions,
    [property: Description("Asks for the next page; null on the last.")] string? NextCursor);

/// <summary>Shows accounts' entries a page at a time.</summary>
internal static class HistoryEndpoints
{
    // A page is read in parts, and ends early when its metadata is large: its memory has a bound, whatever clients noted. As
    // JSON of escapes, the metadata of 500 entries can have 24 MB, and twice that as text in memory.
    private const int PartEntries = 50;
    private const int MostMetadataCharacters = 1_048_576;

    public static void MapHistory(this IEndpointRouteBuilder api) =>
        api.MapGet("/transaction_history", TransactionHistory)
            .WithName("transaction_history")
            .WithTags("History")
            .WithSummary("List an account's transactions")
            .WithDescription("Newest first, with the running balance; page by page, with next_cursor. A page with about 1 MB of metadata ends before its limit: only a next_cursor of null means the end.")
            .Needs(Scope.TransactionsRead)
            .Answers<HistoryResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);

    private static async Task<IResult> TransactionHistory(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("Transactions in a page, at most."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the page before; left out, the first page."), Example("\"42\"")] string? cursor,
        History history,
        Currencies currencies,
        HttpContext context,
        CancellationToken cancellationToken)
    {
        long? next = CursorAttribute.Parse(cursor) ?? long.MaxValue;
        var (left, metadata, entries) = (limit ?? LimitAttribute.Default, 0, new List<EntryResponse>());
        while (next is { } before && left > 0 && metadata < MostMetadataCharacters)
        {
            if (await history.PageAsync(accountId!.Value, Math.Min(left, PartEntries), before, cancellationToken) is not { } part)
            {
                return Problem.Of(Refusal.AccountNotFound, $"There is no account {accountId}.");
            }

            foreach (var entry in part.Entries)
            {
                entries.Add(EntryResponse.From(entry, await currencies.OfAsync(entry.Currency)));
                metadata += entry.Metadata?.Length ?? 0;
            }

            (next, left) = (part.Next, left - part.Entries.Count);
        }

        // Read in time, it may be sent at the client's pace: Banking__LeastBytesPerSecond bounds that.
        context.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        return TypedResults.Ok(new HistoryResponse(accountId!.Value, entries, next?.ToString(CultureInfo.InvariantCulture)));
    }
}
