using Microsoft.IdentityModel.Tokens;

namespace Banking.Api;

/// <summary>ASP.NET's own settings of its bearer scheme: which tokens are accepted. ASP.NET reads them; this checks them as a whole.</summary>
internal sealed class AuthenticationSettings(IConfiguration configuration)
{
    public const string Name = "Authentication__Schemes__Bearer";
    private const int ShortestKey = 32; // bytes, of HS256

    private readonly IConfigurationSection bearer = configuration.GetSection(Name.Replace("__", ":", StringComparison.Ordinal));

    /// <summary>Whether any is set. An empty one does not count.</summary>
    public bool AreGiven => bearer.AsEnumerable().Any(setting => !string.IsNullOrEmpty(setting.Value));

    /// <summary>The keys that issuers share with this service, by issuer. An issuer has two while it replaces its key.</summary>
    public ILookup<string, SecurityKey> Keys => bearer.GetSection("SigningKeys").GetChildren().ToLookup(
        key => key["Issuer"]!, SecurityKey (key) => new SymmetricSecurityKey(Convert.FromBase64String(key["Value"]!)));

    /// <summary>What an operator must correct before the service may start; null if nothing.</summary>
    public string? Fault(bool allowAnonymous, bool isDevelopment)
    {
        if (!AreGiven)
        {
            return allowAnonymous || isDevelopment
                ? null
                : $"No authentication is configured. Set {Name}__ValidAudiences__0, and either {Name}__Authority (an OpenID Connect issuer) or "
                    + $"{Name}__SigningKeys__0__Issuer and __Value with {Name}__ValidIssuer. To let everybody in, set Banking__AllowAnonymous=true.";
        }

        if (allowAnonymous)
        {
            return $"Banking__AllowAnonymous lets everybody in, but {Name}__... asks for tokens. Remove one of the two.";
        }

        if (HasAuthority == HasKeys)
        {
            return $"The settings must name exactly one token issuer. Set either {Name}__Authority, or {Name}__SigningKeys__0__Issuer and __Value.";
        }

        if (!Given("ValidAudience", "ValidAudiences").Any())
        {
            return $"{Name}__ValidAudiences__0 is not set. Set it to the audience that tokens must be for.";
        }

        return AddressFault("Authority", isDevelopment) ?? AddressFault("MetadataAddress", isDevelopment) ?? KeyFault();
    }

    private bool HasAuthority => Given("Authority", "MetadataAddress").Any();

    private bool HasKeys => bearer.GetSection("SigningKeys").GetChildren().Any();

    private IEnumerable<string> Given(params string[] names) =>
        names.SelectMany(name => bearer.GetSection(name).AsEnumerable()).Select(setting => setting.Value).OfType<string>().Where(value => value.Length > 0);

    private string? AddressFault(string setting, bool isDevelopment) => bearer[setting] switch
    {
        null or "" => null,
        var address when Uri.TryCreate(address, UriKind.Absolute, out var uri) && (uri.Scheme == "https" || (isDevelopment && uri.Scheme == "http")) => null,
        _ => $"{Name}__{setting} must be an https address (http is allowed in Development only). Over http, an attacker could replace the keys.",
    };

    private string? KeyFault()
    {
        var issuers = Given("ValidIssuer", "ValidIssuers").ToHashSet();
        foreach (var key in bearer.GetSection("SigningKeys").GetChildren())
        {
            var name = $"{Name}__SigningKeys__{key.Key}";
            if (key["Issuer"] is not { } issuer || !issuers.Contains(issuer))
            {
                return $"{name}__Issuer must be {Name}__ValidIssuer or one of {Name}__ValidIssuers.";
            }

            var bytes = new byte[key["Value"]?.Length ?? 0];
            if (!Convert.TryFromBase64String(key["Value"] ?? "", bytes, out var length) || length < ShortestKey)
            {
                return $"{name}__Value must be {ShortestKey} bytes or more, in base64.";
            }
        }

        return null;
    }
}
