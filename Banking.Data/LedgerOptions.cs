using System.ComponentModel.DataAnnotations;

namespace Banking.Data;

/// <summary>
/// The settings of the ledger and the reads: section <c>Banking</c>, or environment variables such as <c>Banking__Schema</c>. The
/// attributes are checked at start-up; a text's error message completes the sentence "must be …".
/// </summary>
public sealed class LedgerOptions
{
    /// <summary>The PostgreSQL schema that holds the book. Another schema is another book.</summary>
    [RegularExpression("^[a-z_][a-z0-9_]{0,62}$", ErrorMessage = "1 to 63 characters of a-z, 0-9 and _, the first not a digit")]
    public string Schema { get; init; } = "banking";

    /// <summary>How many requests may wait for the ledger, and as many for each look-up (accounts, transactions, holds). One more is refused as overloaded. A batch counts by its postings.</summary>
    [Range(1, 1_000_000)]
    public int QueueLimit { get; init; } = 10_000;

    /// <summary>How many requests go into one database transaction.</summary>
    [Range(1, 10_000)]
    public int BatchLimit { get; init; } = 1_000;

    /// <summary>How long a request is retried while the database fails, in seconds. So is each part of a statement.</summary>
    [Range(1, 600)]
    public int RetrySeconds { get; init; } = 10;

    /// <summary>
    /// How long a transaction of this service may stay idle before PostgreSQL ends it, in seconds. A frozen or disconnected instance
    /// blocks the book no longer than this.
    /// </summary>
    [Range(1, 600)]
    public int IdleTransactionSeconds { get; init; } = 5;

    /// <summary>How long a request waits for an account that another session has locked, in seconds.</summary>
    [Range(1, 600)]
    public int AccountBusySeconds { get; init; } = 2;

    /// <summary>How long a read may take, in seconds. After that it is answered with database_unavailable.</summary>
    [Range(1, 600)]
    public int ReadSeconds { get; init; } = 5;

    /// <summary>
    /// How many database connections the reads of one instance may use: three for look-ups of accounts, transactions and
    /// holds, one for the feed of events, the others for pages. The ledger and readiness have up to four more.
    /// </summary>
    [Range(5, 1_000)]
    public int ReadConnections { get; init; } = 16;

    /// <summary>How many pages may be read or wait at the same time. One more is refused as overloaded.</summary>
    [Range(1, 1_000_000)]
    public int ReadLimit { get; init; } = 100;

    /// <summary>How far the standby in ConnectionStrings__Replica may be behind the primary, in seconds. If it is further behind, the primary serves its reads.</summary>
    [Range(1, 3_600)]
    public int ReplicaLagSeconds { get; init; } = 5;

    /// <summary>How many megabytes PostgreSQL may use for the sorts and hashes of one <c>verify</c>.</summary>
    [Range(64, 1_048_576)]
    public int VerifyMemory { get; init; } = 512;
}
