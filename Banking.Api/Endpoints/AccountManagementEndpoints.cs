using System.ComponentModel;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>The changes to an account: a new owner name, a new overdraft limit or both.</summary>
[Example("""
    {"account_id":1000,"overdraft_limit":"250.00","reason":"Agreed on the phone"}
    """)]
public sealed record ChangeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Text(1, 200, NotBlank = true), NeededUnless(nameof(ChangeAccountRequest.OverdraftLimit)), Description("The owner's new name. Default: no change.")] string? OwnerName = null,
    [property: NeededUnless(nameof(ChangeAccountRequest.OwnerName)), JsonConverter(typeof(MoneyConverter)), Description("How far below zero the balance may fall from now on. Default: no change.")] decimal? OverdraftLimit = null,
    [property: Text(1, 500), Description("The reason, for the account's log.")] string? Reason = null);

/// <summary>An account to freeze, and what the freeze blocks.</summary>
[Example("""
    {"account_id":1000,"blocks":"debits","reason":"Court order 17/2026"}
    """)]
public sealed record FreezeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("The reason, for the account's log.")] string? Reason,
    [property: OneOf("all", "debits"), Description("What to block: `all` postings (the default), or only `debits`, which take money out.")] string? Blocks = null);

/// <summary>An account to unfreeze.</summary>
[Example("""
    {"account_id":1000,"reason":"Court order lifted"}
    """)]
public sealed record UnfreezeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("The reason, for the account's log.")] string? Reason);

/// <summary>An account to close.</summary>
[Example("""
    {"account_id":1000,"reason":"At the customer's request"}
    """)]
public sealed record CloseAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("The reason, for the account's log.")] string? Reason);

/// <summary>Changes, freezes, unfreezes and closes accounts. Each call adds an event with its reason to the account's log.</summary>
internal static class AccountManagementEndpoints
{
    public static void MapAccountManagement(this IEndpointRouteBuilder api)
    {
        api.MapPost("/change_account", ChangeAccount)
            .WithName("change_account")
            .WithTags("Accounts")
            .WithSummary("Change an account")
            .WithDescription("Changes the owner's name, the overdraft limit or both. A closed account accepts only a new owner's name.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountClosed, Refusal.AmountPrecision, Refusal.LimitBelowUse);
        api.MapPost("/freeze_account", FreezeAccount)
            .WithName("freeze_account")
            .WithTags("Accounts")
            .WithSummary("Freeze an account")
            .WithDescription("Blocks all postings, or only debits. A freeze of debits can be widened to all postings.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed);
        api.MapPost("/unfreeze_account", UnfreezeAccount)
            .WithName("unfreeze_account")
            .WithTags("Accounts")
            .WithSummary("Unfreeze an account")
            .WithDescription("Lifts a freeze. The account is active again.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountNotFrozen, Refusal.AccountClosed);
        api.MapPost("/close_account", CloseAccount)
            .WithName("close_account")
            .WithTags("Accounts")
            .WithSummary("Close an account")
            .WithDescription("Closes an account for ever. The account must be active, with a balance of zero and without holds. Its history stays readable.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(
                200, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed, Refusal.AccountNotEmpty, Refusal.AccountHasHolds);
    }

    private static async Task<IResult> ChangeAccount(
        ChangeAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        await AnswerAsync(context, currencies, await ledger.SubmitAsync(new ChangeAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("change_account", request), request.AccountId!.Value,
            request.OwnerName, request.OverdraftLimit, request.Reason)));

    private static async Task<IResult> FreezeAccount(
        FreezeAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        await AnswerAsync(context, currencies, await ledger.SubmitAsync(new FreezeAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("freeze_account", request), request.AccountId!.Value,
            DebitsOnly: request.Blocks == "debits", request.Reason)));

    private static async Task<IResult> UnfreezeAccount(
        UnfreezeAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        await AnswerAsync(context, currencies, await ledger.SubmitAsync(new UnfreezeAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("unfreeze_account", request), request.AccountId!.Value, request.Reason)));

    private static async Task<IResult> CloseAccount(
        CloseAccountRequest request,
        [FromHeader(Name = Idempotency.Header), Key, Description(Idempotency.KeyDescription)] string? idempotencyKey,
        Ledger ledger,
        Currencies currencies,
        HttpContext context) =>
        await AnswerAsync(context, currencies, await ledger.SubmitAsync(new CloseAccount(
            Caller.RequestOf(context, idempotencyKey), RequestHash.Of("close_account", request), request.AccountId!.Value, request.Reason)));

    private static Task<IResult> AnswerAsync(HttpContext context, Currencies currencies, Decision<Account> decision) =>
        decision.ToAnswerAsync(context, account => AccountResponse.FromAsync(account, currencies));
}
