using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using Banking.Data;
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
    [property: Description("When it was posted, in UTC.")] DateTime CreatedAt);

/// <summary>A page of an account's transactions, newest first. <see cref="HistoryJson"/> writes it.</summary>
[Example("""
    {"account_id":1000,"transactions":[{"transaction_id":42,"type":"transfer","direction":"debit","amount":"25.00","balance_after":"75.00","counterparty_account_id":1001,"reverses_transaction_id":null,"reversed_by_transaction_ids":[],"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"next_cursor":"42-5f3c9a01"}
    """)]
public sealed record HistoryResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The transactions of this page, newest first.")] IReadOnlyList<EntryResponse> Transactions,
    [property: Description("Send it as cursor to get the next page. Null on the last page.")] string? NextCursor);

/// <summary>An account's balance at an instant in the past.</summary>
[Example("""
    {"account_id":1000,"currency":"EUR","at":"2026-01-31T23:00:00.000000Z","balance":"75.00","transaction_id":42}
    """)]
public sealed record BalanceAtResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The account's currency (ISO 4217).")] string Currency,
    [property: Description("The instant that you asked for, in UTC.")] DateTime At,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance after the last transaction before that instant.")] string Balance,
    [property: Description("The last transaction of the account before that instant, or null if there is none.")] long? TransactionId);

/// <summary>Lists the transactions of an account, and shows its balance in the past.</summary>
internal static class HistoryEndpoints
{
    private const string FromDescription = "Only transactions at or after this instant (RFC 3339, with Z or an offset).";
    private const string ToDescription = "Only transactions before this instant (RFC 3339, with Z or an offset). It must be later than from.";

    // A page is read in parts and ends early if its metadata is large, so that its memory is bounded. In escaped JSON, the
    // metadata of 500 entries can take 24 MB, and twice as much as text in memory.
    private const int PartEntries = 50;
    private const int MostMetadataCharacters = 1_048_576;

    public static void MapHistory(this IEndpointRouteBuilder api)
    {
        api.MapGet("/transaction_history", TransactionHistory)
            .WithName("transaction_history")
            .WithTags("History")
            .WithSummary("List an account's transactions")
            .WithDescription(
                "Lists an account's transactions with the balance after each, newest first, in pages. A page with about 1 MB of metadata ends before its limit. "
                + "A page of one type may have fewer transactions than limit, or none, although more follow. Read on until next_cursor is null.")
            .Needs(Scope.TransactionsRead)
            .Answers<HistoryResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);
        api.MapGet("/balance_at", BalanceAt)
            .WithName("balance_at")
            .WithTags("History")
            .WithSummary("Show a balance in the past")
            .WithDescription("Shows an account's balance after its last transaction before an instant. The instant has passed, so the answer never changes.")
            .Needs(Scope.TransactionsRead) // asked often enough, balances tell transactions
            .Answers<BalanceAtResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);
    }

    private static async Task<IResult> TransactionHistory(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "limit"), Limit, Description("The largest number of transactions in a page."), Example("50")] int? limit,
        [FromQuery(Name = "cursor"), Cursor, Description("The next_cursor of the previous page, with the same filters. Leave it out for the first page."), Example("\"42-5f3c9a01\"")] string? cursor,
        [FromQuery(Name = "from"), Instant, Description(FromDescription), Example("\"2026-01-01T00:00:00Z\"")] string? from,
        [FromQuery(Name = "to"), Instant, Description(ToDescription), Example("\"2026-02-01T00:00:00Z\"")] string? to,
        [FromQuery(Name = "type"), OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal),
            Description("Only transactions of this type."), Example("\"transfer\"")] string? type,
        [FromQuery(Name = "direction"), OneOf("credit", "debit"), Description("Only money that this account received (`credit`) or paid (`debit`)."), Example("\"debit\"")] string? direction,
        History history,
        AuditHeads heads,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var filter = new HistoryFilter(InstantAttribute.Parse(from), InstantAttribute.Parse(to), type, direction);
        if (filter.From >= filter.To)
        {
            return Problem.Invalid("to", "must be later than from.");
        }

        var list = new PagedList("transaction_history", accountId, filter.From?.Ticks, filter.To?.Ticks, type, direction);
        if (await list.StartAsync(cursor, long.MaxValue, heads, head => head.TransactionId, cancellationToken) is not { } start)
        {
            return PagedList.NotItsCursor;
        }

        long? next = start;
        var (left, metadata, parts) = (limit ?? LimitAttribute.Default, 0, new List<HistoryPage>());
        while (next is { } before && left > 0 && metadata < MostMetadataCharacters)
        {
            var rows = Math.Min(left, PartEntries);
            if (await history.PageAsync(accountId!.Value, filter, rows, before, cancellationToken) is not { } part)
            {
                return Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");
            }

            parts.Add(part);
            metadata += part.Entries.Sum(entry => entry.Metadata?.Length ?? 0);
            (next, left) = (part.Next, part.Entries.Count < rows ? 0 : left - rows); // a short part has looked at as much as a page may
        }

        return new HistoryJson(accountId!.Value, await currencies.OfAsync(parts[0].Currency), parts, list.CursorAfter(next));
    }

    private static async Task<IResult> BalanceAt(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "at"), Needed, Instant, Description("An instant in the past (RFC 3339, with Z or an offset), not before the account was opened."), Example("\"2026-02-01T00:00:00+01:00\"")] string? at,
        PastBalances balances,
        Currencies currencies,
        CancellationToken cancellationToken)
    {
        var instant = InstantAttribute.Parse(at)!.Value;
        return await balances.GetAsync(accountId!.Value, instant, cancellationToken) switch
        {
            null => Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id."),
            { Opened: var opened } when instant < opened => Problem.Invalid("at", $"must not be before {opened:yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'}, when the account was opened."),
            { IsFuture: true } => Problem.Invalid("at", "must not be in the future, by the database's clock."),
            var past => TypedResults.Ok(new BalanceAtResponse(
                accountId.Value, past.Currency, instant, Money.Format(past.Balance, await currencies.OfAsync(past.Currency)), past.TransactionId)),
        };
    }
}

/// <summary>Sends a page as a <see cref="HistoryResponse"/>.</summary>
internal sealed class HistoryJson(long accountId, Currency currency, IReadOnlyList<HistoryPage> parts, string? nextCursor) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.ContentType = "application/json; charset=utf-8";
        await response.StartAsync(httpContext.RequestAborted);
        await using var json = new Utf8JsonWriter(response.BodyWriter, JsonMembers.Options);
        json.WriteStartObject();
        json.WriteNumber("account_id"u8, accountId);
        json.WriteStartArray("transactions"u8);
        foreach (var part in parts)
        {
            foreach (var entry in part.Entries)
            {
                json.WriteEntry(entry, currency);
                await json.FlushIfLargeAsync(response.BodyWriter, httpContext.RequestAborted);
            }
        }

        json.WriteEndArray();
        json.WriteString("next_cursor"u8, nextCursor);
        json.WriteEndObject();
    }
}
