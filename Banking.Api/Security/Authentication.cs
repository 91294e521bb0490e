using System.Net;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Api;

/// <summary>Asks callers of the API for tokens, if the settings say which tokens are accepted.</summary>
internal static partial class Authentication
{
    public const string Scheme = JwtBearerDefaults.AuthenticationScheme;

    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Sets the scope that a caller of this endpoint needs. An endpoint of the API without one refuses everybody.</summary>
    public static RouteHandlerBuilder Needs(this RouteHandlerBuilder endpoint, string scope) => endpoint.WithMetadata(new NeededScope(scope));

    public static void AddCallers(this WebApplicationBuilder builder)
    {
        var settings = new AuthenticationSettings(builder.Configuration);
        if (!settings.AreGiven)
        {
            // Nobody is asked for a token. CheckAuthentication refuses to start if the operator has not allowed that.
            builder.Services.Configure<RouteOptions>(routes => routes.SuppressCheckForUnhandledSecurityMetadata = true);
            return;
        }

        // A default, set before ASP.NET reads the settings. What is set after that, the settings cannot change.
        builder.Services.Configure<JwtBearerOptions>(Scheme, bearer => bearer.BackchannelTimeout = Patience);
        builder.Services.AddAuthentication(Scheme).AddJwtBearer(bearer =>
        {
            bearer.MapInboundClaims = false;
            bearer.AutomaticRefreshInterval = TimeSpan.FromHours(1); // a key that the authority has withdrawn is accepted for up to this long
            bearer.RequireHttpsMetadata = !builder.Environment.IsDevelopment();
            bearer.Events = new() { OnMessageReceived = PrepareAsync, OnTokenValidated = NameCallerAsync };
            var tokens = bearer.TokenValidationParameters;
            tokens.ValidateIssuer = true;
            tokens.ValidateAudience = true;
            tokens.ClockSkew = ClockSkew;
            tokens.IssuerSigningKeys = []; // ASP.NET's own reader fails if an issuer has two keys, and accepts every key for every issuer
            if (settings.Keys is { Count: > 0 } keys)
            {
                tokens.IssuerSigningKeyResolver = (_, token, _, _) =>
                    keys.Contains(token.Issuer) ? keys[token.Issuer] : throw new SecurityTokenInvalidIssuerException();
            }
        });
        // Old keys are dropped as soon as the authority publishes new ones.
        builder.Services.PostConfigure<JwtBearerOptions>(
            Scheme, bearer => ((BaseConfigurationManager?)bearer.ConfigurationManager)?.UseLastKnownGoodConfiguration = false);
        // AddAuthentication also adds data protection, which would make cookie keys at every start and log an error if it cannot store them.
        builder.Services.Remove(builder.Services.Single(service =>
            service.ServiceType == typeof(IHostedService) && service.ImplementationType?.Assembly == typeof(DataProtectionOptions).Assembly));
        builder.Services.AddAuthorizationBuilder().SetDefaultPolicy(new AuthorizationPolicyBuilder()
            .RequireAuthenticatedUser()
            .RequireAssertion(HasScope)
            .Build());
        builder.Services.AddSingleton<IAuthorizationMiddlewareResultHandler, AuthorizationProblems>();
    }

    /// <summary>Finds out who calls. Refuses nobody yet.</summary>
    public static void UseCallers(this WebApplication app)
    {
        if (new AuthenticationSettings(app.Configuration).AreGiven)
        {
            app.UseAuthentication();
        }
    }

    /// <summary>Refuses callers without a valid token or without the call's scope.</summary>
    public static void UseScopes(this WebApplication app)
    {
        if (new AuthenticationSettings(app.Configuration).AreGiven)
        {
            app.UseAuthorization();
        }
    }

    /// <summary>How long this call's token is still accepted; null without a token.</summary>
    public static TimeSpan? TokenLeft(HttpContext context) =>
        context.Features.Get<IAuthenticateResultFeature>()?.AuthenticateResult?.Properties?.ExpiresUtc is { } end ? end + ClockSkew - DateTimeOffset.UtcNow : null;

    /// <summary>Throws if callers would need no token although the operator has not allowed that, or if the settings cannot check a token.</summary>
    public static void CheckAuthentication(this WebApplication app)
    {
        var settings = new AuthenticationSettings(app.Configuration);
        var allowAnonymous = app.Services.GetRequiredService<ServiceOptions>().AllowAnonymous;
        if (settings.Fault(allowAnonymous, app.Environment.IsDevelopment()) is { } fault)
        {
            throw new InvalidOperationException(fault);
        }

        if (settings.AreGiven)
        {
            ReadSettings(app.Services);
        }
        else if (allowAnonymous)
        {
            LogAnonymous(app.Logger);
        }
        else
        {
            // Only Development gets here. The addresses are known once the server listens.
            app.Lifetime.ApplicationStarted.Register(() =>
            {
                if (app.Urls.FirstOrDefault(url => !IsLoopback(BindingAddress.Parse(url))) is { } reachable)
                {
                    LogAnonymousInDevelopment(app.Logger, reachable);
                }
            });
        }
    }

    private static bool IsLoopback(BindingAddress address) =>
        address.IsUnixPipe || address.Host == "localhost" || (IPAddress.TryParse(address.Host, out var ip) && IPAddress.IsLoopback(ip));

    // Otherwise ASP.NET would read them with the first request, and that request would fail.
    private static void ReadSettings(IServiceProvider services)
    {
        try
        {
            services.GetRequiredService<IOptionsMonitor<JwtBearerOptions>>().Get(Scheme);
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException)
        {
            throw new InvalidOperationException($"A setting below {AuthenticationSettings.Name}__ can't be read: {exception.Message}", exception);
        }
    }

    private static bool HasScope(AuthorizationHandlerContext context) =>
        context.Resource is HttpContext http
        && http.GetEndpoint()?.Metadata.GetMetadata<NeededScope>() is { } needed
        && context.User.Claims.Any(claim => claim.Type is "scope" or "scp" && claim.Value.Split(' ').Contains(needed.Name));

    /// <summary>Fetches the keys before the token is checked. Without them ASP.NET would refuse a valid token with 401.</summary>
    private static async Task PrepareAsync(MessageReceivedContext context)
    {
        var sent = context.Request.Headers.Authorization;
        if (sent.Count > 1)
        {
            context.Fail(new AuthorizationFailure(Problem.Invalid("Authorization", "is given more than once. Send it once.")));
            return;
        }

        if (sent.Count == 0 || context.Options.ConfigurationManager is not { } authority)
        {
            return;
        }

        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.HttpContext.RequestAborted);
            patience.CancelAfter(Patience);
            await authority.GetConfigurationAsync(patience.Token);
        }
        catch (Exception exception) when (exception is InvalidOperationException or OperationCanceledException)
        {
            var logger = context.HttpContext.RequestServices.GetRequiredService<ILogger<AuthorizationProblems>>();
            LogAuthorityUnavailable(logger, exception, context.Request.Method, context.Request.Path, context.Options.MetadataAddress);
            context.Fail(new AuthorizationFailure(Problem.Of("authority_unavailable", "The token issuer did not answer, so the token could not be checked. Nothing was done. Retry later.")));
        }
    }

    private static Task NameCallerAsync(TokenValidatedContext context)
    {
        if (!Caller.IsNamed(context.Principal!))
        {
            context.Fail(new AuthorizationFailure(Problem.Of("unauthorized", Caller.Rule)));
        }

        return Task.CompletedTask;
    }

    [LoggerMessage(LogLevel.Warning, "Everybody who reaches this service may do everything, because Banking__AllowAnonymous is true. To ask for tokens, remove it and set Authentication__Schemes__Bearer__...")]
    private static partial void LogAnonymous(ILogger logger);

    [LoggerMessage(LogLevel.Warning, "Everybody who reaches this service may do everything: Development asks for no token, and other machines can reach {Address}. Listen on localhost only (ASPNETCORE_URLS), or set Authentication__Schemes__Bearer__... and ASPNETCORE_ENVIRONMENT=Production.")]
    private static partial void LogAnonymousInDevelopment(ILogger logger, string address);

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} got 503: the token issuer did not deliver its keys from {Address}, so no token can be checked. Check the issuer and the network to it.")]
    private static partial void LogAuthorityUnavailable(ILogger logger, Exception exception, string method, string path, string address);
}
