using System.ComponentModel;
using System.Text.Json.Serialization;
using Banking.Data;
using Microsoft.AspNetCore.Mvc;

namespace Banking.Api;

/// <summary>What to change of an account: one of the two members at least.</summary>
[Example("""
    {"account_id":1000,"overdraft_limit":"250.00","reason":"Agreed on the phone"}
    """)]
public sealed record ChangeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Text(1, 200, NotBlank = true), NeededUnless(nameof(ChangeAccountRequest.OverdraftLimit)), Description("The owner's new name; left out, it stays.")] string? OwnerName = null,
    [property: NeededUnless(nameof(ChangeAccountRequest.OwnerName)), JsonConverter(typeof(MoneyConverter)), Description("How far below zero the balance may fall from now on; left out, it stays.")] decimal? OverdraftLimit = null,
    [property: Text(1, 500), Description("Why, for the account's log.")] string? Reason = null);

/// <summary>An account to freeze, for all postings or for debits only.</summary>
[Example("""
    {"account_id":1000,"blocks":"debits","reason":"Court order 17/2026"}
    """)]
public sealed record FreezeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("Why, for the account's log.")] string? Reason,
    [property: OneOf("all", "debits"), Description("What to stop: all postings (the default), or only debits, which take money out.")] string? Blocks = null);

/// <summary>An account to unfreeze.</summary>
[Example("""
    {"account_id":1000,"reason":"Court order lifted"}
    """)]
public sealed record UnfreezeAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("Why, for the account's log.")] string? Reason);

/// <summary>An account to close.</summary>
[Example("""
    {"account_id":1000,"reason":"At the customer's request"}
    """)]
public sealed record CloseAccountRequest(
    [property: Needed, Id, Description("The account's id.")] long? AccountId,
    [property: Needed, Text(1, 500), Description("Why, for the account's log.")] string? Reason);

/// <summary>Changes accounts, freezes and closes them. Each call leaves an event with its reason in the account's log.</summary>
internal static class AccountManagementEndpoints
{
    public static void MapAccountManagement(this IEndpointRouteBuilder api)
    {
        api.MapPost("/change_account", ChangeAccount)
            .WithName("change_account")
            .WithTags("Accounts")
            .WithSummary("Change an account's owner name or overdraft limit")
            .WithDescription("A member that is left out stays as it is. Of a closed account only the owner's name can be corrected.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountClosed, Refusal.AmountPrecision, Refusal.LimitBelowUse);
        api.MapPost("/freeze_account", FreezeAccount)
            .WithName("freeze_account")
            .WithTags("Accounts")
            .WithSummary("Freeze an account")
            .WithDescription("Stops all postings, or debits only. A block of debits can be widened to all.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountFrozen, Refusal.AccountClosed);
        api.MapPost("/unfreeze_account", UnfreezeAccount)
            .WithName("unfreeze_account")
            .WithTags("Accounts")
            .WithSummary("Lift an account's freeze")
            .WithDescription("The account is active again.")
            .Needs(Scope.AccountsManage)
            .AnswersOfLedger<AccountResponse>(200, Refusal.AccountNotFound, Refusal.AccountNotFrozen, Refusal.AccountClosed);
        api.MapPost("/close_account", CloseAccount)
            .WithName("close_account")
            .WithTags("Accounts")
            .WithSummary("Close an account for ever")
            .WithDescription("It must be active, its balance zero, and nothing of it held. Its history stays readable.")
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
