using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Banking.Data;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction from the view of one of its two accounts.</summary>
public sealed record EntryResponse(
    [property: Description("The transaction's id.")] long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal), Description("The kind of transaction.")] string Type,
    [property: OneOf("credit", "debit"), Description("`credit`: this account received the money. `debit`: it paid.")] string Direction,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that moved.")] string Amount,
    [property: RegularExpression(Money.AnswerPattern), Description("This account's balance right after the transaction.")] string BalanceAfter,
    [property: Description("The account on the other side.")] long CounterpartyAccountId,
    [property: Description("The transaction that this one reverses, in whole or in part, or null.")] long? ReversesTransactionId,
    [property: Description("The transactions that reverse this one, oldest first. Empty if there are none.")] IReadOnlyList<long> ReversedByTransactionIds,
    [property: Description("The hold that this transaction captures, or null.")] long? HoldId,
    [property: Description("Your own reference, or null.")] string? Reference,
    [property: Description("Your own notes, unchanged, or null.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was posted, in UTC.")] DateTime CreatedAt)
{
    public static EntryResponse From(Entry entry, Currency currency) => new(
        entry.TransactionId, entry.Type, entry.Direction,
        Money.Format(entry.Amount, currency), Money.Format(entry.BalanceAfter, currency),
        entry.CounterpartyAccountId, entry.ReversesTransactionId, entry.ReversedBy, entry.HoldId, entry.Reference, Data.Metadata.Read(entry.Metadata), entry.CreatedAt);
}

/// <summary>A page of an account's transactions, newest first.</summary>
[Example("""
    {"account_id":1000,"transactions":[{"transaction_id":42,"type":"transfer","direction":"debit","amount":"25.00","balance_after":"75.00","counterparty_account_id":1001,"reverses_transaction_id":null,"reversed_by_transaction_ids":[],"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"42-5f3c9a01"}
    """)]
public sealed record HistoryResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The transactions of this page, newest first.")] IReadOnlyList<EntryResponse> Transactions,
    [property: Description("Send it as cursor to get the next page. Null on the last page.")] string? NextCursor);

/// <summary>Lists the transactions of an account.</summary>
internal static class HistoryEndpoints
{
    // A page is read in parts and ends early if its metadata is large, so that its memory is bounded. In escaped JSON, the
    // metadata of 500 entries can take 24 MB, and twice as much as text in memory.
    private const int PartEntries = 50;
    private const int MostMetadataCharacters = 1_048_576;

    public static void MapHistory(this IEndpointRouteBuilder api) =>
        api.MapGet("/transaction_history", TransactionHistory)
            .WithName("transaction_history")
            .WithTags("History")
            .WithSummary("List an account's transactions")
            .WithDescription("Lists an account's transactions with the balance after each, newest first, in pages. A page with about 1 MB of metadata ends before its limit. Read on until next_cursor is null.")
            .Needs(Scope.TransactionsRead)
            .Answers<HistoryResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);

    private static async Task<IResult> TransactionHistory(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("The largest number of transactions in a page."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the previous page. Leave it out for the first page."), Example("\"42-5f3c9a01\"")] string? cursor,
        History history,
        AuditHeads heads,
        Currencies currencies,
        HttpContext context,
        CancellationToken cancellationToken)
    {
        var list = new PagedList("transaction_history", accountId);
        if (await list.StartAsync(cursor, long.MaxValue, heads, head => head.TransactionId, cancellationToken) is not { } start)
        {
            return PagedList.NotItsCursor;
        }

        long? next = start;
        var (left, metadata, entries) = (limit ?? LimitAttribute.Default, 0, new List<EntryResponse>());
        while (next is { } before && left > 0 && metadata < MostMetadataCharacters)
        {
            if (await history.PageAsync(accountId!.Value, Math.Min(left, PartEntries), before, cancellationToken) is not { } part)
            {
                return Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");
            }

            foreach (var entry in part.Entries)
            {
                entries.Add(EntryResponse.From(entry, await currencies.OfAsync(entry.Currency)));
                metadata += entry.Metadata?.Length ?? 0;
            }

            (next, left) = (part.Next, left - part.Entries.Count);
        }

        // The page is read. Sending it may take as long as the client needs: Banking__LeastBytesPerSecond bounds that.
        context.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        return TypedResults.Ok(new HistoryResponse(accountId!.Value, entries, list.CursorAfter(next)));
    }
}
