using System.Collections.ObjectModel;
using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>One posting of a batch: its type, and the members of the call of that type.</summary>
[Example("""
    {"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"}
    """)]
public sealed record BatchPosting(
    [property: Needed, OneOf(PostingType.Deposit, PostingType.Withdrawal, PostingType.Transfer), Description("What the posting is.")] string? Type,
    [property: Id, MemberOf(PostingType.Deposit, PostingType.Withdrawal), Description("Of a deposit or a withdrawal: the account's id.")] long? AccountId = null,
    [property: Id, MemberOf(PostingType.Transfer), Description("Of a transfer: the account that pays.")] long? FromAccountId = null,
    [property: Id, MemberOf(PostingType.Transfer), Description("Of a transfer: the account that is paid.")] long? ToAccountId = null,
    [property: Needed, AboveZero, JsonConverter(typeof(MoneyConverter)), Description("The money to move, above zero, in the accounts' currency.")] decimal? Amount = null,
    [property: Text(0, 140), Description("The client's own reference, kept as given.")] string? Reference = null,
    [property: Metadata, JsonConverter(typeof(MetadataConverter))] IReadOnlyDictionary<string, string>? Metadata = null)
{
    internal bool HasTheMembersOfItsType => Type switch
    {
        PostingType.Deposit or PostingType.Withdrawal => (AccountId, FromAccountId, ToAccountId) is (not null, null, null),
        PostingType.Transfer => (AccountId, FromAccountId, ToAccountId) is (null, not null, not null),
        _ => true,
    };
}

/// <summary>The postings of a batch. It takes no more than a batch may have: a body full of them makes no large list.</summary>
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

/// <summary>Postings to make together, or at once.</summary>
[Example("""
    {"mode":"atomic","postings":[{"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"},{"type":"withdrawal","account_id":1000,"amount":"0.35","reference":"Fee"}]}
    """)]
public sealed record BatchRequest(
    [property: Needed, OneOf(BatchRequest.Atomic, BatchRequest.Independent), Description("`atomic`: all postings or none. `independent`: each has its own outcome.")] string? Mode,
    [property: Needed, Count(1, BatchPostings.Most), MembersOfTheirTypes, Description("1 to 1000 postings. Each sees the balances that those before it left.")] BatchPostings? Postings,
    [property: Description("Whether only to decide: nothing is written, and the Idempotency-Key is not used. Left out, it is not.")] bool? DryRun = null)
{
    public const string Atomic = "atomic";
    public const string Independent = "independent";
}

/// <summary>The transactions of an atomic batch, in the order of the request.</summary>
[Example("""
    {"transactions":[{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"}]}
    """)]
public sealed record AtomicBatchResponse(
    [property: Description("The transactions, in the order of the request.")] IReadOnlyList<TransactionResponse> Transactions);

/// <summary>The outcome of one posting of a batch.</summary>
public sealed record BatchResultResponse(
    [property: OneOf(BatchResultResponse.Posted, BatchResultResponse.Refused), Description("Whether the posting is made.")] string Status,
    [property: Description("The transaction; null where the posting is refused. In a dry run its id is 0.")] TransactionResponse? Transaction,
    [property: Description("Why the posting is refused; null where it is made.")] Problem? Problem)
{
    public const string Posted = "posted";
    public const string Refused = "refused";
}

/// <summary>The outcome of each posting of an independent batch or a dry run, in the order of the request.</summary>
[Example("""
    {"dry_run":false,"posted":1,"refused":1,"results":[{"status":"posted","transaction":{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z"},"problem":null},{"status":"refused","transaction":null,"problem":{"type":"urn:core-banking:problem:account_not_found","title":"There is no such account","status":404,"detail":"There is no account 1999.","code":"account_not_found","trace_id":"0af7651916cd43dd8448eb211c80319c"}}]}
    """)]
public sealed record BatchResponse(
    [property: Description("Whether this was a dry run: then nothing is written.")] bool DryRun,
    [property: Description("How many postings are made.")] int Posted,
    [property: Description("How many postings are refused.")] int Refused,
    [property: Description("The outcome of each posting, in the order of the request.")] IReadOnlyList<BatchResultResponse> Results);

/// <summary>Makes many postings with one request.</summary>
internal static class BatchEndpoints
{
    public static void MapBatches(this IEndpointRouteBuilder api) =>
        api.MapPost("/batch", Batch)
            .WithName("batch")
            .WithTags("Postings")
            .WithSummary("Make many postings")
            .WithDescription(
                "Up to 1000 deposits, withdrawals and transfers. An atomic batch is made whole (201), or the problem of the first posting that is refused "
                + "is the answer, with its failed_index. An independent batch is answered with the outcome of each posting (200). "
                + "One Idempotency-Key covers the whole batch. An independent batch that is sent again decides only its refused postings anew.")
            .Needs(Scope.TransactionsWrite)
            .AnswersOfLedger<AtomicBatchResponse>(
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
            : await decision.ToAnswerAsync(context, result => EachAsync(result, isDryRun, currencies));
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

    private static async ValueTask<AtomicBatchResponse> AtomicAsync(BatchResult result, Currencies currencies)
    {
        var transactions = new List<TransactionResponse>(result.Items.Count);
        foreach (var item in result.Items)
        {
            transactions.Add(await TransactionResponse.FromAsync(item.Result!, currencies));
        }

        return new(transactions);
    }

    private static async ValueTask<BatchResponse> EachAsync(BatchResult result, bool isDryRun, Currencies currencies)
    {
        var results = new List<BatchResultResponse>(result.Items.Count);
        foreach (var item in result.Items)
        {
            results.Add(item.Refused is { } refused
                ? new(BatchResultResponse.Refused, Transaction: null, Problem.Of(refused).ToProblem())
                : new(BatchResultResponse.Posted, await TransactionResponse.FromAsync(item.Result!, currencies), Problem: null));
        }

        var posted = results.Count(one => one.Problem is null);
        return new(isDryRun, posted, results.Count - posted, results);
    }
}
