using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Banking.Data;

namespace Banking.Api;

/// <summary>A row of one of the book's two logs, as an event in the form of CloudEvents 1.0. <see cref="CloudEventWriter"/> writes it.</summary>
[Example("""
    {"specversion":"1.0","id":"42-7","source":"urn:core-banking:book:banking","type":"core-banking.transaction.transfer","subject":"transaction/42","time":"2026-01-02T03:04:05.678901Z","datacontenttype":"application/json","data":{"transaction":{"transaction_id":42,"type":"transfer","from_account_id":1000,"to_account_id":1001,"amount":"25.00","currency":"EUR","from_balance_after":"75.00","to_balance_after":"25.00","reverses_transaction_id":null,"hold_id":null,"reference":"Invoice 4711","metadata":null,"created_at":"2026-01-02T03:04:05.678901Z","client_id":"teller"}}}
    """)]
public sealed record CloudEvent(
    [property: Description("The version of CloudEvents: 1.0.")] string Specversion,
    [property: Description("The event's id: the last transaction and the last account event up to it. Ids follow the order of commits. Send the last one that you have handled as `after`.")] string Id,
    [property: Description("The book: `urn:core-banking:book:` and its schema.")] string Source,
    [property: OneOf("core-banking.transaction.deposit", "core-banking.transaction.withdrawal", "core-banking.transaction.transfer", "core-banking.transaction.reversal",
            "core-banking.account.opened", "core-banking.account.changed", "core-banking.account.frozen", "core-banking.account.unfrozen", "core-banking.account.closed",
            "core-banking.hold.placed", "core-banking.hold.released", "core-banking.hold.expired"),
        Description("What happened.")] string Type,
    [property: Description("What it happened to: `transaction/42`, `account/1000` or `hold/7`.")] string Subject,
    [property: Description("When it happened, in UTC.")] DateTime Time,
    [property: Description("The media type of `data`: application/json.")] string Datacontenttype,
    [property: Description("The row of the log.")] EventData Data);

/// <summary>The row of the log that an event shows: one of the two. A later version may add others.</summary>
public sealed record EventData(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("A posted transaction. Left out for other events.")]
    LoggedTransactionResponse? Transaction = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull), Description("What else happened to an account or a hold. Left out for transactions.")]
    LoggedAccountEventResponse? AccountEvent = null);

/// <summary>A transaction as it was posted, and who posted it.</summary>
public sealed record LoggedTransactionResponse(
    long TransactionId, string Type, long FromAccountId, long ToAccountId, string Amount, string Currency, string FromBalanceAfter, string ToBalanceAfter,
    long? ReversesTransactionId, long? HoldId, string? Reference, IReadOnlyDictionary<string, string>? Metadata, DateTime CreatedAt,
    [property: JsonPropertyOrder(1), Description("The caller who asked for it.")] string ClientId)
    : TransactionResponse(
        TransactionId, Type, FromAccountId, ToAccountId, Amount, Currency, FromBalanceAfter, ToBalanceAfter, ReversesTransactionId, HoldId, Reference, Metadata, CreatedAt);

/// <summary>What happened to an account or a hold, who asked for it and why, and the account right after it. It has no owner's name.</summary>
public sealed record LoggedAccountEventResponse(
    [property: Description("The event's id in its log. Ids have no gaps and follow the order of commits.")] long AccountEventId,
    [property: OneOf(AccountEventType.Opened, AccountEventType.Changed, AccountEventType.Frozen, AccountEventType.Unfrozen, AccountEventType.Closed,
            AccountEventType.HoldPlaced, AccountEventType.HoldReleased, AccountEventType.HoldExpired),
        Description("What happened.")] string Type,
    [property: Description("The account's id.")] long AccountId,
    [property: Description("The account's currency as an ISO 4217 code.")] string Currency,
    [property: OneOf(AccountStatus.Active, AccountStatus.DebitsBlocked, AccountStatus.Frozen, AccountStatus.Closed),
        Description("The account's status right after the event.")] string StatusAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The balance right after the event.")] string BalanceAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that holds reserved right after the event.")] string HeldAfter,
    [property: RegularExpression(Money.AnswerPattern), Description("The overdraft limit right after the event.")] string OverdraftLimitAfter,
    [property: Description("The hold that the event is about, or null.")] long? HoldId,
    [property: RegularExpression(Money.AnswerPattern), Description("The money that the event holds or releases, or null.")] string? Amount,
    [property: Description("For a hold that was placed: the account that its captures pay, or null if they are paid out.")] long? ToAccountId,
    [property: Description("For a hold that was placed: when it expires, in UTC. Otherwise null.")] DateTime? ExpiresAt,
    [property: Description("The last transaction before the event.")] long AfterTransactionId,
    [property: Description("The caller who asked for it.")] string ClientId,
    [property: Description("The caller's reason, or null.")] string? Reason,
    [property: Description("When it happened, in UTC.")] DateTime CreatedAt);
