using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A transaction in a statement, from the view of the account.</summary>
public sealed record StatementEntryResponse(
    [property: Description("The transaction's id.")] long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal), Description("The kind of transaction.")] string Type,
    [property: OneOf("credit", "debit"), Description("`credit`: the account received the money. `debit`: it paid.")] string Direction,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that moved.")] string Amount,
    [property: RegularExpression(Money.AnswerPattern), Description("The account's balance right after the transaction.")] string BalanceAfter,
    [property: Description("The account on the other side.")] long CounterpartyAccountId,
    [property: Description("The transaction that this one reverses, in whole or in part, or null.")] long? ReversesTransactionId,
    [property: Description("The hold that this transaction captures, or null.")] long? HoldId,
    [property: Description("Your own reference, or null.")] string? Reference,
    [property: Description("Your own notes, unchanged, or null.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was posted, in UTC.")] DateTime CreatedAt);

/// <summary>The number and the sum of some entries.</summary>
public sealed record StatementTotalResponse(
    [property: Description("The number of entries.")] long Count,
    [property: RegularExpression(Money.SumPattern), Description("The sum of their amounts.")] string Amount);

/// <summary>What came in and what went out.</summary>
public sealed record StatementTotalsResponse(
    [property: Description("What the account received.")] StatementTotalResponse Credits,
    [property: Description("What the account paid.")] StatementTotalResponse Debits);

/// <summary>An account's statement of a period. <see cref="StatementJson"/> writes it, because it can be larger than the memory.</summary>
[Example("""
    {"account_id":1000,"owner_name":"Ada Lovelace","currency":"EUR","from":"2026-01-01T00:00:00.000000Z","to":"2026-02-01T00:00:00.000000Z","opening_balance":"100.00","entries":[{"transaction_id":42,"type":"transfer","direction":"debit","amount":"25.00","balance_after":"75.00","counterparty_account_id":1001,"reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}],"totals":{"credits":{"count":0,"amount":"0.00"},"debits":{"count":1,"amount":"25.00"}},"closing_balance":"75.00"}
    """)]
public sealed record StatementResponse(
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The current name of the account's owner.")] string OwnerName,
    [property: Description("The account's currency as an ISO 4217 code.")] string Currency,
    [property: Description("The start of the period, inclusive, in UTC.")] DateTime From,
    [property: Description("The end of the period, exclusive, in UTC.")] DateTime To,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance right before the period.")] string OpeningBalance,
    [property: Description("The transactions of the period, oldest first.")] IReadOnlyList<StatementEntryResponse> Entries,
    [property: Description("The totals of the entries: opening_balance + credits - debits = closing_balance.")] StatementTotalsResponse Totals,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance at the end of the period.")] string ClosingBalance);

/// <summary>Makes statements.</summary>
internal static class StatementEndpoints
{
    private const string Json = "json";
    private const string Csv = "csv";
    private const string Camt053 = "camt.053";

    public static void MapStatements(this IEndpointRouteBuilder api) =>
        api.MapGet("/statement", Statement)
            .WithName("statement")
            .WithTags("History")
            .WithSummary("Make a statement of an account")
            .WithDescription(
                "Lists an account's transactions of a period, oldest first, with the balances before and after it and with totals. The figures never change. "
                + "The answer is a file of any length. If the service can't finish it, it breaks the connection: use no part of it.")
            .Needs(Scope.TransactionsRead)
            .Answers<StatementResponse>(200, Refusal.AccountNotFound, Refusal.Overloaded);

    private static async Task<IResult> Statement(
        [FromQuery(Name = "account_id"), Needed, Id, Description("The account's id."), Example("1000")] long? accountId,
        [FromQuery(Name = "from"), Needed, Instant, Description("The start of the period, inclusive. It may be before the account was opened."), Example("\"2026-01-01T00:00:00Z\"")] string? from,
        [FromQuery(Name = "to"), Needed, Instant, Description("The end of the period, exclusive. It must not be in the future."), Example("\"2026-02-01T00:00:00Z\"")] string? to,
        [FromQuery(Name = "format"), OneOf(Json, Csv, Camt053), Description("The form of the answer. `json`, the default: a StatementResponse. `csv`: RFC 4180 with a header (text/csv), for spreadsheets. `camt.053`: ISO 20022 camt.053.001.08 (application/xml), for accounting systems."), Example("\"json\"")] string? format,
        Statements statements,
        Currencies currencies,
        ServiceOptions options,
        LedgerOptions book,
        ILogger<StatementResult> logger,
        CancellationToken cancellationToken)
    {
        var period = new Period(InstantAttribute.Parse(from)!.Value, InstantAttribute.Parse(to)!.Value);
        if (period.To <= period.From)
        {
            return Problem.Invalid("to", "must be later than from.");
        }

        if (period.To - period.From > TimeSpan.FromDays(options.StatementDays))
        {
            return Problem.Invalid("to", $"must be at most {options.StatementDays} days after from. Ask for shorter periods.");
        }

        var (isOver, found) = await statements.GetAsync(accountId!.Value, period.From, period.To, cancellationToken);
        if (!isOver)
        {
            return Problem.Invalid("to", "must not be in the future.");
        }

        if (found is not { } statement)
        {
            return Problem.Of(Refusal.AccountNotFound, $"Account {accountId} does not exist. Check the id.");
        }

        var currency = await currencies.OfAsync(statement.Currency);
        return new StatementResult(statement, period, statements, logger, format switch
        {
            Csv => new StatementCsv(statement, period, currency),
            Camt053 => new StatementCamt053(book.Schema, statement, period, currency),
            _ => new StatementJson(statement, period, currency),
        });
    }
}
