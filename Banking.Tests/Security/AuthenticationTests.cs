using System.Net;
using System.Net.Http.Headers;
using System.Text;
using FluentAssertions;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.Tokens;

namespace Banking.Tests;

/// <summary>Which callers are accepted, for which calls, and under which name.</summary>
public sealed class AuthenticationTests(GuardedBank guarded) : IClassFixture<GuardedBank>
{
    private const string Everything = "accounts:read accounts:write accounts:manage transactions:read transactions:write transactions:reverse holds:read holds:write events:read audit:read";

    public static readonly string[] OpenPaths =
    [
        "/", "/health/live", "/health/ready", "/metrics", "/openapi/v1.json",
        "/scalar/{documentName?}", "/scalar/scalar.js", "/scalar/scalar.aspnetcore.js", "/scalar/favicon.svg",
    ];

    private readonly BankingApp bank = guarded.App;

    public static TheoryData<string, string> Calls => new()
    {
        { "create_account", "accounts:write" },
        { "get_one_account", "accounts:read" },
        { "list_accounts", "accounts:read" },
        { "account_events", "accounts:read" },
        { "change_account", "accounts:manage" },
        { "freeze_account", "accounts:manage" },
        { "unfreeze_account", "accounts:manage" },
        { "close_account", "accounts:manage" },
        { "deposit", "transactions:write" },
        { "withdraw", "transactions:write" },
        { "transaction", "transactions:write" },
        { "transaction_history", "transactions:read" },
        { "balance_at", "transactions:read" },
        { "statement", "transactions:read" },
        { "get_one_transaction", "transactions:read" },
        { "get_one_request", "transactions:read" },
        { "reverse_transaction", "transactions:reverse" },
        { "batch", "transactions:write" },
        { "place_hold", "holds:write" },
        { "capture_hold", "holds:write" },
        { "release_hold", "holds:write" },
        { "get_one_hold", "holds:read" },
        { "list_holds", "holds:read" },
        { "events", "events:read" },
        { "audit_head", "audit:read" },
    };

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_call_accepts_a_token_with_its_scope_and_no_other(string call, string scope)
    {
        var accounts = await OpenTwoAsync();
        var others = string.Join(' ', Everything.Split(' ').Where(other => other != scope));

        await PrepareAsync(call, accounts[0]);
        var before = await WrittenAsync();

        accounts = [.. accounts, await LastHoldAsync(accounts[0])];
        var refused = await CallAsync(call, guarded.TokenOf("client", others), accounts);
        var untouched = await WrittenAsync();
        var taken = await CallAsync(call, guarded.TokenOf("client", scope), accounts);

        refused.ShouldBeProblem(403, "insufficient_scope");
        Challenge(refused).Should().Be($"Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        untouched.Should().Be(before);
        ((int)taken.Status).Should().BeOneOf(200, 201);
    }

    [Fact]
    public void Every_path_needs_a_scope_or_is_open_on_purpose()
    {
        var endpoints = bank.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .ToLookup(endpoint => endpoint.Metadata.GetMetadata<IAuthorizeData>() is not null, endpoint => endpoint.RoutePattern.RawText!);

        endpoints[true].Should().BeEquivalentTo(Calls.Select(call => $"/api/{call.Data.Item1}"));
        endpoints[false].Should().BeEquivalentTo(OpenPaths);
    }

    [Theory]
    [InlineData("scope", "accounts:read")]
    [InlineData("scope", "profile accounts:read  audit:read")]
    [InlineData("scope", "profile", "accounts:read")]
    [InlineData("scp", "accounts:read")]
    [InlineData("scp", "profile accounts:read")]
    [InlineData("scp", "profile", "accounts:read")]
    public async Task A_scope_is_read_in_every_form_that_issuers_use(string claim, params string[] values)
    {
        var token = Good().Without("scope").With(claim, values.Length == 1 ? values[0] : values);

        (await CallAsync("get_one_account", token)).Status.Should().Be(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("scope", "")]
    [InlineData("scope", "accounts:reader")]
    [InlineData("scope", "my-accounts:read")]
    [InlineData("scope", "Accounts:Read")]
    [InlineData("scope", "accounts:read,audit:read")]
    [InlineData("scope", "accounts:*")]
    [InlineData("scope", 1)]
    [InlineData("scope", null)]
    [InlineData("scopes", "accounts:read")]
    [InlineData("roles", "accounts:read")]
    [InlineData("SCOPE", "accounts:read")]
    public async Task A_scope_that_differs_a_little_does_not_count(string claim, object? value)
    {
        (await CallAsync("get_one_account", Good().Without("scope").With(claim, value))).ShouldBeProblem(403, "insufficient_scope");
    }

    public static TheoryData<string> BadTokenNames => [.. BadTokens.Keys];

    [Theory]
    [MemberData(nameof(BadTokenNames))]
    public async Task A_bad_token_is_refused_with_a_reason_and_never_quoted(string name)
    {
        var (make, reason) = BadTokens[name];
        var token = make(guarded);

        var refused = await CallAsync("audit_head", token);

        refused.ShouldBeProblem(401, "unauthorized");
        refused["detail"].Should().Be(reason);
        Challenge(refused).Should().Be($"Bearer error=\"invalid_token\", error_description=\"{reason}\"");
        refused.Text.Should().NotContain(token);
        (await CallAsync("audit_head", Good())).Status.Should().Be(HttpStatusCode.OK);
        bank.Complaints.Should().BeEmpty();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Bearer")]
    [InlineData("Bearer ")]
    [InlineData("Basic Y2xpZW50OnNlY3JldA==")]
    [InlineData("Bearer-of-good-news")]
    public async Task A_call_without_a_token_is_refused(string? authorization)
    {
        var refused = await SendAsync("audit_head", authorization is null ? [] : [authorization]);

        refused.ShouldBeProblem(401, "unauthorized");
        Challenge(refused).Should().Be("Bearer");
    }

    [Theory]
    [InlineData("bearer")]
    [InlineData("BEARER")]
    [InlineData("Bearer ")]
    public async Task The_scheme_is_read_in_any_case(string scheme)
    {
        (await SendAsync("audit_head", $"{scheme} {guarded.TokenOf("client", Everything)}")).Status.Should().Be(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("good", "good")]
    [InlineData("good", "")]
    [InlineData("", "good")]
    [InlineData("good", "bad")]
    [InlineData("Basic Y2xpZW50OnNlY3JldA==", "good")]
    public async Task Two_authorization_headers_are_refused(params string[] authorizations)
    {
        var refused = await SendAsync("audit_head", [.. authorizations.Select(sent => sent == "good" ? $"Bearer {guarded.TokenOf("client", Everything)}" : sent)]);

        refused.ShouldBeProblem(400, "validation_failed", "Authorization");
        Challenge(refused).Should().Be("Bearer error=\"invalid_request\"");
    }

    [Fact]
    public async Task A_token_of_100_kB_is_refused_and_others_are_served_beside_it()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(round => round % 2 == 0
            ? SendAsync("audit_head", $"Bearer {new string('a', 100_000)}")
            : SendAsync("audit_head", $"Bearer {guarded.TokenOf("client", Everything)}")));

        answers.Where((_, round) => round % 2 == 0).Should().OnlyContain(reply => reply.Status == HttpStatusCode.RequestHeaderFieldsTooLarge);
        answers.Where((_, round) => round % 2 == 1).Should().OnlyContain(reply => reply.Status == HttpStatusCode.OK);
        bank.Complaints.Should().BeEmpty();
    }

    [Fact]
    public async Task Both_keys_of_an_issuer_are_accepted_while_one_replaces_the_other()
    {
        foreach (var key in guarded.Keys)
        {
            (await CallAsync("audit_head", Good().Signed(key))).Status.Should().Be(HttpStatusCode.OK);
        }
    }

    [Fact]
    public async Task Clocks_may_differ_by_some_seconds()
    {
        (await CallAsync("audit_head", Good().With("exp", Token.At(-10)))).Status.Should().Be(HttpStatusCode.OK);
        (await CallAsync("audit_head", Good().With("nbf", Token.At(10)))).Status.Should().Be(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("/health/live", 200)]
    [InlineData("/health/ready", 200)]
    [InlineData("/openapi/v1.json", 200)]
    [InlineData("/scalar", 200)]
    [InlineData("/", 200)]
    [InlineData("/nothing", 404)]
    [InlineData("/api/nothing", 404)]
    [InlineData("/api/deposit", 405)]
    public async Task Open_paths_need_no_token(string path, int status)
    {
        foreach (var authorization in new[] { null, "Bearer bad", $"Bearer {guarded.TokenOf("client", "")}" })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
            ((int)(await bank.SendAsync(request)).Status).Should().Be(status);
        }
    }

    [Theory]
    [InlineData("client", "client", "party", "user")]
    [InlineData("party", null, "party", "user")]
    [InlineData("user", null, null, "user")]
    [InlineData(" ~", " ~")]
    [InlineData(LongestName, LongestName)]
    public async Task The_logs_name_the_caller_of_every_row(string caller, string? client, string? party = null, string? user = null)
    {
        var names = new[] { ("client_id", client), ("azp", party), ("sub", user) }.Where(name => name.Item2 is not null);
        var token = names.Aggregate(Good().Without("client_id"), (token, name) => token.With(name.Item1, name.Item2));
        var body = """{"owner_name":"Someone","initial_deposit":"1"}""";

        var opened = await PostAsync("create_account", body, token.Signed(guarded.Keys[0]), key: null);
        var account = opened.Id("account_id");
        (await PostAsync("deposit", $$"""{"account_id":{{account}},"amount":"1"}""", token.Signed(guarded.Keys[0]), new('k', 255))).ShouldBeCreated();

        (await PostAsync("freeze_account", $$"""{"account_id":{{account}},"reason":"Court order"}""", token.Signed(guarded.Keys[0]), new('f', 255))).Status
            .Should().Be(HttpStatusCode.OK);

        (await bank.Book.ScalarAsync<string>("SELECT string_agg(client_id, ',') FROM account_log WHERE account_id = @account", new { account }))
            .Should().Be($"{caller},{caller}");
        (await bank.Book.ScalarAsync<string>("SELECT string_agg(client_id, ',') FROM transaction_log WHERE to_account_id = @account", new { account }))
            .Should().Be($"{caller},{caller}");
    }

    [Fact]
    public async Task Two_callers_may_use_the_same_idempotency_key()
    {
        var accounts = await OpenTwoAsync();
        var (one, other) = (guarded.TokenOf("one", Everything), guarded.TokenOf("other", Everything));
        var body = $$"""{"account_id":{{accounts[0]}},"amount":"1","reference":"mine"}""";
        var key = Guid.NewGuid().ToString();

        var first = await PostAsync("deposit", body, one, key);
        var second = await PostAsync("deposit", body, other, key);
        var third = await PostAsync("deposit", body.Replace("mine", "another", StringComparison.Ordinal), guarded.TokenOf("third", Everything), key);

        first.ShouldBeCreated();
        second.ShouldBeCreated();
        third.ShouldBeCreated();
        new[] { first, second, third }.Select(reply => reply.Id("transaction_id")).Should().OnlyHaveUniqueItems();
        var again = await PostAsync("deposit", body, other, key);
        again.ShouldBeCreated(replayed: true);
        again.Id("transaction_id").Should().Be(second.Id("transaction_id"));
        (await PostAsync("deposit", body, guarded.TokenOf("third", Everything), key)).ShouldBeProblem(422, "idempotency_key_reused");
    }

    [Theory]
    [InlineData("create_account", """{"owner_name":"Someone","initial_deposit":"1"}""")]
    [InlineData("deposit", """{"account_id":ID,"amount":"1"}""")]
    public async Task Only_the_caller_of_a_request_sees_what_it_made(string call, string body)
    {
        var (accounts, key) = (await OpenTwoAsync(), Guid.NewGuid().ToString());
        var made = await PostAsync(call, body.Replace("ID", $"{accounts[0]}", StringComparison.Ordinal), guarded.TokenOf("one", Everything), key);
        made.ShouldBeCreated();

        var own = await SendAsync($"get_one_request?idempotency_key={key}", $"Bearer {guarded.TokenOf("one", Everything)}");
        var others = await SendAsync($"get_one_request?idempotency_key={key}", $"Bearer {guarded.TokenOf("other", Everything)}");

        own.ShouldBeOk();
        own.Body.GetProperty("transactions")[0].GetProperty("transaction_id").GetInt64().Should().Be(made.Id("transaction_id"));
        others.ShouldBeProblem(404, "request_not_found");
        others.Text.Should().NotContain(key);
    }

    [Fact]
    public async Task A_renewed_token_is_the_same_caller()
    {
        var accounts = await OpenTwoAsync();
        var body = $$"""{"account_id":{{accounts[0]}},"amount":"1"}""";
        var key = Guid.NewGuid().ToString();

        (await PostAsync("deposit", body, Good().With("jti", "1").Signed(guarded.Keys[0]), key)).ShouldBeCreated();
        (await PostAsync("deposit", body, Good().With("jti", "2").Signed(guarded.Keys[1]), key)).ShouldBeCreated(replayed: true);
    }

    private const string LongestName =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        + "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234";

    private const string NotSigned = "The token is not signed with a key that this service trusts. Get a new one from its issuer.";
    private const string Unnamed = "The token names no valid caller. Get a token whose client_id (or azp, or sub) has 1 to 255 printable ASCII characters and is neither 'anonymous' nor 'core-banking'.";
    private const string Unreadable = "The token can't be read. Send a signed JWT.";

    private static readonly Dictionary<string, (Func<GuardedBank, string> Make, string Reason)> BadTokens = new()
    {
        ["expired"] = (With("exp", Token.At(-60)), "The token has expired. Get a new one."),
        ["not yet valid"] = (With("nbf", Token.At(3600), "exp", Token.At(7200)), "The token is not valid yet. Use it later."),
        ["never expiring"] = (Without("exp"), "The token never expires. Get one that expires."),
        ["expiring before it is valid"] = (With("nbf", Token.At(7200), "exp", Token.At(3600)), "The token expires before it becomes valid. Get a new one."),
        ["for another audience"] = (With("aud", "another"), "The token is for another audience. Get one for this service."),
        ["for a part of the audience"] = (With("aud", "core"), "The token is for another audience. Get one for this service."),
        ["for no audience"] = (Without("aud"), "The token is for another audience. Get one for this service."),
        ["of another issuer"] = (With("iss", $"{GuardedBank.Issuer}/"), "This service does not trust the token's issuer. Get a token from an issuer that it trusts."),
        ["of no issuer"] = (Without("iss"), "This service does not trust the token's issuer. Get a token from an issuer that it trusts."),
        ["signed with another key"] = (_ => Good().Signed(new SymmetricSecurityKey(new byte[32])), NotSigned),
        ["not signed"] = (_ => Good().Unsigned(), NotSigned),
        ["without its signature"] = (guarded => Parts(Good().Signed(guarded.Keys[0]), 2), NotSigned),
        ["with another content than was signed"] = (guarded => Mixed(Good().Signed(guarded.Keys[0]), Good().With("client_id", "another").Signed(guarded.Keys[0])), NotSigned),
        ["of nobody"] = (Without("client_id"), Unnamed),
        ["of an empty name"] = (With("client_id", "", "sub", "somebody"), Unnamed),
        ["of anonymous"] = (With("client_id", "anonymous"), Unnamed),
        ["of the service itself"] = (With("client_id", "core-banking"), Unnamed),
        ["of the user anonymous"] = (guarded => Good().Without("client_id").With("sub", "anonymous").Signed(guarded.Keys[0]), Unnamed),
        ["of a name with NUL"] = (With("client_id", "a\0b"), Unnamed),
        ["of a name of two lines"] = (With("client_id", "a\n"), Unnamed),
        ["of a name beyond ASCII"] = (With("client_id", "Zoë"), Unnamed),
        ["of a name that is too long"] = (With("client_id", LongestName + "5"), Unnamed),
        ["of no token"] = (_ => "abc", Unreadable),
        ["of no token in three parts"] = (_ => "a.b.c", Unreadable),
        ["of no token in five parts"] = (_ => "a.b.c.d.e", Unreadable),
        ["of nothing in three parts"] = (_ => "..", Unreadable),
        ["of two tokens"] = (guarded => $"{guarded.TokenOf("one", Everything)},{guarded.TokenOf("two", Everything)}", Unreadable),
        ["of 20 kB"] = (_ => new string('a', 20_000), Unreadable),
    };

    private static Func<GuardedBank, string> With(string claim, object value, string? other = null, object? otherValue = null) => guarded =>
        (other is null ? Good() : Good().With(other, otherValue)).With(claim, value).Signed(guarded.Keys[0]);

    private static Func<GuardedBank, string> Without(string claim) => guarded => Good().Without(claim).Signed(guarded.Keys[0]);

    private static string Parts(string token, int number) => string.Join('.', token.Split('.').Take(number)) + ".";

    private static string Mixed(string one, string other) => $"{Parts(one, 1)}{other.Split('.')[1]}.{one.Split('.')[2]}";

    private static Token Good() => new(GuardedBank.Issuer, "client", Everything);

    private static string Challenge(Reply reply) => reply.Headers.NonValidated["WWW-Authenticate"].ToString();

    /// <summary>Two accounts with money, and the last transaction of the first.</summary>
    private async Task<long[]> OpenTwoAsync()
    {
        var accounts = new List<long>();
        foreach (var _ in Enumerable.Range(0, 2))
        {
            accounts.Add((await PostAsync("create_account", """{"owner_name":"Someone","initial_deposit":"100"}""", guarded.TokenOf("client", Everything), key: null)).Id("account_id"));
        }

        return [.. accounts, await LastTransactionAsync(accounts[0])];
    }

    /// <summary>Brings the account into a state in which the call succeeds.</summary>
    private async Task PrepareAsync(string call, long account)
    {
        var (preparation, body) = call switch
        {
            "unfreeze_account" => ("freeze_account", $$"""{"account_id":{{account}},"reason":"Court order"}"""),
            "close_account" => ("withdraw", $$"""{"account_id":{{account}},"amount":"100"}"""),
            "get_one_request" => ("deposit", $$"""{"account_id":{{account}},"amount":"1"}"""),
            "capture_hold" or "release_hold" or "get_one_hold" => ("place_hold", $$"""{"account_id":{{account}},"amount":"1"}"""),
            _ => ("", ""),
        };
        if (preparation.Length > 0)
        {
            ((int)(await PostAsync(preparation, body, guarded.TokenOf("client", Everything), key: $"prepared-{account}")).Status).Should().BeOneOf(200, 201);
        }
    }

    /// <summary>The head, which changes with every write.</summary>
    private Task<string?> WrittenAsync() => bank.Book.ScalarAsync<string>("SELECT head::text FROM ledger_head AS head;");

    private Task<long> LastTransactionAsync(long account) => bank.Book.ScalarAsync<long>(
        "SELECT max(transaction_id) FROM transaction_log WHERE @account IN (from_account_id, to_account_id)", new { account });

    private Task<long> LastHoldAsync(long account) =>
        bank.Book.ScalarAsync<long>("SELECT COALESCE(max(hold_id), 1) FROM hold WHERE account_id = @account;", new { account });

    private Task<Reply> CallAsync(string call, Token token) => CallAsync(call, token.Signed(guarded.Keys[0]));

    private Task<Reply> CallAsync(string call, string token, long[]? accounts = null)
    {
        var (one, other, transaction, hold) = accounts is null ? (978, 840, 1, 1) : (accounts[0], accounts[1], accounts[2], accounts[3]);
        return call switch
        {
            "create_account" => PostAsync(call, """{"owner_name":"Someone"}""", token, key: null),
            "deposit" or "withdraw" => PostAsync(call, $$"""{"account_id":{{one}},"amount":"1"}""", token, key: null),
            "transaction" => PostAsync(call, $$"""{"from_account_id":{{one}},"to_account_id":{{other}},"amount":"1"}""", token, key: null),
            "reverse_transaction" => PostAsync(call, $$"""{"transaction_id":{{transaction}}}""", token, key: null),
            "batch" => PostAsync(call, $$"""{"mode":"atomic","postings":[{"type":"deposit","account_id":{{one}},"amount":"1"}]}""", token, key: null),
            "place_hold" => PostAsync(call, $$"""{"account_id":{{one}},"amount":"1"}""", token, key: null),
            "capture_hold" or "release_hold" => PostAsync(call, $$"""{"hold_id":{{hold}}}""", token, key: null),
            "get_one_hold" => SendAsync($"{call}?hold_id={hold}", $"Bearer {token}"),
            "change_account" => PostAsync(call, $$"""{"account_id":{{one}},"owner_name":"Somebody"}""", token, key: null),
            "freeze_account" or "unfreeze_account" or "close_account" => PostAsync(call, $$"""{"account_id":{{one}},"reason":"Court order"}""", token, key: null),
            "balance_at" => SendAsync($"{call}?account_id={one}&at={DateTime.UtcNow:O}", $"Bearer {token}"),
            "get_one_account" or "account_events" or "transaction_history" or "list_holds" => SendAsync($"{call}?account_id={one}", $"Bearer {token}"),
            "statement" => SendAsync($"{call}?account_id={one}&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", $"Bearer {token}"),
            "get_one_transaction" => SendAsync($"{call}?transaction_id={transaction}", $"Bearer {token}"),
            "get_one_request" => SendAsync($"{call}?idempotency_key=prepared-{one}", $"Bearer {token}"),
            _ => SendAsync(call, $"Bearer {token}"),
        };
    }

    private Task<Reply> PostAsync(string call, string body, string token, string? key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"/api/{call}") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        if (key is not null)
        {
            request.Headers.Add("Idempotency-Key", key);
        }

        return bank.SendAsync(request);
    }

    /// <summary>Sends the headers unchanged. .NET's own client would join repeated ones.</summary>
    private async Task<Reply> SendAsync(string call, params string[] authorizations)
    {
        using var client = await RawClient.ConnectAsync(bank);
        await client.SendAsync($"GET /api/{call} HTTP/1.0\r\n{string.Concat(authorizations.Select(authorization => $"Authorization: {authorization}\r\n"))}\r\n");
        return await client.ReplyAsync();
    }
}
