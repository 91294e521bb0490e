using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Api;

/// <summary>A reason to refuse a caller for which ASP.NET has no exception.</summary>
internal sealed class AuthorizationFailure(ProblemResult answer) : Exception
{
    public ProblemResult Answer => answer;
}

/// <summary>
/// The answers to refused callers: a problem document with the challenge of RFC 6750. Their texts are our own and never quote the
/// token, which may hold anything.
/// </summary>
internal sealed class AuthorizationProblems : IAuthorizationMiddlewareResultHandler
{
    public Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult) =>
        authorizeResult.Succeeded ? next(context)
        : authorizeResult.Forbidden ? ForbidAsync(context)
        : ChallengeAsync(context);

    private static Task ForbidAsync(HttpContext context)
    {
        var scope = context.GetEndpoint()?.Metadata.GetMetadata<NeededScope>()?.Name;
        context.Response.Headers.WWWAuthenticate = $"Bearer error=\"insufficient_scope\", scope=\"{scope}\"";
        return Problem.Of("insufficient_scope", $"The token lacks the scope {scope}. Get a token with this scope.").ExecuteAsync(context);
    }

    private static async Task ChallengeAsync(HttpContext context)
    {
        var failure = (await context.AuthenticateAsync()).Failure;
        var answer = failure switch
        {
            null => Problem.Of("unauthorized", "This call needs a token. Send it in the header Authorization: Bearer <token>."),
            AuthorizationFailure denial => denial.Answer,
            _ => Problem.Of("unauthorized", ReasonOf(failure)),
        };
        context.Response.Headers.WWWAuthenticate = (failure, answer.StatusCode) switch
        {
            (null, _) => "Bearer",
            (_, 400) => "Bearer error=\"invalid_request\"",
            (_, 401) => $"Bearer error=\"invalid_token\", error_description=\"{answer.Detail}\"",
            _ => default,
        };
        await answer.ExecuteAsync(context);
    }

    // Derived exceptions come before their base.
    private static string ReasonOf(Exception failure) => failure switch
    {
        SecurityTokenExpiredException => "The token has expired. Get a new one.",
        SecurityTokenNotYetValidException => "The token is not valid yet. Use it later.",
        SecurityTokenNoExpirationException => "The token never expires. Get one that expires.",
        SecurityTokenInvalidLifetimeException => "The token expires before it becomes valid. Get a new one.",
        SecurityTokenInvalidAudienceException => "The token is for another audience. Get one for this service.",
        SecurityTokenInvalidIssuerException => "This service does not trust the token's issuer. Get a token from an issuer that it trusts.",
        SecurityTokenInvalidSignatureException => "The token is not signed with a key that this service trusts. Get a new one from its issuer.",
        _ => "The token can't be read. Send a signed JWT.",
    };
}
