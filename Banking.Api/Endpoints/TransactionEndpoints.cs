using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A posted transaction. Its amounts are strings with the decimals of its currency.</summary>
[Example("""
    {"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}
    """)]
public record TransactionResponse(
    [property: Description("The transaction's id. Ids have no gaps and follow the order of commits.")] long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer, PostingType.Reversal), Description("The kind of transaction.")] string Type,
    [property: Description("The account that paid. For a deposit: the settlement account of the currency.")] long FromAccountId,
    [property: Description("The account that received the money. For a withdrawal: the settlement account of the currency.")] long ToAccountId,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that moved.")] string Amount,
    [property: Description("The currency of both accounts as an ISO 4217 code.")] string Currency,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance of the account that paid, right after the transaction.")] string FromBalanceAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance of the account that received the money, right after the transaction.")] string ToBalanceAfter,
    [property: Description("The transaction that this one reverses, in whole or in part, or null.")] long? ReversesTransactionId,
    [property: Description("The hold that this transaction captures, or null.")] long? HoldId,
    [property: Description("Your own reference, or null.")] string? Reference,
    [property: Description("Your own notes, unchanged, or null.")] IReadOnlyDictionary<string, string>? Metadata,
    [property: Description("When it was posted, in UTC.")] DateTime CreatedAt)
{
    public static async ValueTask<TransactionResponse> FromAsync(Transaction transaction, Currencies currencies)
    {
        var currency = await currencies.OfAsync(transaction.Currency);
        return new(
            transaction.TransactionId, transaction.Type, transaction.FromAccountId, transaction.ToAccountId,
            Money.Format(transaction.Amount, currency), transaction.Currency,
            Money.Format(transaction.FromBalanceAfter, currency), Money.Format(transaction.ToBalanceAfter, currency),
            transaction.ReversesTransactionId, transaction.HoldId, transaction.Reference, Data.Metadata.Read(transaction.Metadata), transaction.CreatedAt);
    }
}

/// <summary>A posted transaction, and how much of it is reversed so far.</summary>
[Example("""
    {"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","reversed_amount":"5.00","reversed_by_transaction_ids":[57]}
    """)]
public sealed record OneTransactionResponse(
    long TransactionId, string Type, long FromAccountId, long ToAccountId, string Amount, string Currency, string FromBalanceAfter, string ToBalanceAfter,
    long? ReversesTransactionId, long? HoldId, string? Reference, IReadOnlyDictionary<string, string>? Metadata, DateTime CreatedAt,
    [property: JsonPropertyOrder(1), RegularExpression(Money.AnswerPattern), Description("How much of this transaction is reversed so far.")]
    string ReversedAmount,
    [property: JsonPropertyOrder(1), Description("The transactions that reverse this one, oldest first. Empty if there are none.")]
    IReadOnlyList<long> ReversedByTransactionIds)
    : TransactionResponse(
        TransactionId, Type, FromAccountId, ToAccountId, Amount, Currency, FromBalanceAfter, ToBalanceAfter, ReversesTransactionId, HoldId, Reference, Metadata, CreatedAt)
{
    public static new async ValueTask<OneTransactionResponse> FromAsync(Transaction transaction, Currencies currencies)
    {
        var (posted, currency) = (await TransactionResponse.FromAsync(transaction, currencies), await currencies.OfAsync(transaction.Currency));
        return new(
            posted.TransactionId, posted.Type, posted.FromAccountId, posted.ToAccountId, posted.Amount, posted.Currency, posted.FromBalanceAfter,
            posted.ToBalanceAfter, posted.ReversesTransactionId, posted.HoldId, posted.Reference, posted.Metadata, posted.CreatedAt,
            Money.Format(transaction.ReversedAmount, currency), transaction.ReversedBy!);
    }
}

/// <summary>Shows one transaction.</summary>
internal static class TransactionEndpoints
{
    public static void MapTransactions(this IEndpointRouteBuilder api) =>
        api.MapGet("/get_one_transaction", GetOneTransaction)
            .WithName("get_one_transaction")
            .WithTags("History")
            .WithSummary("Show a transaction")
            .WithDescription("Shows a transaction with both accounts, their balances right after it, and how much of it is reversed so far.")
            .Needs(Scope.TransactionsRead)
            .Answers<OneTransactionResponse>(200, Refusal.TransactionNotFound, Refusal.Overloaded);

    private static async Task<IResult> GetOneTransaction(
        [FromQuery(Name = "transaction_id"), Needed, Id, Description("The transaction's id."), Example("1")] long? transactionId,
        Transactions transactions,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await transactions.GetAsync(transactionId!.Value, cancellationToken) is { } transaction
            ? TypedResults.Ok(await OneTransactionResponse.FromAsync(transaction, currencies))
            : Problem.Of(Refusal.TransactionNotFound, $"Transaction {transactionId} does not exist. Check the id.");
}
