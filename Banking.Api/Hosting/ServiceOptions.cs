using System.ComponentModel.DataAnnotations;

namespace Banking.Api;

/// <summary>What the server needs of the service's own settings, in the same section as <see cref="Data.LedgerOptions"/> and with rules of the same kind.</summary>
public sealed class ServiceOptions
{
    /// <summary>The ISO 4217 code of an account that is opened without a currency.</summary>
    [RegularExpression("^[A-Z]{3}$", ErrorMessage = "three of A-Z, a code of ISO 4217")]
    public string DefaultCurrency { get; init; } = "USD";

    /// <summary>Serve callers without a token outside Development too.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>The origins whose pages may call this service from a browser. None is set: none may.</summary>
    [RegularExpression(
        @"^(?:https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[ ,]+|$))+$",
        ErrorMessage = "origins such as https://bank.example or http://localhost:3000, with commas or spaces between them")]
    public string? AllowedOrigins { get; init; }

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
