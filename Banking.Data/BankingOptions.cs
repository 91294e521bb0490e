using System.ComponentModel.DataAnnotations;

namespace Banking.Data;

/// <summary>The service's own settings: section <c>Banking</c>, or environment variables such as <c>Banking__Schema</c>.</summary>
public sealed class BankingOptions
{
    /// <summary>The PostgreSQL schema that holds the book; another schema is another book.</summary>
    [RegularExpression("^[a-z_][a-z0-9_]{0,62}$")]
    public string Schema { get; init; } = "banking";

    /// <summary>The ISO 4217 code of an account that is opened without a currency.</summary>
    [RegularExpression("^[A-Z]{3}$")]
    public string DefaultCurrency { get; init; } = "USD";

    /// <summary>How many requests may wait for the ledger; one more is refused as overloaded.</summary>
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

    /// <summary>How long the service goes on serving after SIGTERM, in seconds, while its readiness is already false.</summary>
    [Range(0, 5)]
    public int DrainSeconds { get; init; } = 1;

    /// <summary>Whether, outside Development, the service may run without asking anybody for a token.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>The folder of the embedded PostgreSQL, used in Development when no connection string is set.</summary>
    public string? DataFolder { get; init; }
}
