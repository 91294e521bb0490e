using System.ComponentModel.DataAnnotations;

namespace Banking.Api;

/// <summary>The settings of the host, in the same section as <see cref="Data.LedgerOptions"/> and with the same kind of rules.</summary>
public sealed class ServiceOptions
{
    /// <summary>The currency of an account that is opened without one.</summary>
    [RegularExpression("^[A-Z]{3}$", ErrorMessage = "a three-letter ISO 4217 code in upper case, such as EUR")]
    public string DefaultCurrency { get; init; } = "USD";

    /// <summary>Serve callers without a token outside Development too.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>The web origins whose pages may call the service from a browser. By default none may.</summary>
    [RegularExpression(
        @"^(?:https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[ ,]+|$))+$",
        ErrorMessage = "origins such as https://bank.example or http://localhost:3000, separated by commas or spaces")]
    public string? AllowedOrigins { get; init; }

    /// <summary>How many requests one caller may make in a second; 0 is no limit.</summary>
    [Range(0, 1_000_000)]
    public int RateLimit { get; init; }

    /// <summary>How many days the period of a statement may have.</summary>
    [Range(1, 36_600)]
    public int StatementDays { get; init; } = 366;

    /// <summary>How many bytes the body of a request may have.</summary>
    [Range(1_024, 16_777_216)]
    public int BodyLimit { get; init; } = 1_048_576;

    /// <summary>How many bytes all headers of a request may have.</summary>
    [Range(1_024, 1_048_576)]
    public int HeaderLimit { get; init; } = 32_768;

    /// <summary>How many headers a request may have.</summary>
    [Range(10, 10_000)]
    public int HeaderCountLimit { get; init; } = 100;

    /// <summary>How long the headers of a request may take to arrive, in seconds.</summary>
    [Range(1, 600)]
    public int HeaderSeconds { get; init; } = 10;

    /// <summary>How fast a client must send its body and read its answer, in bytes a second, after the first five seconds.</summary>
    [Range(1, 1_000_000)]
    public int LeastBytesPerSecond { get; init; } = 240;

    /// <summary>How many connections may be open; one more is closed at once.</summary>
    [Range(1, 1_000_000)]
    public int ConnectionLimit { get; init; } = 20_000;

    /// <summary>How long a connection without a request stays open, in seconds.</summary>
    [Range(1, 3_600)]
    public int KeepAliveSeconds { get; init; } = 130;

    /// <summary>How long a start waits, in seconds, for a database that does not answer yet.</summary>
    [Range(0, 3_600)]
    public int StartSeconds { get; init; } = 60;

    /// <summary>
    /// How long the service keeps serving after SIGTERM, in seconds, while readiness is already false. It ends at most five seconds
    /// later. The platform must wait longer than both before it kills.
    /// </summary>
    [Range(0, 5)]
    public int DrainSeconds { get; init; } = 1;

    /// <summary>The folder of the private PostgreSQL, used in Development when no connection string is set.</summary>
    [RegularExpression("^.+$", ErrorMessage = "the path of a folder")]
    public string? DataFolder { get; init; }
}
