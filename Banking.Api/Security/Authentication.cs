using System.Net;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Api;

/// <summary>Asks the callers of the API for tokens, where the settings say whose tokens count.</summary>
internal static partial class Authentication
{
    public const string Scheme = JwtBearerDefaults.AuthenticationScheme;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>States the scope that a caller of this endpoint has to have. Within the API, an endpoint that states none is closed to everybody.</summary>
    public static RouteHandlerBuilder Needs(this RouteHandlerBuilder endpoint, string scope) => endpoint.WithMetadata(new NeededScope(scope));

    public static void AddCallers(this WebApplicationBuilder builder)
    {
        var settings = new AuthenticationSettings(builder.Configuration);
        if (!settings.AreGiven)
        {
            // Nobody is asked for anything, so nothing has to run that asks. Whether this is meant is checked before the start.
            builder.Services.Configure<RouteOptions>(routes => routes.SuppressCheckForUnhandledSecurityMetadata = true);
            return;
        }

        // A default, so it comes before ASP.NET reads the settings; what comes after is not for settings to change.
        builder.Services.Configure<JwtBearerOptions>(Scheme, bearer => bearer.BackchannelTimeout = Patience);
        builder.Services.AddAuthentication(Scheme).AddJwtBearer(bearer =>
        {
            bearer.MapInboundClaims = false;
            bearer.AutomaticRefreshInterval = TimeSpan.FromHours(1); // how long a key may count on that its authority has withdrawn
            bearer.RequireHttpsMetadata = !builder.Environment.IsDevelopment();
            bearer.Events = new() { OnMessageReceived = PrepareAsync, OnTokenValidated = NameCallerAsync };
            var tokens = bearer.TokenValidationParameters;
            tokens.ValidateIssuer = true;
            tokens.ValidateAudience = true;
            tokens.ClockSkew = TimeSpan.FromSeconds(30);
            tokens.IssuerSigningKeys = []; // ASP.NET's own reader fails where an issuer has two, and lets every key count for every issuer
            if (settings.Keys is { Count: > 0 } keys)
            {
                tokens.IssuerSigningKeyResolver = (_, token, _, _) =>
                    keys.Contains(token.Issuer) ? keys[token.Issuer] : throw new SecurityTokenInvalidIssuerException();
            }
        });
        // The keys that were good last count no longer than those that an authority gives out now.
        builder.Services.PostConfigure<JwtBearerOptions>(
            Scheme, bearer => ((BaseConfigurationManager?)bearer.ConfigurationManager)?.UseLastKnownGoodConfiguration = false);
        // It brings data protection along, which would make keys for cookies at every start, and complain where it can't store them.
        builder.Services.Remove(builder.Services.Single(service =>
            service.ServiceType == typeof(IHostedService) && service.ImplementationType?.Assembly == typeof(DataProtectionOptions).Assembly));
        builder.Services.AddAuthorizationBuilder().SetDefaultPolicy(new AuthorizationPolicyBuilder()
            .RequireAuthenticatedUser()
            .RequireAssertion(HasScope)
            .Build());
        builder.Services.AddSingleton<IAuthorizationMiddlewareResultHandler, AuthorizationProblems>();
    }

    /// <summary>Finds out who calls, and refuses nobody yet.</summary>
    public static void UseCallers(this WebApplication app)
    {
        if (new AuthenticationSettings(app.Configuration).AreGiven)
        {
            app.UseAuthentication();
        }
    }

    /// <summary>Refuses those without a valid token, or without the scope of the call.</summary>
    public static void UseScopes(this WebApplication app)
    {
        if (new AuthenticationSettings(app.Configuration).AreGiven)
        {
            app.UseAuthorization();
        }
    }

    /// <summary>Throws where callers would be let in without a token and nobody has said that this is meant, or where no token could be judged.</summary>
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
            // Only Development starts like this. The addresses are known when they are listened on.
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

    // Else ASP.NET would read them with the first request, and fail it.
    private static void ReadSettings(IServiceProvider services)
    {
        try
        {
            services.GetRequiredService<IOptionsMonitor<JwtBearerOptions>>().Get(Scheme);
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException)
        {
            throw new InvalidOperationException($"{AuthenticationSettings.Name}__... can't be read: {exception.Message}", exception);
        }
    }

    private static bool HasScope(AuthorizationHandlerContext context) =>
        context.Resource is HttpContext http
        && http.GetEndpoint()?.Metadata.GetMetadata<NeededScope>() is { } needed
        && context.User.Claims.Any(claim => claim.Type is "scope" or "scp" && claim.Value.Split(' ').Contains(needed.Name));

    /// <summary>Sees to it that there are keys to judge a token with. Without them it would be refused, as if its caller were to blame.</summary>
    private static async Task PrepareAsync(MessageReceivedContext context)
    {
        var sent = context.Request.Headers.Authorization;
        if (sent.Count > 1)
        {
            context.Fail(new AuthorizationFailure(Problem.Invalid("Authorization", "is given more than once.")));
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
            context.Fail(new AuthorizationFailure(Problem.Of("authority_unavailable", "The token issuer did not answer, so no token can be checked; nothing was done. Retry later.")));
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

    [LoggerMessage(LogLevel.Warning, "Everybody who reaches this service may do everything: Banking__AllowAnonymous is set, and nobody is asked for a token.")]
    private static partial void LogAnonymous(ILogger logger);

    [LoggerMessage(LogLevel.Warning, "Everybody who reaches this service may do everything: in Development nobody is asked for a token, and others can reach {Address}. Listen on localhost only (ASPNETCORE_URLS), or set Authentication__Schemes__Bearer__... and ASPNETCORE_ENVIRONMENT=Production.")]
    private static partial void LogAnonymousInDevelopment(ILogger logger, string address);

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} was answered with 503: the keys of the tokens' issuer did not come from {Address}. Nobody with a token is let in until they do.")]
    private static partial void LogAuthorityUnavailable(ILogger logger, Exception exception, string method, string path, string address);
}
