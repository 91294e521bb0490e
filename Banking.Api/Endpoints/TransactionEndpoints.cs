using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A posting that was made. Amounts are decimal strings with the currency's own digits.</summary>
[Example("""
    {"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public record TransactionResponse(
    [property: Description("The transaction's id: without gaps, in the order of the commits.")] long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal), Description("What the transaction is.")] string Type,
    [property: Description("The account that paid: of a deposit, the currency's settlement account.")] long FromAccountId,
    [property: Description("The account that was paid: of a withdrawal, the currency's settlement account.")] long ToAccountId,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that moved, in this currency.")] string Amount,
    [property: Description("The currency of both accounts, a code of ISO 4217.")] string Currency,
    [property: RegularExpression(Money.AnswerPattern), Description("The paying account's balance right after it.")] string FromBalanceAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The paid account's balance right after it.")] string ToBalanceAfter,
    [property: Description("The transaction that this one reverses, whole or in part; null where it is no reversal.")] long? ReversesTransactionId,
    [property: Description("The hold that this transaction captures; null where it captures none.")] long? HoldId,
    [property: Description("The client's own reference; null where it gave none.")] string? Reference,
    [property: Description("The client's own notes, as given; null where there are none.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was posted, in UTC, to the microsecond.")] DateTime CreatedAt)
{
    public static async ValueTask<TransactionResponse> FromAsync(Transaction transaction, Currencies currencies) =>
        From(transaction, await currencies.OfAsync(transaction.Currency));

    public static TransactionResponse From(Transaction transaction, Currency currency) => new(
        transaction.TransactionId, transaction.Type, transaction.FromAccountId, transaction.ToAccountId,
        Money.Format(transaction.Amount, currency), transaction.Currency,
        Money.Format(transaction.FromBalanceAfter, currency), Money.Format(transaction.ToBalanceAfter, currency),
        transaction.ReversesTransactionId, transaction.HoldId, transaction.Reference, Data.Metadata.Read(transaction.Metadata), transaction.CreatedAt);
}

/// <summary>A transaction as it was made, and what was reversed of it since.</summary>
[Example("""
    {"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","reversed_amount":"5.00","reversed_by_transaction_ids":[57]}
    """)]
public sealed record OneTransactionResponse : TransactionResponse
{
    public OneTransactionResponse(Transaction transaction, Currency currency)
        : base(From(transaction, currency))
    {
        ReversedAmount = Money.Format(transaction.ReversedAmount, currency);
        ReversedByTransactionIds = transaction.ReversedBy!;
    }

    // After the transaction's own members, which would come last.
    [JsonPropertyOrder(1), RegularExpression(Money.AnswerPattern), Description("How much of it is reversed so far.")]
    public string ReversedAmount { get; }

    [JsonPropertyOrder(1), Description("The transactions that reverse it, in their order.")]
    public IReadOnlyList<long> ReversedByTransactionIds { get; }
}

/// <summary>Shows single transactions.</summary>
internal static class TransactionEndpoints
{
    public static void MapTransactions(this IEndpointRouteBuilder api) =>
        api.MapGet("/get_one_transaction", GetOneTransaction)
            .WithName("get_one_transaction")
            .WithTags("History")
            .WithSummary("Show a transaction")
            .WithDescription("With both accounts, their balances right after it, and what was reversed of it since.")
            .Needs(Scope.TransactionsRead)
            .Answers<OneTransactionResponse>(200, Refusal.TransactionNotFound, Refusal.Overloaded);

    private static async Task<IResult> GetOneTransaction(
        [FromQuery(Name = "transaction_id"), Needed, Id, Description("The transaction's id."), Example("1")] long? transactionId,
        Transactions transactions,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await transactions.GetAsync(transactionId!.Value, cancellationToken) is { } transaction
            ? TypedResults.Ok(new OneTransactionResponse(transaction, await currencies.OfAsync(transaction.Currency)))
            : Problem.Of(Refusal.TransactionNotFound, $"There is no transaction {transactionId}.");
}
