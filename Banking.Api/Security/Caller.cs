using System.Security.Claims;
using Banking.Data;

namespace Banking.Api;

/// <summary>What a caller may do: the <c>scope</c> or <c>scp</c> of its token lists them. Each call needs one.</summary>
internal static class Scope
{
    public const string AccountsRead = "accounts:read";
    public const string AccountsWrite = "accounts:write";
    public const string AccountsManage = "accounts:manage";
    public const string TransactionsRead = "transactions:read";
    public const string TransactionsWrite = "transactions:write";
    public const string TransactionsReverse = "transactions:reverse";
    public const string HoldsRead = "holds:read";
    public const string HoldsWrite = "holds:write";
    public const string EventsRead = "events:read";
    public const string AuditRead = "audit:read";
}

/// <summary>The scope that an endpoint asks for.</summary>
internal sealed record NeededScope(string Name);

/// <summary>Who calls. The logs keep it with every row, and idempotency keys belong to it.</summary>
internal static class Caller
{
    public const string Anonymous = "anonymous";

    public const string Rule =
        "The token names no valid caller. Get a token whose client_id (or azp, or sub) has 1 to 255 printable ASCII characters and is neither 'anonymous' nor 'core-banking'.";

    public static string Of(HttpContext context) =>
        context.User.Identity is { IsAuthenticated: true } ? NameOf(context.User)! : Anonymous;

    /// <summary>The identity of the caller's request.</summary>
    public static RequestId RequestOf(HttpContext context, string? idempotencyKey) => RequestId.Of(Of(context), idempotencyKey);

    /// <summary>Whether the token's name for its caller fits into the log (as all names of OAuth and OpenID Connect do) and is neither <see cref="Anonymous"/> nor the service's own.</summary>
    public static bool IsNamed(ClaimsPrincipal user) =>
        NameOf(user) is { Length: >= 1 and <= 255 } name && name.All(character => character is >= ' ' and <= '~') && name is not (Anonymous or RequestId.Service);

    private static string? NameOf(ClaimsPrincipal user) =>
        (user.FindFirst("client_id") ?? user.FindFirst("azp") ?? user.FindFirst("sub"))?.Value;
}
