using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using FluentAssertions;

namespace Banking.Tests;

/// <summary>Long statements, slow clients, and a database that fails half way.</summary>
public sealed class StatementFaultTests(TestDatabase database)
{
    private const int Entries = 60_000;

    private readonly string schema = $"book_{Guid.NewGuid():N}";

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData("json")]
    [InlineData("csv")]
    [InlineData("camt.053")]
    public async Task A_statement_during_which_the_database_restarts_is_whole(string format)
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var service = new ServiceProcess(server.ConnectionString, schema, ("Banking__RetrySeconds", "60"), ("Banking__ReadSeconds", "1"));
        var path = await FilledAsync(service, server.ConnectionString, format);
        var whole = await service.GetAsync(path);

        using var slow = await SlowClient.StartAsync(service, path);
        var began = Stopwatch.GetTimestamp();
        await server.CrashAsync();
        await server.StartAsync();
        await Wait.UntilAsync(() => Stopwatch.GetElapsedTime(began) > TimeSpan.FromSeconds(2)); // the statement takes longer than a read may

        var text = await slow.RestAsync();
        text.Should().Contain(format switch
        {
            "json" => $$"""{"count":{{Entries}},"amount":"600.00"}""",
            "csv" => $"total_credits,,,,credit,600.00,,USD,,,,,,{Entries}\r\n",
            _ => $"<NbOfNtries>{Entries}</NbOfNtries><Sum>600.00</Sum>", // summed in parts
        });
        (text == (format == "camt.053" ? SameTime(whole.Text, text) : whole.Text)).Should().BeTrue("the statement of a past period never changes");
        service.Errors.Should().BeEmpty();
    }

    [Theory(Explicit = true), Trait("Category", "Long")]
    [InlineData("json")]
    [InlineData("csv")]
    [InlineData("camt.053")]
    public async Task A_statement_that_can_not_be_finished_ends_with_a_broken_connection(string format)
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var service = new ServiceProcess(server.ConnectionString, schema, ("Banking__RetrySeconds", "1"));
        var path = await FilledAsync(service, server.ConnectionString, format);

        using var slow = await SlowClient.StartAsync(service, path);
        await server.CrashAsync();

        var reading = () => slow.RestAsync();
        await reading.Should().ThrowAsync<IOException>();
        await service.SaidAsync("was broken off");
        service.Warnings.Count(line => line.Contains("was broken off")).Should().Be(1);
        service.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task A_slow_client_holds_no_connection_and_one_that_leaves_ends_the_reading()
    {
        const string Application = "slow-statement";
        await using var service = new ServiceProcess(
            $"{database.ConnectionString};Application Name={Application}", schema, ("Banking__ReadConnections", "5"));
        await using var book = new BookInspector(database.ConnectionString, schema);
        var path = await FilledAsync(service, database.ConnectionString, "csv");

        var slow = await SlowClient.StartAsync(service, path);
        for (var i = 0; i < 20; i++) // through the only connection for pages
        {
            (await service.HistoryAsync(1001)).Should().BeEmpty();
        }

        await Wait.UntilAsync(async () => await BusyAsync() == 0);
        service.Lines.Should().NotContain(line => line.Contains("GET statement 200"), "the client has only a part");
        slow.Dispose();
        await service.SaidAsync("GET statement 200");
        (await service.HistoryAsync(1001)).Should().BeEmpty();
        service.Warnings.Where(line => line.Contains("broken off")).Should().BeEmpty("it was the client who left");

        Task<long> BusyAsync() => book.ScalarAsync<long>($"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{Application} reads' AND (state <> 'idle' OR backend_xmin IS NOT NULL);");
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_statement_of_a_million_entries_needs_little_memory()
    {
        const int Million = 1_000_000;
        await using var service = new ServiceProcess(database.ConnectionString, schema);
        var path = await FilledAsync(service, database.ConnectionString, "json", Million);

        var report = new List<string>();
        foreach (var format in new[] { "json", "csv", "camt.053" })
        {
            var before = service.Megabytes("VmHWM");
            using var answer = await service.Http.GetAsync(new Uri(path.Replace("format=json", $"format={format}", StringComparison.Ordinal), UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
            var counting = new CountingStream();
            await answer.Content.CopyToAsync(counting);

            var peak = service.Megabytes("VmHWM");
            report.Add(string.Create(CultureInfo.InvariantCulture, $"{format}: {counting.Length / 1_000_000} MB sent, {before} MB of memory before, {peak} MB at most"));
            counting.Length.Should().BeGreaterThan(Million * 100L);
            (peak - before).Should().BeLessThan(64);
        }

        Report.Write($"A million entries as {string.Join("; ", report)}.");
    }

    /// <summary>Starts the service with an account 1000 of many deposits and an account 1001 without any. Returns the path of the first one's statement.</summary>
    private static async Task<string> FilledAsync(ServiceProcess service, string connectionString, string format, int entries = Entries)
    {
        await service.StartAsync();
        (await service.OpenAsync()).Should().Be(1000);
        (await service.OpenAsync()).Should().Be(1001);
        await using var book = new BookInspector(connectionString, service.Schema);
        await book.ExecuteAsync(DepositsSql, new { entries });
        var now = await book.ScalarAsync<DateTime>("SELECT clock_timestamp();");
        return BankingClient.StatementPath(1000, now.AddDays(-1), now, format);
    }

    // As the ledger writes them, in one block.
    private const string DepositsSql = """
        SET session_replication_role = replica; -- skips the foreign keys' look-ups, which these rows satisfy
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after,
                                     client_id, idempotency_key, reference, created_at)
        SELECT last_transaction_id + number, 'deposit', 840, 1000, 0.01, 'USD', -0.01 * number, 0.01 * number, 'test', number::text, repeat('r', 100), last_created_at
          FROM ledger_head
         CROSS JOIN generate_series(1, @entries) AS number;
        UPDATE account
           SET balance = CASE account_id WHEN 840 THEN -0.01 ELSE 0.01 END * @entries
         WHERE account_id IN (840, 1000);
        INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
        SELECT last_block_id + 1, last_transaction_id + @entries, last_account_event_id, 1, last_hash,
               ledger_block_hash(last_hash, last_block_id + 1, last_created_at, last_transaction_id, last_transaction_id + @entries, last_account_event_id, last_account_event_id),
               last_created_at
          FROM ledger_head;
        UPDATE ledger_head
           SET (last_block_id, last_transaction_id, last_hash) = (SELECT block_id, last_transaction_id, hash FROM ledger_block ORDER BY block_id DESC LIMIT 1);
        RESET session_replication_role;
        """;

    /// <summary>The whole answer with the other's time of making.</summary>
    private static string SameTime(string text, string other)
    {
        const string Element = "<CreDtTm>";
        var (time, others) = (TimeIn(text), TimeIn(other));
        return text.Replace(time, others, StringComparison.Ordinal);

        static string TimeIn(string text) => text.Substring(text.IndexOf(Element, StringComparison.Ordinal), Element.Length + 27);
    }

    /// <summary>Takes the first bytes of an answer and then nothing until it is asked for the rest.</summary>
    private sealed class SlowClient : IDisposable
    {
        private readonly HttpClient http;
        private readonly HttpResponseMessage answer;
        private readonly Stream body;
        private readonly byte[] first;

        private SlowClient(HttpClient http, HttpResponseMessage answer, Stream body, byte[] first) =>
            (this.http, this.answer, this.body, this.first) = (http, answer, body, first);

        public static async Task<SlowClient> StartAsync(ServiceProcess service, string path)
        {
            var http = new HttpClient(new SocketsHttpHandler { ConnectCallback = ConnectAsync }) { BaseAddress = service.Address };
            var answer = await http.GetAsync(new Uri(path, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
            answer.EnsureSuccessStatusCode();
            var body = await answer.Content.ReadAsStreamAsync();
            var first = new byte[10_000];
            await body.ReadExactlyAsync(first);
            return new(http, answer, body, first);
        }

        /// <summary>With a small buffer, so that the service can't send everything ahead.</summary>
        private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4_096 };
            await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }

        public async Task<string> RestAsync()
        {
            using var all = new MemoryStream();
            all.Write(first);
            await body.CopyToAsync(all);
            return Encoding.UTF8.GetString(all.ToArray());
        }

        public void Dispose()
        {
            answer.Dispose();
            http.Dispose();
        }
    }

    /// <summary>Keeps nothing but the number of bytes.</summary>
    private sealed class CountingStream : Stream
    {
        private long length;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => length;

        public override long Position { get => length; set => throw new NotSupportedException(); }

        public override void Write(byte[] buffer, int offset, int count) => length += count;

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            length += buffer.Length;
            return ValueTask.CompletedTask;
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
