using System.ComponentModel.DataAnnotations;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>A posting that was made. Amounts are decimal strings with the currency's own digits.</summary>
public sealed record TransactionResponse(
    long TransactionId,
    [property: OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer)] string Type,
    long FromAccountId,
    long ToAccountId,
    [property: RegularExpression(Money.AnswerPattern)] string Amount,
    string Currency,
    [property: RegularExpression(Money.AnswerPattern)] string FromBalanceAfter,
    [property: RegularExpression(Money.AnswerPattern)] string ToBalanceAfter,
    string? Reference,
    IReadOnlyDictionary<string, string>? Metadata,
    DateTime CreatedAt)
{
    public static async ValueTask<TransactionResponse> FromAsync(Transaction transaction, Currencies currencies) =>
        From(transaction, await currencies.OfAsync(transaction.Currency));

    public static TransactionResponse From(Transaction transaction, Currency currency) => new(
        transaction.TransactionId, transaction.Type, transaction.FromAccountId, transaction.ToAccountId,
        Money.Format(transaction.Amount, currency), transaction.Currency,
        Money.Format(transaction.FromBalanceAfter, currency), Money.Format(transaction.ToBalanceAfter, currency),
        transaction.Reference, Data.Metadata.Read(transaction.Metadata), transaction.CreatedAt);
}

/// <summary>Shows single transactions.</summary>
internal static class TransactionEndpoints
{
    public static void MapTransactions(this IEndpointRouteBuilder api) =>
        api.MapGet("/get_one_transaction", GetOneTransaction)
            .WithName("get_one_transaction")
            .WithTags("History")
            .WithSummary("Show a transaction")
            .WithDescription("With both accounts and their balances right after it.")
            .Needs(Scope.TransactionsRead)
            .Answers<TransactionResponse>(200, Refusal.TransactionNotFound, Refusal.Overloaded);

    private static async Task<IResult> GetOneTransaction(
        [FromQuery(Name = "transaction_id"), Needed, Id] long? transactionId,
        Transactions transactions,
        Currencies currencies,
        CancellationToken cancellationToken) =>
        await transactions.GetAsync(transactionId!.Value, cancellationToken) is { } transaction
            ? TypedResults.Ok(await TransactionResponse.FromAsync(transaction, currencies))
            : Problem.Of(Refusal.TransactionNotFound, $"There is no transaction {transactionId}.");
}
