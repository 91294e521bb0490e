using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Banking.Tests;

/// <summary>An invalid request and the answer that it must get.</summary>
internal sealed record InvalidRequest(string Name, Func<BankingApp, Task<Reply>> SendAsync, int Status, string Code, params string[] Fields)
{
    public static InvalidRequest In(string name, Func<BankingApp, Task<Reply>> send, params string[] fields) => new(name, send, 400, "validation_failed", fields);
}

/// <summary>Every kind of mistake in every part of a request. The accounts, the transaction and the hold are those of <see cref="UntouchedBook"/>.</summary>
internal static class InvalidRequests
{
    private const string Json = "application/json";
    private const string Idempotency = "Idempotency-Key";
    private const string Deposit = """{"type":"deposit","account_id":1000,"amount":"1"}""";

    private static readonly Dictionary<string, string> Cash = new()
    {
        ["account_id"] = "1000",
        ["amount"] = "\"1\"",
        ["reference"] = "\"r\"",
        ["metadata"] = "{\"k\":\"v\"}",
    };

    private static readonly Dictionary<string, string> AccountAndReason = new()
    {
        ["account_id"] = "1000",
        ["reason"] = "\"r\"",
    };

    private static readonly Dictionary<string, Dictionary<string, string>> Calls = new()
    {
        ["create_account"] = new()
        {
            ["owner_name"] = "\"Someone\"",
            ["currency"] = "\"USD\"",
            ["initial_deposit"] = "\"1\"",
            ["overdraft_limit"] = "\"1\"",
            ["reference"] = "\"r\"",
            ["metadata"] = "{\"k\":\"v\"}",
        },
        ["change_account"] = new()
        {
            ["account_id"] = "1000",
            ["owner_name"] = "\"Someone\"",
            ["overdraft_limit"] = "\"1\"",
            ["reason"] = "\"r\"",
        },
        ["freeze_account"] = new()
        {
            ["account_id"] = "1000",
            ["blocks"] = "\"all\"",
            ["reason"] = "\"r\"",
        },
        ["unfreeze_account"] = AccountAndReason,
        ["close_account"] = AccountAndReason,
        ["deposit"] = Cash,
        ["withdraw"] = Cash,
        ["transaction"] = new()
        {
            ["from_account_id"] = "1000",
            ["to_account_id"] = "1001",
            ["amount"] = "\"1\"",
            ["reference"] = "\"r\"",
            ["metadata"] = "{\"k\":\"v\"}",
        },
        ["reverse_transaction"] = new()
        {
            ["transaction_id"] = "1",
            ["amount"] = "\"1\"",
            ["reference"] = "\"r\"",
            ["metadata"] = "{\"k\":\"v\"}",
        },
        ["batch"] = new()
        {
            ["mode"] = "\"atomic\"",
            ["postings"] = $"[{Deposit}]",
            ["dry_run"] = "false",
        },
        ["place_hold"] = new()
        {
            ["account_id"] = "1000",
            ["amount"] = "\"1\"",
            ["to_account_id"] = "1001",
            ["expires_at"] = $"\"{DateTime.UtcNow.AddDays(1):yyyy-MM-dd'T'HH:mm:ss'Z'}\"",
            ["reference"] = "\"r\"",
            ["metadata"] = "{\"k\":\"v\"}",
        },
        ["capture_hold"] = new()
        {
            ["hold_id"] = "3",
            ["amount"] = "\"1\"",
            ["final"] = "true",
        },
        ["release_hold"] = new()
        {
            ["hold_id"] = "3",
            ["reason"] = "\"r\"",
        },
    };

    /// <summary>The members of the postings of a batch, by their types.</summary>
    private static readonly Dictionary<string, Dictionary<string, string>> Postings = new()
    {
        ["deposit"] = Cash,
        ["withdrawal"] = Cash,
        ["transfer"] = Calls["transaction"],
    };

    private static readonly string[] Required =
    [
        "owner_name", "account_id", "from_account_id", "to_account_id", "transaction_id", "hold_id", "amount", "reason", "mode", "postings", "type",
    ];

    /// <summary>Members that are optional in these calls and required in others.</summary>
    private static readonly Dictionary<string, string[]> Optional = new()
    {
        ["change_account"] = ["owner_name", "reason"],
        ["reverse_transaction"] = ["amount"],
        ["place_hold"] = ["to_account_id"],
        ["capture_hold"] = ["amount"],
        ["release_hold"] = ["reason"],
    };

    /// <summary>Members of which a call requires at least one.</summary>
    private static readonly Dictionary<string, string[]> EitherOf = new() { ["change_account"] = ["owner_name", "overdraft_limit"] };

    private static readonly string[] NoMoney =
    [
        "-1", "-0", "-0.01", "1e2", "1E2", "1e-2", "0.00001", "1.00000", "1000000000000000", "99999999999999999999999999999999999999",
        "true", "{}", "[]", "[1]", "\"\"", "\"abc\"", "\"-1\"", "\"+1\"", "\"1e2\"", "\" 1\"", "\"1 \"", "\"1.\"", "\".5\"", "\"01\"",
        "\"1,5\"", "\"1_0\"", "\"0x1\"", "\"$1\"", "\"1.00001\"", "\"1000000000000000\"", "\"NaN\"", "\"Infinity\"", "\"١\"", "\"１\"",
        "\"1\\n\"", "\"1\\u0000\"", "\"\\ud800\"", "NaN", "Infinity", "-Infinity", "+1", "1.", ".5", "01", "0x1", "'1'",
    ];

    private static readonly string[] NoId =
    [
        "0", "-1", "1.5", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "\"1000\"", "\"\"", "true", "{}", "[1000]", "null",
        "01", "+1", "NaN",
    ];

    private static readonly string[] NoText =
    [
        "1", "true", "{}", "[]", "[\"text\"]", "\"a\\u0000b\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\x\"", "\"a\nb\"", "'a'",
    ];

    private static readonly string[] NoFlag = ["1", "0", "\"true\"", "\"\"", "{}", "[]", "[true]", "True"];

    private static readonly Dictionary<string, string[]> BadValues = new()
    {
        ["type"] = ["\"loan\"", "\"reversal\"", "\"Deposit\"", "\"deposit \"", "\"\"", "1", "true", "null", "{}", "[]", "\"\\ud800\""],
        ["mode"] = ["\"both\"", "\"ATOMIC\"", "\"atomic \"", "\"\"", "1", "true", "null", "{}", "[]", "[\"atomic\"]", "\"\\ud800\""],
        ["postings"] = ["null", "1", "true", "\"text\"", "{}", Deposit, "[]", Many(1_001)],
        ["dry_run"] = NoFlag,
        ["final"] = NoFlag,
        ["expires_at"] =
        [
            "1", "1764066245", "true", "{}", "[]", "\"\"", "\"tomorrow\"", "\"2026-11-26\"", "\"2026-11-26T03:04Z\"", "\"2026-11-26T03:04:05\"", "\"2026-11-26 03:04:05Z\"",
            "\"2026-11-26T03:04:05.1234567890Z\"", "\"2026-11-26T03:04:05.Z\"", "\"2026-13-01T03:04:05Z\"", "\"2026-11-31T03:04:05Z\"", "\"2026-11-26T24:00:00Z\"",
            "\"2026-11-26T03:04:60Z\"", "\"2026-11-26T03:04:05+25:00\"", "\" 2026-11-26T03:04:05Z\"", "\"2026-11-26T03:04:05Z\\u0000\"", "\"\\ud800\"",
            "\"2020-01-02T03:04:05Z\"", "\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00+14:00\"", "\"9999-12-31T23:59:59.999999Z\"", "\"9999-12-31T23:59:59-14:00\"",
        ],
        ["owner_name"] = [.. NoText, "null", "\"\"", "\" \"", "\" \\t\\r\\n\"", "\"\\u3000\"", Text(201, "x"), Text(201, "ü"), Text(201, "🦊")],
        ["currency"] = ["\"usd\"", "\"XXX\"", "\"XAU\"", "\"ZZZ\"", "\"US\"", "\"USD \"", "\"\"", "840", "true", "{}", "[]", "\"\\ud800\"", "\"US\\u0000\""],
        ["initial_deposit"] = NoMoney,
        ["overdraft_limit"] = NoMoney,
        ["account_id"] = NoId,
        ["from_account_id"] = NoId,
        ["to_account_id"] = NoId,
        ["transaction_id"] = NoId,
        ["hold_id"] = NoId,
        ["amount"] = [.. NoMoney, "0", "0.00", "\"0\"", "\"0.0000\"", "null"],
        ["reason"] = [.. NoText, "null", "\"\"", Text(501, "x"), Text(501, "🦊")],
        ["blocks"] = ["\"ALL\"", "\"all \"", "\"credits\"", "\"\"", "1", "true", "{}", "[]", "[\"all\"]", "\"\\ud800\""],
        ["reference"] = [.. NoText, Text(141, "x"), Text(141, "🦊")],
        ["metadata"] =
        [
            "\"text\"", "1", "true", "[]", "[{\"k\":\"v\"}]", "{\"\":\"v\"}", "{\"\\u0000\":\"v\"}", "{\"k\":\"\\u0000\"}",
            $"{{{Text(65, "k")}:\"v\"}}", $"{{\"k\":{Text(501, "v")}}}",
            $"{{{string.Join(',', Enumerable.Range(0, 21).Select(i => $"\"{i}\":\"v\""))}}}",
            $"{{{string.Join(',', Enumerable.Range(0, 60_000).Select(i => $"\"{i}\":\"v\""))}}}",
            $"{{{string.Join(',', Enumerable.Range(10, 17).Select(i => $"\"{i}\":{Text(480, "v")}"))}}}", // 8194 bytes
            $"{{{string.Join(',', Enumerable.Range(10, 5).Select(i => $"\"{i}\":{Text(450, "🦊")}"))}}}",
            $"{{{Text(1_000_000, "k")}:\"v\"}}",
        ],
    };

    public static IEnumerable<InvalidRequest> All() =>
        Calls.Keys.SelectMany(call => InValues(call).Concat(InMembers(call)).Concat(InBodies(call)).Concat(InKeys(call)))
            .Concat(InPostings()).Concat(InNotes()).Concat(InSeveralPlaces()).Concat(InQueries()).Concat(InPaths());

    public static IEnumerable<string> PostingCalls => Calls.Keys;

    /// <summary>A valid body of the call, except for one member that is set to another JSON text, added or left out.</summary>
    public static string Body(string call, string? member = null, string? value = null)
    {
        var members = new Dictionary<string, string>(Calls[call]);
        if (value is not null)
        {
            members[member!] = value;
        }
        else if (member is not null)
        {
            members.Remove(member);
        }

        return $"{{{string.Join(',', members.Select(pair => $"\"{pair.Key}\":{pair.Value}"))}}}";
    }

    private static IEnumerable<InvalidRequest> InValues(string call) =>
        from member in Calls[call].Keys
        from value in BadValues[member]
        where value != "null" || IsRequired(call, member)
        select InvalidRequest.In($"{call} with {member} {Shortened(value)}", Post(call, Body(call, member, value)), member);

    private static IEnumerable<string> RequiredOf(string call) => Calls[call].Keys.Where(member => IsRequired(call, member));

    private static bool IsRequired(string call, string member) => Required.Contains(member) && !Optional.GetValueOrDefault(call, []).Contains(member);

    private static IEnumerable<InvalidRequest> InMembers(string call)
    {
        foreach (var (member, value) in Calls[call])
        {
            var (upper, capital) = (member.ToUpperInvariant(), char.ToUpperInvariant(member[0]) + member[1..]);
            yield return InvalidRequest.In($"{call} with {member} twice", Post(call, $"{Body(call)[..^1]},\"{member}\":{value}}}"), member);
            yield return InvalidRequest.In($"{call} with {upper} too", Post(call, Body(call, upper, value)), upper);
            yield return InvalidRequest.In($"{call} with {capital} for {member}", Post(call, Body(call).Replace($"\"{member}\":", $"\"{capital}\":", StringComparison.Ordinal)),
                IsRequired(call, member) ? [capital, member] : [capital]);
        }

        foreach (var member in RequiredOf(call))
        {
            yield return InvalidRequest.In($"{call} without {member}", Post(call, Body(call, member)), member);
        }

        yield return InvalidRequest.In($"{call} with nothing in it", Post(call, "{}"), [.. RequiredOf(call), .. EitherOf.GetValueOrDefault(call, [])]);
        yield return InvalidRequest.In($"{call} with an unknown member", Post(call, Body(call, "amuont", "1")), "amuont");
        yield return InvalidRequest.In($"{call} with a trailing comma", Post(call, $"{Body(call)[..^1]},}}"), "body");
        yield return InvalidRequest.In($"{call} with half a character for a name", Post(call, Body(call, "\\ud800", "1")), "body");
        yield return InvalidRequest.In($"{call} with an unknown query parameter", Post($"{call}?dry_run=true", Body(call)), "dry_run");
        yield return InvalidRequest.In($"{call} with members in the query", Post($"{call}?amount=1&account_id=1000", Body(call)), "amount", "account_id");
    }

    private static IEnumerable<InvalidRequest> InBodies(string call)
    {
        var good = Body(call);
        string[] bodies =
        [
            "", " ", "null", "[]", $"[{good}]", "1", "\"text\"", "true", "{", "{]", "text", "<xml/>", "{'a':1}", good[..^1], good + good,
            good + ",", "/* */" + good, new('[', 10_000),
        ];
        foreach (var body in bodies)
        {
            yield return InvalidRequest.In($"{call} with the body {Shortened(body)}", Post(call, body), "body");
        }

        var (text, place) = call switch
        {
            "create_account" => ("Someone", "owner_name"),
            "batch" => ("atomic", "mode"),
            "capture_hold" => ("\"1\"", "amount"),
            _ => ("\"r\"", Calls[call].Keys.Single(member => member is "reference" or "reason")),
        };
        byte[] notUtf8 = [.. Encoding.Latin1.GetBytes(good.Replace(text, text.Insert(1, "ü"), StringComparison.Ordinal))];
        yield return InvalidRequest.In($"{call} in Latin-1", Post(call, notUtf8), place);
        yield return InvalidRequest.In($"{call} in UTF-16", Post(call, Encoding.Unicode.GetBytes(good)), "body");

        string?[] types = ["text/plain", "text/json5", "application/xml", "application/x-www-form-urlencoded", "application/jsonlines", "application/json; charset=bogus", null];
        foreach (var type in types)
        {
            yield return new($"{call} as {type ?? "nothing"}", Post(call, Encoding.UTF8.GetBytes(good), type), 415, "unsupported_media_type");
        }

        // The Content-Length alone is enough. A client that keeps sending a refused body may lose the answer.
        yield return new($"{call} of over 1 MiB", bank => SendRawAsync(bank, call, "Accept: */*", length: (1024 * 1024) + 1), 413, "payload_too_large");
    }

    private static IEnumerable<InvalidRequest> InKeys(string call)
    {
        string[] keys = ["", "a b", "a\tb", "a, b", "\u007f", new('k', 256)];
        foreach (var key in keys)
        {
            yield return InvalidRequest.In($"{call} with the key '{Shortened(key)}'", Post(call, Encoding.UTF8.GetBytes(Body(call)), key: key), Idempotency);
        }

        yield return InvalidRequest.In($"{call} with a key in German", bank => SendRawAsync(bank, call, $"{Idempotency}: schlüssel"), Idempotency);
        yield return InvalidRequest.In($"{call} with two keys", bank => SendRawAsync(bank, call, $"{Idempotency}: one\r\n{Idempotency}: two"), Idempotency);
        yield return InvalidRequest.In($"{call} with one key twice", bank => SendRawAsync(bank, call, $"{Idempotency}: one\r\nidempotency-key: one"), Idempotency);
    }

    /// <summary>Mistakes in the second posting of a batch. Text that is no JSON is a mistake of the whole list.</summary>
    private static IEnumerable<InvalidRequest> InPostings()
    {
        foreach (var (type, members) in Postings)
        {
            var good = new Dictionary<string, string>(members) { ["type"] = $"\"{type}\"" };
            foreach (var member in good.Keys)
            {
                foreach (var value in BadValues[member].Where(value => value != "null" || Required.Contains(member)))
                {
                    yield return InSecond($"a {type} with {member} {Shortened(value)}", new(good) { [member] = value }, IsJson(value) ? [$"postings[1].{member}"] : ["postings"]);
                }

                yield return InSecond($"a {type} with {member.ToUpperInvariant()} too", new(good) { [member.ToUpperInvariant()] = good[member] }, $"postings[1].{member.ToUpperInvariant()}");
                if (Required.Contains(member))
                {
                    yield return InSecond($"a {type} without {member}", new(good.Where(pair => pair.Key != member)), $"postings[1].{member}");
                }
            }

            foreach (var member in Postings.Values.SelectMany(other => other.Keys).Distinct().Except(members.Keys))
            {
                yield return InSecond($"a {type} with {member}", new(good) { [member] = "1000" }, $"postings[1].{member}");
            }
        }

        foreach (var value in new[] { "null", "1", "true", "\"text\"", "[]", $"[{Deposit}]" })
        {
            yield return InvalidRequest.In($"batch with the posting {Shortened(value)}", Post("batch", Body("batch", "postings", $"[{Deposit},{value}]")), "postings[1]");
        }

        yield return InSecond("nothing", [], "postings[1].type", "postings[1].amount");
        yield return InSecond("a member twice", new(Cash) { ["type"] = "\"deposit\",\"type\":\"deposit\"" }, "postings[1].type");
        yield return InSecond("wrong metadata", new(Cash) { ["type"] = "\"deposit\"", ["metadata"] = """{"n":1,"k":"v","m":null}""" }, "postings[1].metadata.n", "postings[1].metadata.m");
        yield return InSecond(
            "the members of a deposit in a transfer", new() { ["type"] = "\"transfer\"", ["account_id"] = "1000", ["amount"] = "\"1\"" },
            "postings[1].account_id", "postings[1].from_account_id", "postings[1].to_account_id");
        yield return InvalidRequest.In("batch with a trailing comma in a posting", Post("batch", Body("batch", "postings", $"[{Deposit[..^1]},}}]")), "postings");
        yield return InvalidRequest.In("batch that breaks off in a posting", Post("batch", $$"""{"mode":"both","postings":[{{Deposit}},{"type":"""), "mode", "postings");
        yield return InvalidRequest.In(
            "batch with mistakes everywhere",
            Post("batch?dry_run=true", Encoding.UTF8.GetBytes($$"""{"mode":"both","postings":[{{Deposit}},{"type":"loan","amount":"0"},1,{"type":"transfer","toAccountId":1}],"dry_run":1,"x":1}"""), key: "a b"),
            "dry_run", Idempotency, "mode", "postings[1].type", "postings[1].amount", "postings[2]", "postings[3].toAccountId",
            "postings[3].from_account_id", "postings[3].to_account_id", "postings[3].amount", "x");

        static InvalidRequest InSecond(string name, Dictionary<string, string> members, params string[] fields) => InvalidRequest.In(
            $"batch with {name}",
            Post("batch", Body("batch", "postings", $"[{Deposit},{{{string.Join(',', members.Select(pair => $"\"{pair.Key}\":{pair.Value}"))}}}]")),
            fields);
    }

    private static IEnumerable<InvalidRequest> InNotes()
    {
        foreach (var value in new[] { "1", "null", "true", "{}", "[]", "{\"a\":{\"a\":[{}]}}", "\"\\ud800\"" })
        {
            yield return InvalidRequest.In($"deposit with {Shortened(value)} in its metadata", Post("deposit", Body("deposit", "metadata", $"{{\"k\":{value}}}")), "metadata.k");
        }

        yield return InvalidRequest.In("deposit with metadata that never ends", Post("deposit", Body("deposit", "metadata", string.Concat(Enumerable.Repeat("{\"a\":", 10_000)))), "metadata");
        yield return InvalidRequest.In("deposit with a metadata member twice", Post("deposit", Body("deposit", "metadata", """{"k":"v","k":"v"}""")), "metadata.k");
        yield return InvalidRequest.In("deposit with a metadata member twice, once escaped", Post("deposit", Body("deposit", "metadata", """{"k":"v","l":"v","\u006b":"w"}""")), "metadata.k");
        yield return InvalidRequest.In("deposit with metadata that is cut off", Post("deposit", """{"account_id":1000,"amount":"1","metadata":{"k":"v","l" """), "metadata");
        yield return InvalidRequest.In("deposit with half a character for a metadata name", Post("deposit", Body("deposit", "metadata", """{"\ud800":"v"}""")), "metadata");
        yield return InvalidRequest.In("deposit with a comma in a number", Post("deposit", Body("deposit", "amount", "1,5")), "body");
        yield return InvalidRequest.In("deposit with an unknown member of two words", Post("deposit", Body("deposit", "a b", "1")), "a b");
        yield return InvalidRequest.In("deposit with two mistakes", Post("deposit", """{"account_id":0,"amount":"0"}"""), "account_id", "amount");
    }

    private static IEnumerable<InvalidRequest> InSeveralPlaces()
    {
        const string Strange = """{"accountId":1000,"amount":"-1","metadata":{"n":1,"k":"v","m":null},"x":{"y":[1]}}""";
        yield return InvalidRequest.In(
            "deposit with mistakes everywhere", Post("deposit?dry_run=true", Encoding.UTF8.GetBytes(Strange), key: "a b"),
            "dry_run", Idempotency, "accountId", "account_id", "amount", "metadata.n", "metadata.m", "x");
        yield return InvalidRequest.In(
            "create_account with nothing right",
            Post("create_account", """{"ownerName":"x","currency":"usd","initial_deposit":"1e2","overdraft_limit":true,"reference":5,"metadata":[]}"""),
            "ownerName", "owner_name", "currency", "initial_deposit", "overdraft_limit", "reference", "metadata");
        yield return InvalidRequest.In(
            "transaction with mistakes of form, value and number",
            Post("transaction", $$"""{"from_account_id":"1000","to_account_id":0,"amount":"1","reference":{{Text(141, "x")}},"amount":"1"}"""),
            "from_account_id", "to_account_id", "amount", "reference");
        yield return InvalidRequest.In(
            "deposit with mistakes before it breaks off", Post("deposit", """{"account_id":0,"amount":"1,5","refrence":"r","metadata":"""),
            "account_id", "amount", "refrence", "metadata");
        yield return InvalidRequest.In(
            "deposit with a bad key, without a body", Post("deposit?x=1", [], key: "a b"), "x", Idempotency, "body");
        yield return InvalidRequest.In(
            "freeze_account with a bad key and an unknown member", Post("freeze_account", Encoding.UTF8.GetBytes("""{"account_id":1000,"why":"r"}"""), key: ""),
            Idempotency, "why", "reason");
        yield return InvalidRequest.In("change_account with nothing to change", Post("change_account", """{"account_id":1000}"""), "owner_name", "overdraft_limit");
        yield return InvalidRequest.In(
            "change_account with null for both", Post("change_account", """{"account_id":1000,"owner_name":null,"overdraft_limit":null}"""), "owner_name", "overdraft_limit");
        yield return InvalidRequest.In(
            "change_account with nothing to change, of no account", Post("change_account", """{"account_id":"x","blocks":"all"}"""),
            "account_id", "blocks", "owner_name", "overdraft_limit");
        yield return InvalidRequest.In("deposit with a byte order mark", Post("deposit", "\ufeff{\"account_id\":0,\"amuont\":1}"), "account_id", "amuont", "amount");
        yield return InvalidRequest.In("change_account with one bad change", Post("change_account", """{"account_id":0,"overdraft_limit":"-1"}"""), "account_id", "overdraft_limit");
    }

    private static IEnumerable<InvalidRequest> InQueries()
    {
        string[] ids = ["", "=", "=0", "=-1", "=%2B1", "=%201", "=1.5", "=1e3", "=0x1", "=x", "=1,2", "=9223372036854775808", "=%D9%A1", "=%00", "=1&account_id=1"];
        foreach (var (call, member) in new[] { ("get_one_account", "account_id"), ("transaction_history", "account_id"), ("account_events", "account_id"), ("get_one_transaction", "transaction_id"), ("get_one_hold", "hold_id"), ("list_holds", "account_id") })
        {
            yield return Get(call, member);
            yield return Get($"{call}?{member}=1000&expand=all", "expand");
            yield return Get($"{call}?{member.ToUpperInvariant()}=1000", member.ToUpperInvariant());
            foreach (var id in ids)
            {
                yield return Get($"{call}?{member}{id.Replace("account_id", member, StringComparison.Ordinal)}", member);
            }
        }

        foreach (var key in new[] { "", "=", "=%20", "=a%20b", "=a%09b", "=a%0A", "=%00", "=%7F", "=schl%C3%BCssel", $"={new string('k', 256)}", "=a&idempotency_key=a" })
        {
            yield return Get($"get_one_request?idempotency_key{key}", "idempotency_key");
        }

        yield return Get("get_one_request", "idempotency_key");
        yield return Get("get_one_request?IDEMPOTENCY_KEY=a", "IDEMPOTENCY_KEY");
        yield return Get("get_one_request?idempotency_key=a&expand=all", "expand");
        yield return Get("get_one_request?key=a&account_id=1000", "key", "account_id", "idempotency_key");

        string[] limits = ["", "=", "=0", "=501", "=-1", "=x", "=1.5", "=+1", "=99999999999", "=1&limit=1"];
        string[] cursors =
        [
            "=0", "=-1", "=x", "=1.5", "=1", "=1-", "=-5f3c9a01", "=0-5f3c9a01", "=1-5F3C9A01", "=1-5f3c9a0", "=1-5f3c9a01-", "=%201-5f3c9a01",
            "=9223372036854775808-5f3c9a01", "=1-5f3c9a01", "=1-5f3c9a01&cursor=1-5f3c9a01",
        ];
        foreach (var pages in new[] { "transaction_history?account_id=1000&", "account_events?account_id=1000&", "list_holds?account_id=1000&", "list_accounts?" })
        {
            foreach (var limit in limits)
            {
                yield return Get($"{pages}limit{limit}", "limit");
            }

            foreach (var cursor in cursors)
            {
                yield return Get($"{pages}cursor{cursor}", "cursor");
            }
        }

        (string Name, string[] Values)[] filters =
        [
            ("currency", ["", "=", "=usd", "=US", "=USDT", "=%20USD", "=840", "=USD%0A", "=USD,EUR", "=USD&currency=USD"]),
            ("status", ["", "=", "=Active", "=open", "=active%20", "=active,frozen", "=active&status=frozen"]),
            ("reference", ["", "=", "=a%00b", $"={new string('x', 141)}", "=a&reference=a"]),
        ];
        foreach (var (filter, values) in filters)
        {
            foreach (var value in values)
            {
                yield return Get($"list_accounts?{filter}{value}", filter);
            }
        }

        foreach (var status in new[] { "", "=", "=Pending", "=active", "=pending%20", "=pending,expired", "=pending&status=expired" })
        {
            yield return Get($"list_holds?account_id=1000&status{status}", "status");
        }

        string[] instants =
        [
            "", "=", "=now", "=2026-01-01", "=2026-01-01T00:00:00", "=2026-01-01 00:00:00Z", "=2026-01-01T00:00Z", "=2026-02-30T00:00:00Z", "=2026-01-01T24:00:00Z",
            "=2026-01-01T00:00:00+01:00", "=2026-01-01T00:00:00.1234567890Z", "=1767225600",
        ]; // a + in a query is a space
        foreach (var (call, member) in new[] { ("transaction_history?account_id=1000&", "from"), ("transaction_history?account_id=1000&", "to"), ("balance_at?account_id=1000&", "at") })
        {
            foreach (var instant in instants)
            {
                yield return Get($"{call}{member}{instant}", member);
            }

            yield return Get($"{call}{member}=2001-01-01T00:00:00Z&{member}=2001-01-01T00:00:00Z", member);
        }

        yield return Get("transaction_history?account_id=1000&from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "to");
        yield return Get("transaction_history?account_id=1000&from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00%2B01:00", "to");
        foreach (var type in new[] { "", "=", "=Transfer", "=hold_placed", "=transfer,deposit", "=transfer&type=transfer" })
        {
            yield return Get($"transaction_history?account_id=1000&type{type}", "type");
        }

        foreach (var direction in new[] { "", "=", "=Debit", "=in", "=debit,credit", "=debit&direction=debit" })
        {
            yield return Get($"transaction_history?account_id=1000&direction{direction}", "direction");
        }

        yield return Get("transaction_history?account_id=x&from=x&to=x&type=x&direction=x&cursor=x&limit=x", "account_id", "from", "to", "type", "direction", "cursor", "limit");
        yield return Get("balance_at?account_id=1000&at=2999-01-01T00:00:00Z", "at");
        yield return Get("balance_at?account_id=1000&at=2001-01-01T00:00:00Z", "at");
        yield return Get("balance_at", "account_id", "at");
        yield return Get("balance_at?account_id=0&date=2001-01-01", "account_id", "date", "at");
        yield return Get("list_accounts?account_id=1000", "account_id");
        yield return Get("list_accounts?limit=0&cursor=0&status=x&currency=x", "limit", "cursor", "status", "currency");
        yield return Get("account_events?limit=x&type=opened", "account_id", "limit", "type");

        string[] eventIds = ["", "=", "=0", "=1", "=-", "=1-", "=-1", "=1-1-1", "=01-1", "=%2B1-1", "=1-%201", "=1.0-1", "=x-1", "=-1--1", "=1-9223372036854775808", "=99-0", "=0-99", "=0-0&after=0-0"];
        foreach (var id in eventIds)
        {
            yield return Get($"events?after{id}", "after");
        }

        foreach (var id in eventIds.Where(id => id is not ("" or "=0-0&after=0-0")).Select(id => Uri.UnescapeDataString(id[1..])))
        {
            yield return InvalidRequest.In($"events with Last-Event-ID '{id}'", bank => bank.SendAsync(FromLastEvent("events", id)), "Last-Event-ID");
        }

        foreach (var wait in new[] { "", "=", "=-1", "=31", "=x", "=1.5", "=99999999999", "=1&wait=1" })
        {
            yield return Get($"events?wait{wait}", "wait");
        }

        foreach (var limit in limits)
        {
            yield return Get($"events?limit{limit}", "limit");
        }

        yield return Get("events?cursor=1&AFTER=0-0", "cursor", "AFTER");
        yield return InvalidRequest.In(
            "events with nothing right", bank => bank.SendAsync(FromLastEvent("events?after=x&limit=0&wait=31&page=1", "y")), "after", "limit", "wait", "page", "Last-Event-ID");

        foreach (var request in InStatements())
        {
            yield return request;
        }

        yield return Get("transaction_history?account_id=0&limit=0&cursor=0", "account_id", "limit", "cursor");
        yield return Get("transaction_history?limit=x&page=2", "account_id", "limit", "page");
        yield return Get("transaction_history?limit=x&page=2&cursor=x&account_id=0", "account_id", "limit", "page", "cursor");
        yield return Get("get_one_account?ACCOUNT_ID=x", "ACCOUNT_ID");
    }

    private static IEnumerable<InvalidRequest> InStatements()
    {
        const string From = "from=2026-01-01T00:00:00Z", To = "to=2026-02-01T00:00:00Z";
        string[] instants =
        [
            "", "=", "=2026-01-15", "=2026-01-15T00:00:00", "=2026-01-15T00:00Z", "=2026-01-15%2000:00:00Z", "=2026-13-01T00:00:00Z", "=1768435200", "=now",
            "=2026-01-15T00:00:00.1234567890Z", "=2026-01-15T00:00:00+01:00" /* + is a space */, "=2026-01-15T00:00:00Z%00", "=2026-01-15T00:00:00Z&to=2026-01-15T00:00:00Z",
        ];
        foreach (var instant in instants)
        {
            yield return Get($"statement?account_id=1000&{From}&to{instant}", "to");
            yield return Get($"statement?account_id=1000&{To}&from{instant.Replace("&to", "&from", StringComparison.Ordinal)}", "from");
        }

        foreach (var format in new[] { "", "=", "=JSON", "=xml", "=pdf", "=camt.052", "=csv%20", "=json,csv", "=csv&format=csv" })
        {
            yield return Get($"statement?account_id=1000&{From}&{To}&format{format}", "format");
        }

        foreach (var id in new[] { "", "=", "=0", "=-1", "=x", "=9223372036854775808" })
        {
            yield return Get($"statement?account_id{id}&{From}&{To}", "account_id");
        }

        foreach (var to in new[] { "2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999999Z", "2026-01-01T00:30:00%2B01:00", "2027-01-02T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z" })
        {
            yield return Get($"statement?account_id=1000&{From}&to={to}", "to");
        }

        yield return Get($"statement?account_id=1000&from={DateTime.UtcNow:yyyy-MM-dd'T'HH:mm:ss'Z'}&to={DateTime.UtcNow.AddDays(1):yyyy-MM-dd'T'HH:mm:ss'Z'}", "to");
        yield return Get($"statement?account_id={long.MaxValue}&{To}&from=2026-02-01T00:00:00Z", "to");
        yield return Get("statement", "account_id", "from", "to");
        yield return Get("statement?account_id=x&from=x&to=x&format=x&limit=10", "account_id", "from", "to", "format", "limit");
        yield return Get($"statement?account_id=1000&{From}&{To}&cursor=1&FORMAT=csv", "cursor", "FORMAT");
    }

    private static IEnumerable<InvalidRequest> InPaths()
    {
        foreach (var path in new[] { "/api/nothing", "/api/", "/nothing", "/api/deposit/1" })
        {
            yield return new($"GET {path}", bank => bank.GetAsync(path), 404, "not_found");
            yield return new($"POST {path}", bank => bank.PostAsync(path, "{}"), 404, "not_found");
        }

        (string Method, string Path)[] methods =
        [
            ("GET", "create_account"), ("GET", "deposit"), ("PUT", "withdraw"), ("PATCH", "transaction"), ("DELETE", "get_one_account?account_id=1000"),
            ("POST", "transaction_history"), ("GET", "change_account"), ("PUT", "freeze_account"), ("POST", "list_accounts"), ("POST", "account_events"), ("POST", "get_one_request"), ("OPTIONS", "deposit"),
            ("GET", "reverse_transaction"), ("PUT", "batch"), ("GET", "place_hold"), ("DELETE", "capture_hold"), ("PATCH", "release_hold"), ("POST", "get_one_hold"), ("POST", "list_holds"), ("POST", "events"), ("POST", "statement"),
        ];
        foreach (var (method, path) in methods)
        {
            yield return new($"{method} {path}", bank => bank.SendAsync(new(new(method), $"/api/{path}")), 405, "method_not_allowed");
        }
    }

    private static InvalidRequest Get(string pathAndQuery, params string[] fields) =>
        InvalidRequest.In(pathAndQuery, bank => bank.GetAsync($"/api/{pathAndQuery}"), fields);

    private static HttpRequestMessage FromLastEvent(string pathAndQuery, string id)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"/api/{pathAndQuery}");
        request.Headers.TryAddWithoutValidation("Last-Event-ID", id);
        return request;
    }

    private static Func<BankingApp, Task<Reply>> Post(string call, string body) => Post(call, Encoding.UTF8.GetBytes(body));

    private static Func<BankingApp, Task<Reply>> Post(string call, byte[] body, string? type = Json, string? key = null) => bank =>
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"/api/{call}") { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = type is null ? null : MediaTypeHeaderValue.Parse(type);
        if (key is not null)
        {
            request.Headers.TryAddWithoutValidation(Idempotency, key);
        }

        return bank.SendAsync(request);
    };

    /// <summary>Sends requests that .NET's HttpClient refuses to send.</summary>
    private static async Task<Reply> SendRawAsync(BankingApp bank, string call, string header, int? length = null)
    {
        var body = Body(call);
        using var client = await RawClient.ConnectAsync(bank);
        await client.SendAsync($"POST /api/{call} HTTP/1.0\r\nContent-Type: {Json}\r\nContent-Length: {length ?? body.Length}\r\n{header}\r\n\r\n{body}");
        return await client.ReplyAsync();
    }

    private static string Text(int length, string character) => $"\"{string.Concat(Enumerable.Repeat(character, length))}\"";

    private static string Many(int postings) => $"[{string.Join(',', Enumerable.Repeat(Deposit, postings))}]";

    private static bool IsJson(string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string Shortened(string text) => text.Length <= 40 ? text : $"{text[..20]}... ({text.Length})";
}
