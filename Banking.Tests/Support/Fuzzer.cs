using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Banking.Tests;

/// <summary>A call of the API's document.</summary>
internal sealed record Operation(string Method, string Path, JsonElement Description)
{
    public static List<Operation> In(JsonElement document) =>
    [
        .. from path in document.GetProperty("paths").EnumerateObject()
           from operation in path.Value.EnumerateObject()
           select new Operation(operation.Name.ToUpperInvariant(), path.Name, operation.Value),
    ];

    public IEnumerable<JsonElement> Parameters(string place) => Description.TryGetProperty("parameters", out var parameters)
        ? parameters.EnumerateArray().Where(parameter => parameter.GetProperty("in").GetString() == place)
        : [];

    public JsonElement? RequestSchema => Description.TryGetProperty("requestBody", out var body)
        ? body.GetProperty("content").GetProperty("application/json").GetProperty("schema")
        : null;
}

/// <summary>A request as it will be sent, and what was done to it. No operation: the document has no such path and method.</summary>
internal sealed class Shot(Operation operation)
{
    public Operation? Operation { get; set; } = operation;
    public string Method { get; set; } = operation.Method;
    public string Path { get; set; } = operation.Path;
    public List<string> Query { get; set; } = [];
    public List<(string Name, string Value)> Headers { get; } = [];
    public string? ContentType { get; set; } = "application/json";
    public byte[]? Body { get; set; }

    /// <summary>What breaks the request for certain; null where it may well be carried out.</summary>
    public string? Mistake { get; set; }

    public HttpRequestMessage ToMessage()
    {
        var message = new HttpRequestMessage(new(Method), new Uri(Query.Count == 0 ? Path : $"{Path}?{string.Join('&', Query)}", UriKind.Relative));
        if (Body is not null)
        {
            message.Content = new ByteArrayContent(Body);
            message.Content.Headers.TryAddWithoutValidation("Content-Type", ContentType);
            message.Headers.ExpectContinue = Body.Length > 1024 * 1024; // who goes on sending what was refused may lose the answer
        }

        foreach (var (name, value) in Headers)
        {
            if (!message.Headers.TryAddWithoutValidation(name, value))
            {
                message.Content?.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return message;
    }

    public override string ToString()
    {
        var body = Body is null ? "" : Encoding.Latin1.GetString(Body);
        return $"{Method} {Path}?{string.Join('&', Query)} [{string.Join(", ", Headers)}] as {ContentType}: {body[..Math.Min(body.Length, 600)]} ({Mistake ?? "meant well"})";
    }
}

/// <summary>Makes requests from the document: meant well, or broken in one random place. The same seed makes the same request.</summary>
internal sealed class Fuzzer(JsonSchema schemas, List<Operation> operations, long[] accounts, long[] managed, long[] holds, int seed)
{
    private static readonly string[] GoodMoney = ["\"1\"", "2.50", "\"0.01\"", "3", "\"1000\"", "0", "\"0.0001\"", "12.345", "999999999999999.9999"];

    private static readonly string[] BadMoney =
        ["-1", "1e3", "0.00001", "1234567890123456", "\"\"", "\" 1\"", "\"1\\n\"", "\"NaN\"", "\"+1\"", "\"01\"", "\".5\"", "\"5.\"", "\"1,5\"", "\"١\"", "\"0x1\""];

    private static readonly string[] BadTypes =
    [
        "text/plain", "text/json", "application/xml", "application/problem+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "application/json; charset=utf-16", "application/json; charset=\"latin1\"", "application/jsonl", "*/*", "json", "a/b/c", ";", "application/", "application/json/x",
    ];

    private static readonly string[] Methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "QUERY", "PURGE", "X-1"];

    private static readonly (string Name, string Value)[] Oddities =
    [
        ("Accept", "application/xml"), ("Accept", "image/png;q=0"), ("Accept-Charset", "utf-16"), ("Accept-Encoding", "br, gzip"), ("Accept-Language", "tlh"),
        ("Cookie", "a=b; c"), ("Range", "bytes=5-1"), ("If-None-Match", "*"), ("If-Modified-Since", "yesterday"), ("Origin", "null"), ("Authorization", "Bearer x"),
        ("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-Host", "evil"), ("Forwarded", "for=\"[::1\""), ("traceparent", "00-bad"), ("baggage", "a=b=c,,"),
        ("Content-Encoding", "gzip"), ("Content-Language", "x"), ("Content-Disposition", "form-data"), ("Priority", "u=9"), ("DNT", "2"),
    ];

    private readonly Random random = new(seed);

    private long[] asked = [];

    public Shot Next(bool broken)
    {
        var operation = One(operations);
        var shot = new Shot(operation);
        asked = operation.Path is "/api/freeze_account" or "/api/unfreeze_account" or "/api/close_account" ? managed : accounts;
        var members = operation.RequestSchema is { } schema ? Members(schemas.Resolve(schema)) : null;
        foreach (var parameter in operation.Parameters("query").Where(parameter => IsNeeded(parameter) || random.Next(2) == 0))
        {
            shot.Query.Add($"{NameOf(parameter)}={Parameter(NameOf(parameter), schemas.Resolve(parameter.GetProperty("schema")))}");
        }

        if (members is not null && random.Next(2) == 0)
        {
            shot.Headers.Add(("Idempotency-Key", $"key-{random.Next(200)}"));
        }

        for (var oddities = random.Next(4); oddities > 1; oddities--)
        {
            shot.Headers.Add(One(Oddities));
        }

        shot.Body = members is null ? null : Write(members);
        if (broken)
        {
            Break(shot, members);
        }
        else if (random.Next(6) == 0)
        {
            Shake(shot);
        }

        return shot;
    }

    private void Break(Shot shot, List<(string Name, string Value)>? members)
    {
        switch (random.Next(members is null ? 4 : 14))
        {
            case 0:
                shot.Method = One([.. Methods.Where(method => method != shot.Method && (method, shot.Method) != ("HEAD", "GET"))]);
                (shot.Operation, shot.Mistake) = (null, "another method");
                break;
            case 1:
                (shot.Operation, shot.Mistake) = (null, "another path");
                shot.Path = $"{One(["", "/api", "/api/v1", shot.Path])}/{Uri.EscapeDataString($"x{Text(random.Next(1, 30))}")}";
                break;
            case 2:
            case 3 when members is null && !shot.Operation!.Parameters("query").Any(IsNeeded):
                shot.Mistake = "an unknown parameter";
                shot.Query.Add($"{Uri.EscapeDataString($"x{Text(random.Next(20))}")}={Uri.EscapeDataString(Text(random.Next(200)))}");
                break;
            case 3 when members is null:
                BreakParameter(shot);
                break;
            case 3:
                shot.Mistake = "a bad key";
                shot.Headers.RemoveAll(header => header.Name == "Idempotency-Key");
                shot.Headers.Add(("Idempotency-Key", One(["", "a b", "a\tb", "a, b", "\u007f", new('k', 256), new('k', 5000)])));
                break;
            case 4:
                (shot.Mistake, shot.ContentType) = ("another content type", One(BadTypes));
                break;
            case 5:
                (shot.Mistake, shot.Body) = ("random bytes", Bytes(random.Next(300)));
                break;
            case 6:
                (shot.Mistake, shot.Body) = ("random JSON", Encoding.UTF8.GetBytes(Json(random.Next(12))));
                break;
            case 7:
                (shot.Mistake, shot.Body) = ("cut short", shot.Body![..random.Next(shot.Body!.Length)]);
                break;
            case 8 when random.Next(20) == 0:
                (shot.Mistake, shot.Body) = ("too large a body", [.. shot.Body!, .. Enumerable.Repeat((byte)' ', 1024 * 1024)]);
                break;
            default:
                shot.Mistake = BreakMember(members!, schemas.Resolve(shot.Operation!.RequestSchema!.Value));
                shot.Body = Write(members!);
                break;
        }
    }

    private string BreakMember(List<(string Name, string Value)> members, JsonElement schema)
    {
        var place = random.Next(members.Count);
        var (name, value) = members[place];
        var required = schema.GetProperty("required").EnumerateArray().Select(needed => needed.GetString()).ToArray();
        switch (random.Next(6))
        {
            case 0:
                members.Insert(random.Next(members.Count + 1), (name, value));
                return $"{name} twice";
            case 1:
                members.Insert(random.Next(members.Count + 1), ($"x{random.Next(100)}{Text(random.Next(10))}", Json(3)));
                return "an unknown member";
            case 2:
                members[place] = (name.ToUpperInvariant(), value);
                return "a member's name in capitals";
            case 3:
                var gone = One(required);
                members.RemoveAll(member => member.Name == gone);
                return $"no {gone}";
            default:
                members[place] = (name, One(BadValues(schemas.Resolve(schema.GetProperty("properties").GetProperty(name)), required.Contains(name))));
                return $"a bad {name}";
        }
    }

    private List<string> BadValues(JsonElement schema, bool isRequired)
    {
        var (types, isMoney) = (JsonSchema.TypesOf(schema), schema.TryGetProperty("pattern", out _));
        List<string> bad = ["[]", "[[]]", "tru", "'a'", "NaN", "Infinity", "\"a", "{\"a\":{\"a\":1}}"];
        bad.AddRange(isRequired ? ["null"] : []); // what may be left out may be null, too
        bad.AddRange(types.Contains("boolean") ? ["TRUE", "0"] : ["true"]);
        bad.AddRange(types.Contains("string") ? ["\"a\\u0000b\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\x\"", "\"a\nb\""] : ["\"1000\"", "\"\""]);
        bad.AddRange(types.Contains("object") ? ["{\"k\":1}", "{\"k\":null}", "{\"k\":\"v\",\"k\":\"v\"}", "{\"\":\"v\"}"] : ["{}"]);
        bad.AddRange(isMoney || types.Contains("integer") ? [] : ["1", "-1.5e300"]); // money may be a number, though it is described as a string
        bad.AddRange(isMoney ? BadMoney : []);
        bad.AddRange(schema.TryGetProperty("enum", out _) ? ["\"nothing\"", "\"ALL\"", "\"\"", "\"all \""] : []);
        if (types.Contains("integer"))
        {
            bad.AddRange(["1.5", "1e400", "9223372036854775808", "-9223372036854775809", new('9', 5000)]);
            bad.Add($"{schema.GetProperty("minimum").GetInt64() - 1 - random.Next(1000)}");
        }

        if (types.Contains("array"))
        {
            bad.AddRange(["[null]", "[7]", $"[{string.Join(',', Enumerable.Repeat("{}", schema.GetProperty("maxItems").GetInt32() + 1))}]"]);
            bad.AddRange(Enumerable.Range(0, 20).Select(_ => Postings(schemas.Resolve(schema.GetProperty("items")), broken: true)));
        }

        bad.AddRange(IsInstant(schema) ? ["\"\"", "\"soon\"", "\"2026-13-02T03:04:05Z\"", "\"2099-01-02\"", "\"2099-01-02T03:04:05\"", "\"2020-01-02T03:04:05Z\""] : []);
        if (schema.TryGetProperty("maxLength", out var most))
        {
            bad.Add(Quoted(Text(most.GetInt32() + 1)));
            bad.Add(Quoted(Text(random.Next(most.GetInt32() + 1, 20_000))));
        }

        bad.AddRange(schema.TryGetProperty("minLength", out var least) && least.GetInt32() > 0 ? ["\"\""] : []);
        if (schema.TryGetProperty("maxProperties", out var members))
        {
            bad.Add(Notes(members.GetInt32() + 1 + random.Next(500)));
        }

        return bad;
    }

    private void BreakParameter(Shot shot)
    {
        var needed = shot.Operation!.Parameters("query").First(IsNeeded);
        var (name, schema) = (NameOf(needed), needed.GetProperty("schema"));
        shot.Mistake = $"a bad {name}";
        shot.Query.RemoveAll(pair => pair.StartsWith($"{name}=", StringComparison.Ordinal));
        shot.Query.AddRange(random.Next(3) switch
        {
            0 => [],
            1 => [$"{name}=1000", $"{name}=1000"],
            _ when name == "idempotency_key" => [One([name, $"{name}=", $"{name}=%00", $"{name}=%zz%20", $"{name}=a%20{Uri.EscapeDataString(Text(20))}", $"{name}={new string('9', 256)}"])],
            _ =>
            [
                One(
                [
                    name, $"{name}=", $"{name}=0", $"{name}={schema.GetProperty("minimum").GetInt64() - 1}", $"{name}=9223372036854775808", $"{name}=%00", $"{name}=%zz",
                    $"{name}=1.5", $"{name}=%D9%A1", $"{name}=%C3%28", $"{name}=0x1", $"{name}={new string('9', 2000)}", $"{name}=x{Uri.EscapeDataString(Text(50))}",
                ]),
            ],
        });
    }

    /// <summary>Changes what may or may not break the request.</summary>
    private void Shake(Shot shot)
    {
        switch (random.Next(3))
        {
            case 0 when shot.Body is { Length: > 0 } body:
                body[random.Next(body.Length)] = (byte)random.Next(256);
                break;
            case 1:
                shot.Query = [string.Concat(Enumerable.Range(0, random.Next(60)).Select(_ => One(["&", "=", "?", "+", ";", "%20", "%2", "account_id", "1000", "limit", "[]", "a"])))];
                break;
            default:
                shot.Headers.Add(($"X-{random.Next(1000)}", Text(random.Next(300), ascii: true)));
                break;
        }
    }

    private List<(string Name, string Value)> Members(JsonElement schema)
    {
        var required = schema.GetProperty("required").EnumerateArray().Select(name => name.GetString()).ToList();
        return
        [
            .. schema.GetProperty("properties").EnumerateObject()
                .Where(member => required.Contains(member.Name) || random.Next(2) == 0)
                .Select(member => (member.Name, Value(member.Name, schemas.Resolve(member.Value), required.Contains(member.Name))))
                .OrderBy(_ => random.Next()),
        ];
    }

    private string Value(string name, JsonElement schema, bool isRequired)
    {
        var types = JsonSchema.TypesOf(schema);
        return !isRequired && random.Next(20) == 0 ? "null"
            : types.Contains("integer") ? Id(name)
            : types.Contains("boolean") ? One(["true", "false"])
            : types.Contains("array") ? Postings(schemas.Resolve(schema.GetProperty("items")), broken: false)
            : IsInstant(schema) ? Quoted($"{DateTime.UtcNow.Date.AddDays(random.Next(2, 400)):yyyy-MM-dd}T03:04:05.5Z")
            : name == "currency" ? One(["\"USD\"", "\"USD\"", "\"JPY\"", "\"KWD\"", "\"CLF\""])
            : schema.TryGetProperty("pattern", out _) ? One(GoodMoney)
            : types.Contains("object") ? Notes(random.Next(schema.GetProperty("maxProperties").GetInt32() + 1))
            : schema.TryGetProperty("enum", out var words) ? Quoted(One(WordsOf(words)))
            : Quoted(Text(random.Next(schema.GetProperty("minLength").GetInt32(), schema.GetProperty("maxLength").GetInt32() + 1)));
    }

    private string Parameter(string name, JsonElement schema) => name switch
    {
        "currency" => One(["USD", "JPY", "KWD"]),
        "idempotency_key" => $"key-{random.Next(200)}",
        "reference" => Uri.EscapeDataString(Text(random.Next(1, 100))),
        _ when schema.TryGetProperty("enum", out var words) => One(WordsOf(words)),
        _ when IsInstant(schema) => $"{DateTime.UtcNow.AddSeconds(name == "from" ? -random.Next(10, 40_000_000) : -random.Next(3)):yyyy-MM-dd'T'HH:mm:ss.ffffff}Z",
        _ when name.EndsWith("_id", StringComparison.Ordinal) => Id(name),
        _ when schema.TryGetProperty("maximum", out var most) => $"{random.NextInt64(schema.GetProperty("minimum").GetInt64(), most.GetInt64() + 1)}",
        _ => random.Next(4) == 0 ? Uri.EscapeDataString(Text(random.Next(30))) : $"{random.Next(1, 1000)}",
    };

    private string Id(string name) => random.Next(10) switch
    {
        0 => "840",
        1 => $"{random.NextInt64(1, long.MaxValue)}",
        _ when name == "transaction_id" => $"{random.Next(1, 100)}",
        _ => One(name == "hold_id" ? holds : asked).ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>Some postings of a batch, one of them broken or none. Only the document's words say which members go with which type.</summary>
    private string Postings(JsonElement schema, bool broken)
    {
        var count = random.Next(1, 5);
        var wrong = broken ? random.Next(count) : -1;
        return $"[{string.Join(',', Enumerable.Range(0, count).Select(i =>
        {
            var members = Members(schema);
            members.RemoveAll(member => member.Name.EndsWith("account_id", StringComparison.Ordinal));
            string[] named = members.Contains(("type", "\"transfer\"")) ? ["from_account_id", "to_account_id"] : ["account_id"];
            members.AddRange(named.Select(name => (name, Id(name))));
            if (i == wrong)
            {
                BreakMember(members, schema);
            }

            return Encoding.UTF8.GetString(Write(members));
        }))}]";
    }

    private string Notes(int count) =>
        $"{{{string.Join(',', Enumerable.Range(0, count).Select(i => $"{Quoted($"{i}{Text(random.Next(40))}")}:{Quoted(Text(random.Next(80)))}"))}}}";

    /// <summary>Any JSON, but no request: its objects' members are nobody's.</summary>
    private string Json(int depth) => random.Next(depth <= 0 ? 4 : 6) switch
    {
        0 => One(["null", "true", "false"]),
        1 => One(["0", "-0", "1e400", "-1.5", new('1', 400), "0.1e-999"]),
        2 or 3 => Quoted(Text(random.Next(30))),
        4 => $"[{string.Join(',', Enumerable.Range(0, random.Next(1, 3)).Select(_ => Json(depth - 1)))}]",
        _ => $"{{{string.Join(',', Enumerable.Range(0, random.Next(1, 3)).Select(i => $"{Quoted($"x{i}{Text(random.Next(9))}")}:{Json(depth - 1)}"))}}}",
    };

    /// <summary>Characters of all sizes and kinds, but for NUL and halves of a pair.</summary>
    private string Text(int length, bool ascii = false) => string.Concat(Enumerable.Range(0, length).Select(_ => ascii
        ? ((char)random.Next(' ', '\u007f')).ToString()
        : random.Next(8) switch
        {
            0 => ((char)random.Next(1, ' ')).ToString(),
            1 => One(["\"", "\\", "'", "/", "<", "\u007f", "\u0085", "\u202e", "\ufeff", "\uffff", "\u0301", "$", "%", "{", "\u200d"]),
            2 => char.ConvertFromUtf32(random.Next(0x80, 0xd800)),
            3 => char.ConvertFromUtf32(random.Next(0x10000, 0x110000)),
            _ => ((char)random.Next(' ', '\u007f')).ToString(),
        }));

    private byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static List<string> WordsOf(JsonElement words) =>
        [.. words.EnumerateArray().Where(word => word.ValueKind == JsonValueKind.String).Select(word => word.GetString()!)];

    private static string Quoted(string text) => JsonSerializer.Serialize(text);

    private static byte[] Write(List<(string Name, string Value)> members) =>
        Encoding.UTF8.GetBytes($"{{{string.Join(',', members.Select(member => $"{Quoted(member.Name)}:{member.Value}"))}}}");

    private static bool IsInstant(JsonElement schema) => schema.TryGetProperty("format", out var format) && format.GetString() == "date-time";

    private static string NameOf(JsonElement parameter) => parameter.GetProperty("name").GetString()!;

    private static bool IsNeeded(JsonElement parameter) => parameter.TryGetProperty("required", out var required) && required.GetBoolean();

    private T One<T>(IReadOnlyList<T> choices) => choices[random.Next(choices.Count)];
}
