using System.ComponentModel.DataAnnotations;

namespace Banking.Data;

/// <summary>
/// What the ledger and the reads need of the service's own settings: section <c>Banking</c>, or environment variables such as
/// <c>Banking__Schema</c>. The attributes are the rules that a start holds each of them to; a text's error message is what it
/// must be, in words.
/// </summary>
public sealed class LedgerOptions
{
    /// <summary>The PostgreSQL schema that holds the book; another schema is another book.</summary>
    [RegularExpression("^[a-z_][a-z0-9_]{0,62}$", ErrorMessage = "1 to 63 of a-z, 0-9 and _, and not begin with a digit")]
    public string Schema { get; init; } = "banking";

    /// <summary>How many requests may wait for the ledger, and for each kind of look-up by id. One more is refused as overloaded. A batch counts by its postings.</summary>
    [Range(1, 1_000_000)]
    public int QueueLimit { get; init; } = 5_000;

    /// <summary>How many requests one database transaction takes at most.</summary>
    [Range(1, 10_000)]
    public int BatchLimit { get; init; } = 1_000;

    /// <summary>How long a request is tried again, in seconds, while the database fails it.</summary>
    [Range(1, 600)]
    public int RetrySeconds { get; init; } = 10;

    /// <summary>
    /// How long a transaction of this service may stay idle, in seconds, before PostgreSQL ends it: an instance that is frozen, or
    /// cut off, holds the book for no longer.
    /// </summary>
    [Range(1, 600)]
    public int IdleTransactionSeconds { get; init; } = 5;

    /// <summary>How long a request waits, in seconds, for an account that somebody else has locked.</summary>
    [Range(1, 600)]
    public int AccountBusySeconds { get; init; } = 2;

    /// <summary>How long a read may take, in seconds, before it is answered that the database does not answer.</summary>
    [Range(1, 600)]
    public int ReadSeconds { get; init; } = 5;

    /// <summary>
    /// How many database connections the reads of one instance use at most: three for look-ups by id, the others for pages. The
    /// ledger and readiness have four of their own.
    /// </summary>
    [Range(4, 1_000)]
    public int ReadConnections { get; init; } = 16;

    /// <summary>How many pages may be read or wait to be read; one more is refused as overloaded.</summary>
    [Range(1, 1_000_000)]
    public int ReadLimit { get; init; } = 100;

    /// <summary>How many megabytes the database may use for the sorts and hashes of a <c>verify</c>.</summary>
    [Range(64, 1_048_576)]
    public int VerifyMemory { get; init; } = 512;
}
