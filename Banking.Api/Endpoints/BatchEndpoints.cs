using System.Collections.ObjectModel;
using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>One posting of a batch: its type, and the members that this type needs.</summary>
[Example("""
    {"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"}
    """)]
public sealed record BatchPosting(
    [property: Needed, OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer), Description("The kind of posting.")] string? Type,
    [property: Id, MemberOf(PostingType.Deposit, PostingType.Withdrawal), Description("The account's id. Required in a deposit and in a withdrawal, not allowed in a transfer.")] long? AccountId = null,
    [property: Id, MemberOf(PostingType.Transfer), Description("The account that pays. Required in a transfer, not allowed otherwise.")] long? FromAccountId = null,
    [property: Id, MemberOf(PostingType.Transfer), Description("The account that receives the money. It has the same currency. Required in a transfer, not allowed otherwise.")] long? ToAccountId = null,
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to move, in the account's currency. Above zero.")] decimal? Amount = null,
    [property: Text(0, 140), Description("Your own reference for the transaction.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null)
{
    internal bool HasTheMembersOfItsType => Type switch
    {
        PostingType.Deposit or PostingType.Withdrawal => (AccountId, FromAccountId, ToAccountId) is (not null, null, null),
        PostingType.Transfer => (AccountId, FromAccountId, ToAccountId) is (null, not null, not null),
        _ => true,
    };
}

/// <summary>The postings of a batch. The list never grows beyond what a batch may have, however large the body is.</summary>
public sealed class BatchPostings : Collection<BatchPosting>
{
    public const int Most = 1_000;

    protected override void InsertItem(int index, BatchPosting item)
    {
        if (item is null || Count == Most)
        {
            throw new JsonException();
        }

        base.InsertItem(index, item);
    }
}

/// <summary>Postings to make with one request.</summary>
[Example("""
    {"mode":"atomic","postings":[{"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"},{"type":"withdrawal","account_id":1000,"amount":"0.35","reference":"Fee"}]}
    """)]
public sealed record BatchRequest(
    [property: Needed, OneOf(BatchRequest.Atomic, BatchRequest.Independent), Description("`atomic`: all postings are made, or none. `independent`: each posting is made or refused by itself.")] string? Mode,
    [property: Needed, Count(1, BatchPostings.Most), Description("1 to 1000 postings. They are decided in this order. Each one sees the balances that the ones before it left.")] BatchPostings? Postings,
    [property: Description("Whether only to decide. Then nothing is written and the Idempotency-Key is not used. Default: false.")] bool? DryRun = null)
{
    public const string Atomic = "atomic";
    public const string Independent = "independent";
}

/// <summary>The outcome of one posting of a batch.</summary>
public sealed record BatchResultResponse(
    [property: OneOf(BatchResultResponse.Posted, BatchResultResponse.Refused), Description("What became of the posting.")] string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("The transaction, if the posting is made. In a dry run its id is 0.")]
    TransactionResponse? Transaction = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("Why the posting is refused, if it is.")]
    Problem? Problem = null)
{
    public const string Posted = "posted";
    public const string Refused = "refused";
}

/// <summary>What became of a batch: the transactions of an atomic one, or else the outcome of each posting. One type for both, as the clients that generators make return one.</summary>
[Example("""
    {"dry_run":false,"posted":1,"refused":1,"results":[{"status":"posted","transaction":{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}},{"status":"refused","problem":{"type":"urn:core-banking:problem:account_not_found","title":"The account does not exist","status":404,"detail":"Account 1999 does not exist. Check the id.","code":"account_not_found","trace_id":"0af7651916cd43dd8448eb211c80319c"}}]}
    """)]
public sealed record BatchResponse(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("The transactions of an atomic batch, in the order of the request.")]
    IReadOnlyList<TransactionResponse>? Transactions = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("Whether this was a dry run. Then nothing is written.")]
    bool? DryRun = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("How many postings are made. In a dry run: would be made.")]
    int? Posted = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("How many postings are refused.")]
    int? Refused = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("The outcome of each posting of an independent batch or a dry run, in the order of the request.")]
    IReadOnlyList<BatchResultResponse>? Results = null);

/// <summary>Makes many postings with one request.</summary>
internal static class BatchEndpoints
{
    public static void MapBatches(this IEndpointRouteBuilder api) =>
        api.MapPost("/batch", Batch)
            .WithName("batch")
            .WithTags("Postings")
            .WithSummary("Make many postings")
            .WithDescription(
                "Posts up to 1000 deposits, withdrawals and transfers. An atomic batch posts all of them (201), or none: then the answer is the problem of the first "
                + "posting that is refused, with its failed_index. The answer of an independent batch and of a dry run has the outcome of each posting (200). "
                + "One Idempotency-Key covers the whole batch. A retry of an independent batch decides its refused postings again, and only those.")
            .Needs(Scope.TransactionsWrite)
            .AnswersOfLedger<BatchResponse>(
                201, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.AmountPrecision, Refusal.BalanceLimitExceeded,
                Refusal.InsufficientFunds, Refusal.SameAccount, Refusal.CurrencyMismatch)
            .Produces<BatchResponse>(200);

    private static async Task<IResult> Batch(
        BatchRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context)
    {
        var (isAtomic, isDryRun) = (request.Mode == BatchRequest.Atomic, request.DryRun ?? false);
        var id = Caller.RequestOf(context, isDryRun ? null : idempotencyKey);
        var decision = await ledger.SubmitAsync(new Batch(
            id, RequestHash.Of("batch", request), [.. request.Postings!.Select(posting => ToPosting(id, posting))], isAtomic, isDryRun));
        return isAtomic && !isDryRun
            ? await decision.ToAnswerAsync(
                context, result => AtomicAsync(result, currencies), _ => $"/api/get_one_request?idempotency_key={Uri.EscapeDataString(id.Key)}")
            : await decision.ToAnswerAsync(context, result => EachAsync(result, isDryRun, currencies, context));
    }

    private static Posting ToPosting(RequestId id, BatchPosting posting)
    {
        var (from, to) = posting.Type switch
        {
            PostingType.Deposit => (null, posting.AccountId),
            PostingType.Withdrawal => (posting.AccountId, null),
            _ => (posting.FromAccountId, posting.ToAccountId),
        };
        return new(id, posting.Type!, from, to, posting.Amount!.Value, posting.Reference, Metadata.Write(posting.Metadata));
    }

    private static async ValueTask<BatchResponse> AtomicAsync(BatchResult result, Currencies currencies)
    {
        var transactions = new List<TransactionResponse>(result.Items.Count);
        foreach (var item in result.Items)
        {
            transactions.Add(await TransactionResponse.FromAsync(item.Result!, currencies));
        }

        return new(transactions);
    }

    private static async ValueTask<BatchResponse> EachAsync(BatchResult result, bool isDryRun, Currencies currencies, HttpContext context)
    {
        var results = new List<BatchResultResponse>(result.Items.Count);
        foreach (var item in result.Items)
        {
            results.Add(item.Refused is { } refused
                ? new(BatchResultResponse.Refused, Problem: Problem.Of(refused).ToProblem(context))
                : new(BatchResultResponse.Posted, await TransactionResponse.FromAsync(item.Result!, currencies)));
        }

        var posted = results.Count(one => one.Problem is null);
        return new(DryRun: isDryRun, Posted: posted, Refused: results.Count - posted, Results: results);
    }
}
