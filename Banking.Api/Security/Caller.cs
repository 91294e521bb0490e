using System.Security.Claims;
using Banking.Data;

namespace Banking.Api;

/// <summary>What a caller may do, as the <c>scope</c> or <c>scp</c> of its token names it. Each call needs one.</summary>
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
    public const string AuditRead = "audit:read";
}

/// <summary>The scope that an endpoint asks for.</summary>
internal sealed record NeededScope(string Name);

/// <summary>Who is calling: what the log keeps with every row, and whose the idempotency keys are.</summary>
internal static class Caller
{
    public const string Anonymous = "anonymous";

    public const string Rule =
        "The token names no caller. Its client_id, azp or sub, whichever comes first, must have 1 to 255 printable ASCII characters and must not be 'anonymous' or 'core-banking'.";

    public static string Of(HttpContext context) =>
        context.User.Identity is { IsAuthenticated: true } ? NameOf(context.User)! : Anonymous;

    /// <summary>The identity of the caller's request.</summary>
    public static RequestId RequestOf(HttpContext context, string? idempotencyKey) => RequestId.Of(Of(context), idempotencyKey);

    /// <summary>Whether a token's name for its caller can stand in the log (OAuth and OpenID Connect give out no others) and is nobody else's.</summary>
    public static bool IsNamed(ClaimsPrincipal user) =>
        NameOf(user) is { Length: >= 1 and <= 255 } name && name.All(character => character is >= ' ' and <= '~') && name is not (Anonymous or RequestId.Service);

    private static string? NameOf(ClaimsPrincipal user) =>
        (user.FindFirst("client_id") ?? user.FindFirst("azp") ?? user.FindFirst("sub"))?.Value;
}
