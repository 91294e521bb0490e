using FluentAssertions;

namespace Banking.Tests;

/// <summary>Pages of events: what they show, in which order, and where they start.</summary>
public sealed class EventsTests(TestDatabase database) : IAsyncDisposable
{
    // By SQL, in the words of docs/events.md: an event comes after the transaction that it names as the last before it.
    private const string LogSql = """
        SELECT string_agg(id, ' ' ORDER BY transaction_id, account_event_id)
          FROM (SELECT transaction_id
                     , 0 AS account_event_id
                     , transaction_id || '-' || (SELECT count(*) FROM account_log WHERE after_transaction_id < transaction_id) AS id
                  FROM transaction_log
                 UNION ALL
                SELECT after_transaction_id
                     , account_event_id
                     , after_transaction_id || '-' || account_event_id
                  FROM account_log) AS events;
        """;

    private readonly BankingApp bank = new(database);

    [Fact]
    public async Task Every_kind_of_event_is_shown_in_the_order_of_commits()
    {
        var one = await bank.OpenAsync("100");
        var other = await bank.OpenAsync(currency: "USD");
        await bank.ChangeAsync(one, "Ada Lovelace", "20", "a raise");
        await bank.FreezeAsync(one);
        await bank.UnfreezeAsync(one);
        await bank.PostAsync("/api/deposit", new { account_id = one, amount = "5", reference = "R 🦊", metadata = new { k = "<v>" } });
        await bank.WithdrawAsync(one, "1");
        var transfer = await bank.TransferAsync(one, other, "30");
        await bank.ReverseAsync(transfer.Id("transaction_id"), "10");
        await bank.BatchAsync("atomic", [new { type = "deposit", account_id = one, amount = "1" }, new { type = "withdrawal", account_id = one, amount = "1" }]);
        var hold = await bank.HoldAsync(one, "8", other);
        await bank.CaptureAsync(hold, "3", final: false);
        await bank.ReleaseAsync(hold);
        var due = await bank.HoldAsync(one, "2", expiresAt: DateTime.UtcNow.AddMilliseconds(300));
        await Wait.UntilAsync(async () => (await bank.OneHoldAsync(due))["status"] == "expired");
        await bank.WithdrawAsync(other, "23");
        await bank.CloseAsync(other);

        var page = await bank.GetAsync("/api/events");

        ((int)page.Status, page.ContentType).Should().Be((200, "application/cloudevents-batch+json"));
        var events = SeenEvent.In(page);
        events.Select(seen => $"{seen.Id} {seen.Type} {seen.Subject}").Should().Equal(
            $"0-1 core-banking.account.opened account/{one}", "1-1 core-banking.transaction.deposit transaction/1",
            $"1-2 core-banking.account.opened account/{other}", $"1-3 core-banking.account.changed account/{one}",
            $"1-4 core-banking.account.frozen account/{one}", $"1-5 core-banking.account.unfrozen account/{one}",
            "2-5 core-banking.transaction.deposit transaction/2", "3-5 core-banking.transaction.withdrawal transaction/3",
            "4-5 core-banking.transaction.transfer transaction/4", "5-5 core-banking.transaction.reversal transaction/5",
            "6-5 core-banking.transaction.deposit transaction/6", "7-5 core-banking.transaction.withdrawal transaction/7",
            $"7-6 core-banking.hold.placed hold/{hold}", "8-6 core-banking.transaction.transfer transaction/8", $"8-7 core-banking.hold.released hold/{hold}",
            $"8-8 core-banking.hold.placed hold/{due}", $"8-9 core-banking.hold.expired hold/{due}",
            "9-9 core-banking.transaction.withdrawal transaction/9", $"9-10 core-banking.account.closed account/{other}");
        string.Join(' ', events.Select(seen => seen.Id)).Should().Be(await bank.Book.ScalarAsync<string>(LogSql));
        page.Text.Should().NotContain("Someone").And.NotContain("Lovelace", "a name can be erased, and what was sent can't");

        var schemas = (await bank.GetAsync("/openapi/v1.json")).Body;
        var schema = schemas.GetProperty("paths").GetProperty("/api/events").GetProperty("get").GetProperty("responses").GetProperty("200")
            .GetProperty("content").EnumerateObject().Single();
        schema.Name.Should().Be(page.ContentType);
        new JsonSchema(schemas).Violations(schema.Value.GetProperty("schema"), page.Body).Should().BeEmpty();
        foreach (var seen in events)
        {
            seen.Event.Members().Should().Equal("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data");
            (seen.Event.GetProperty("specversion").GetString(), seen.Event.GetProperty("datacontenttype").GetString()).Should().Be(("1.0", "application/json"));
            seen.Event.GetProperty("source").GetString().Should().Be($"urn:core-banking:book:{bank.Book.Schema}");
            seen.Event.GetProperty("time").GetString().Should().Be(seen.Row.GetProperty("created_at").GetString());
            seen.Row.GetProperty("client_id").GetString().Should().Be(seen.Type.EndsWith("expired") ? "core-banking" : "anonymous");
        }

        foreach (var seen in events.Where(seen => seen.Type.Contains("transaction")))
        {
            var shown = await bank.GetAsync($"/api/get_one_transaction?transaction_id={seen.Row.GetProperty("transaction_id")}");
            seen.Row.GetRawText().Should().Be($"{shown.Text[..shown.Text.IndexOf(",\"reversed_amount\"", StringComparison.Ordinal)]},\"client_id\":\"anonymous\"}}");
        }

        var history = (await bank.GetAsync($"/api/account_events?account_id={one}")).Body.GetProperty("events").EnumerateArray()
            .Concat((await bank.GetAsync($"/api/account_events?account_id={other}")).Body.GetProperty("events").EnumerateArray())
            .ToDictionary(row => row.GetProperty("account_event_id").GetInt64());
        foreach (var seen in events.Where(seen => !seen.Type.Contains("transaction")))
        {
            var shown = history[seen.Row.GetProperty("account_event_id").GetInt64()];
            shown.EnumerateObject().Should().OnlyContain(member => seen.Row.GetProperty(member.Name).GetRawText() == member.Value.GetRawText());
            seen.Row.Members().Except(shown.Members()).Should().Equal("account_id", "currency", "to_account_id", "expires_at");
            seen.Row.GetProperty("currency").GetString().Should().Be("USD");
        }

        var placed = events.Where(seen => seen.Type.EndsWith("hold.placed")).Select(seen => seen.Row).ToList();
        placed.Select(row => row.GetProperty("to_account_id").ToString()).Should().Equal($"{other}", "");
        placed[1].GetProperty("expires_at").GetString().Should().Be((await bank.OneHoldAsync(due))["expires_at"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(500)]
    public async Task Pages_of_any_size_give_every_event_once(int limit)
    {
        await WriteAsync();

        var read = new List<SeenEvent>();
        for (var after = "0-0"; ; after = read[^1].Id)
        {
            var page = SeenEvent.In(await bank.GetAsync($"/api/events?after={after}&limit={limit}"));
            page.Count.Should().BeLessThanOrEqualTo(limit);
            read.AddRange(page);
            if (page.Count == 0)
            {
                break;
            }
        }

        string.Join(' ', read.Select(seen => seen.Id)).Should().Be(await bank.Book.ScalarAsync<string>(LogSql));
        SeenEvent.In(await bank.GetAsync("/api/events")).Should().HaveCount(Math.Min(50, read.Count));
    }

    [Fact]
    public async Task A_page_with_much_metadata_ends_early_and_the_next_one_goes_on()
    {
        var account = await bank.OpenAsync();
        var metadata = Enumerable.Range(10, 20).ToDictionary(i => $"{i}", _ => new string('x', 400));
        await Parallel.ForEachAsync(Enumerable.Range(0, 300), async (number, _) =>
        {
            await bank.PostAsync("/api/deposit", new { account_id = account, amount = "1", metadata });
            if (number % 10 == 0)
            {
                await bank.ChangeAsync(account, overdraftLimit: $"{number}");
            }
        });

        var first = SeenEvent.In(await bank.GetAsync("/api/events?limit=500"));
        var rest = SeenEvent.In(await bank.GetAsync($"/api/events?limit=500&after={first[^1].Id}"));
        var waited = SeenEvent.In(await bank.GetAsync($"/api/events?limit=500&wait=1&after={first[^1].Id}"));

        first.Count.Should().BeInRange(120, 160);
        string.Join(' ', first.Concat(rest).Concat(SeenEvent.In(await bank.GetAsync($"/api/events?limit=500&after={rest[^1].Id}"))).Select(seen => seen.Id))
            .Should().Be(await bank.Book.ScalarAsync<string>(LogSql));
        waited.Select(seen => seen.Id).Should().Equal(rest.Select(seen => seen.Id));
    }

    [Theory]
    [InlineData("after=99-1", null, "after")]
    [InlineData("after=1-99", null, "after")]
    [InlineData("after=9223372036854775807-9223372036854775807", null, "after")]
    [InlineData("after=99-1&wait=5", null, "after")]
    [InlineData("after=0-0", "99-1", "Last-Event-ID")]
    [InlineData("", "1-99", "Last-Event-ID")]
    public async Task An_id_that_the_book_has_not_reached_is_refused(string query, string? lastEventId, string field)
    {
        await bank.OpenAsync("1");

        foreach (var accept in new[] { "application/json", "text/event-stream" })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, $"/api/events?{query}") { Headers = { { "Accept", accept } } };
            if (lastEventId is not null)
            {
                request.Headers.Add("Last-Event-ID", lastEventId);
            }

            (await bank.SendAsync(request)).ShouldBeProblem(400, "validation_failed", field);
        }
    }

    [Fact]
    public async Task The_last_event_id_is_stronger_than_after_and_both_are_the_ids_of_audit_head()
    {
        await WriteAsync();
        var head = await bank.GetAsync("/api/audit_head");
        var end = $"{head["transaction_id"]}-{head["account_event_id"]}";

        var fromHeader = await bank.SendAsync(new(HttpMethod.Get, "/api/events?after=0-0") { Headers = { { "Last-Event-ID", end } } });
        var fromQuery = await bank.GetAsync($"/api/events?after={end}");

        (fromHeader.Text, fromQuery.Text).Should().Be(("[]", "[]"));
        await bank.OpenAsync();
        SeenEvent.In(await bank.GetAsync($"/api/events?after={end}")).Should().ContainSingle().Which.Type.Should().Be("core-banking.account.opened");
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("text/event-stream")]
    public async Task HEAD_gets_the_headers_at_once_and_the_connection_goes_on(string accept)
    {
        using var client = await RawClient.ConnectAsync(bank);

        await client.SendAsync($"HEAD /api/events HTTP/1.1\r\nHost: bank\r\nAccept: {accept}\r\n\r\nGET /health/live HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n");

        var answers = await client.AnswersAsync();
        answers.Should().StartWith("HTTP/1.1 200").And.Contain("no-store").And.Contain("traceresponse").And.EndWith("}\r\n0\r\n\r\n");
        answers.Split("HTTP/1.1 200").Should().HaveCount(3);
    }

    /// <summary>Some of everything, many at once.</summary>
    private async Task WriteAsync()
    {
        var accounts = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => bank.OpenAsync("100")));
        await Task.WhenAll(Enumerable.Range(0, 40).Select(number => (number % 4) switch
        {
            0 => bank.DepositAsync(accounts[0], "1"),
            1 => bank.TransferAsync(accounts[1], accounts[2], "1"),
            2 => bank.ChangeAsync(accounts[3], overdraftLimit: $"{number}"),
            _ => bank.PlaceHoldAsync(accounts[1], "1"),
        }));
    }

    public ValueTask DisposeAsync() => bank.DisposeAsync();
}
