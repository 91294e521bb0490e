using System.ComponentModel.DataAnnotations;

namespace Banking.Data;

/// <summary>
/// The service's own settings: section <c>Banking</c>, or environment variables such as <c>Banking__Schema</c>. The attributes are
/// the rules that a start holds each of them to; a text's error message is what it must be, in words.
/// </summary>
public sealed class BankingOptions
{
    /// <summary>The PostgreSQL schema that holds the book; another schema is another book.</summary>
    [RegularExpression("^[a-z_][a-z0-9_]{0,62}$", ErrorMessage = "1 to 63 of a-z, 0-9 and _, and not begin with a digit")]
    public string Schema { get; init; } = "banking";

    /// <summary>The ISO 4217 code of an account that is opened without a currency.</summary>
    [RegularExpression("^[A-Z]{3}$", ErrorMessage = "three of A-Z, a code of ISO 4217")]
    public string DefaultCurrency { get; init; } = "USD";

    /// <summary>Serve callers without a token outside Development too.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>How many requests may wait for the ledger, and for a look-up of an account or a transaction; one more is refused as overloaded.</summary>
    [Range(1, 1_000_000)]
    public int QueueLimit { get; init; } = 5_000;

    /// <summary>How many requests one database transaction takes at most.</summary>
    [Range(1, 10_000)]
    public int BatchLimit { get; init; } = 1_000;

    /// <summary>How long a request is tried again, in seconds, while the database fails it.</summary>
    [Range(1, 600)]
    public int RetrySeconds { get; init; } = 10;

    /// <summary>How long a request waits, in seconds, for an account that somebody else has locked.</summary>
    [Range(1, 600)]
    public int AccountBusySeconds { get; init; } = 2;

    /// <summary>How long a read may take, in seconds, before it is answered that the database does not answer.</summary>
    [Range(1, 600)]
    public int ReadSeconds { get; init; } = 5;

    /// <summary>
    /// How many database connections the reads of one instance use at most: two for look-ups of an account or a transaction, the
    /// others for pages. The ledger and readiness have four of their own.
    /// </summary>
    [Range(3, 1_000)]
    public int ReadConnections { get; init; } = 16;

    /// <summary>How many pages may be read or wait to be read; one more is refused as overloaded.</summary>
    [Range(1, 1_000_000)]
    public int ReadLimit { get; init; } = 100;

    /// <summary>How many megabytes the database may use for the sorts and hashes of a <c>verify</c>.</summary>
    [Range(64, 1_048_576)]
    public int VerifyMemory { get; init; } = 512;

    /// <summary>How many requests one caller may make in a second; 0 is any number.</summary>
    [Range(0, 1_000_000)]
    public int RateLimit { get; init; }

    /// <summary>How many bytes the body of a request may have.</summary>
    [Range(1_024, 16_777_216)]
    public int BodyLimit { get; init; } = 1_048_576;

    /// <summary>How many bytes the headers of a request may have together.</summary>
    [Range(1_024, 1_048_576)]
    public int HeaderLimit { get; init; } = 32_768;

    /// <summary>How many headers a request may have.</summary>
    [Range(10, 10_000)]
    public int HeaderCountLimit { get; init; } = 100;

    /// <summary>How long the headers of a request may take to arrive, in seconds.</summary>
    [Range(1, 600)]
    public int HeaderSeconds { get; init; } = 10;

    /// <summary>How fast a client has to send its body and to read its answer, in bytes a second, after five seconds of grace.</summary>
    [Range(1, 1_000_000)]
    public int LeastBytesPerSecond { get; init; } = 240;

    /// <summary>How many connections may be open; one more is closed at once.</summary>
    [Range(1, 1_000_000)]
    public int ConnectionLimit { get; init; } = 20_000;

    /// <summary>How long a connection stays open without a request on it, in seconds.</summary>
    [Range(1, 3_600)]
    public int KeepAliveSeconds { get; init; } = 130;

    /// <summary>How long a start waits, in seconds, for a database that does not answer yet.</summary>
    [Range(0, 3_600)]
    public int StartSeconds { get; init; } = 60;

    /// <summary>
    /// How long the service goes on serving after SIGTERM, in seconds, while its readiness is already false. It ends five seconds
    /// later at most: whoever kills what doesn't stop has to wait longer than both.
    /// </summary>
    [Range(0, 5)]
    public int DrainSeconds { get; init; } = 1;

    /// <summary>The folder of the embedded PostgreSQL, used in Development when no connection string is set.</summary>
    [RegularExpression("^.+$", ErrorMessage = "the path of a folder")]
    public string? DataFolder { get; init; }
}
