using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>The contents of a token. A test changes them to make a bad one.</summary>
internal sealed class Token : Dictionary<string, object?>
{
    public const string Audience = "core-banking";

    private static readonly JsonWebTokenHandler Handler = new() { SetDefaultTimesOnTokenCreation = false };

    /// <summary>A valid token, for a minute.</summary>
    public Token(string issuer, string client, string scope)
    {
        this["iss"] = issuer;
        this["aud"] = Audience;
        this["nbf"] = At(-600);
        this["exp"] = At(60);
        this["client_id"] = client;
        this["scope"] = scope;
    }

    /// <summary>So many seconds from now, in the form that tokens use.</summary>
    public static long At(int seconds) => DateTimeOffset.UtcNow.AddSeconds(seconds).ToUnixTimeSeconds();

    public Token With(string claim, object? value)
    {
        this[claim] = value;
        return this;
    }

    public Token Without(params string[] claims)
    {
        claims.ToList().ForEach(claim => Remove(claim));
        return this;
    }

    public string Signed(SecurityKey key, string algorithm = SecurityAlgorithms.HmacSha256) =>
        Handler.CreateToken(JsonSerializer.Serialize(this), new SigningCredentials(key, algorithm));

    public string Unsigned() => Handler.CreateToken(JsonSerializer.Serialize(this));
}

/// <summary>An issuer that shares its key with the service, and the service that trusts it.</summary>
public sealed class GuardedBank : IAsyncDisposable
{
    public const string Issuer = "https://issuer.test";

    public GuardedBank(TestDatabase database)
        : this(database, [])
    {
    }

    internal GuardedBank(TestDatabase database, params (string Name, string Value)[] settings) => App = new(
        database,
        schema: null,
        [
        .. settings,
        ("Authentication:Schemes:Bearer:ValidIssuer", Issuer),
        ("Authentication:Schemes:Bearer:ValidAudiences:0", Token.Audience),
        ("Authentication:Schemes:Bearer:SigningKeys:0:Issuer", Issuer),
        ("Authentication:Schemes:Bearer:SigningKeys:0:Value", Convert.ToBase64String(Keys[0].Key)),
        ("Authentication:Schemes:Bearer:SigningKeys:1:Issuer", Issuer),
        ("Authentication:Schemes:Bearer:SigningKeys:1:Value", Convert.ToBase64String(Keys[1].Key)),
        ]);

    public BankingApp App { get; }

    /// <summary>Two keys, as while one replaces the other.</summary>
    internal SymmetricSecurityKey[] Keys { get; } = [new(RandomNumberGenerator.GetBytes(32)), new(RandomNumberGenerator.GetBytes(32))];

    public string TokenOf(string client, string scope) => new Token(Issuer, client, scope).Signed(Keys[0]);

    public ValueTask DisposeAsync() => App.DisposeAsync();
}

/// <summary>An OpenID Connect issuer for one test: discovery, keys, and tokens signed with the newest key.</summary>
internal sealed class Authority : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly TaskCompletionSource silence = new();
    private readonly byte[] shared = RandomNumberGenerator.GetBytes(32);
    private RsaSecurityKey key = NewKey();

    private Authority(int port)
    {
        Address = $"http://127.0.0.1:{port}";
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Address);
        app = builder.Build();
        app.Use((context, next) => IsSilent ? silence.Task.WaitAsync(context.RequestAborted) : next(context));
        app.MapGet("/.well-known/openid-configuration", () => Results.Json(new { issuer = Address, jwks_uri = $"{Address}/keys" }));
        app.MapGet("/keys", () => Results.Json(new { keys = new[] { PublicKey, SharedKey } }));
    }

    public string Address { get; }

    /// <summary>Whether it accepts requests but never answers.</summary>
    public bool IsSilent { get; set; }

    /// <summary>The keys that it publishes: its public key, and a symmetric one that should never be published.</summary>
    public IEnumerable<SecurityKey> Published =>
    [
        new SymmetricSecurityKey(Encoding.ASCII.GetBytes(key.Rsa.ExportSubjectPublicKeyInfoPem())) { KeyId = key.KeyId },
        new SymmetricSecurityKey(shared) { KeyId = "shared" },
    ];

    private object SharedKey => new { kty = "oct", use = "sig", kid = "shared", k = Base64UrlEncoder.Encode(shared) };

    private object PublicKey
    {
        get
        {
            var numbers = key.Rsa.ExportParameters(includePrivateParameters: false);
            return new { kty = "RSA", use = "sig", kid = key.KeyId, n = Base64UrlEncoder.Encode(numbers.Modulus), e = Base64UrlEncoder.Encode(numbers.Exponent) };
        }
    }

    public static async Task<Authority> StartAsync(int? port = null)
    {
        var authority = new Authority(port ?? Ports.Free());
        await authority.app.StartAsync();
        return authority;
    }

    public string TokenOf(string client, string scope) => Sign(new Token(Address, client, scope));

    public string Sign(Token token) => token.Signed(key, SecurityAlgorithms.RsaSha256);

    public void ChangeKey() => key = NewKey();

    public async ValueTask DisposeAsync()
    {
        silence.TrySetResult();
        await app.DisposeAsync();
    }

    private static RsaSecurityKey NewKey() => new(RSA.Create(2048)) { KeyId = Guid.NewGuid().ToString("N") };
}
