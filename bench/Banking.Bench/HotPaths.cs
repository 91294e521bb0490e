using System.Text;
using System.Text.Json;
using Banking.Api;
using Banking.Data;
using BenchmarkDotNet.Attributes;

namespace Banking.Bench;

/// <summary>What every posting runs through in this process, database and sockets aside.</summary>
[MemoryDiagnoser]
[HideColumns("Error", "StdDev", "RatioSD")]
public class HotPaths
{
    private const int Postings = 1000;

    private static readonly DateTime Now = new(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc);
    private readonly Currency dollars = new("USD", 840, 2);
    private readonly List<Posting> postings = [.. Enumerable.Range(0, Postings).Select(number =>
        new Posting(RequestId.Of("bench", null), PostingType.Transfer, 1000 + number, 1001 + number, 0.01m))];

    private readonly byte[] request = Encoding.UTF8.GetBytes("""{"from_account_id":1000,"to_account_id":1001,"amount":"25.00","reference":"Invoice 4711"}""");
    private readonly Transaction transaction = new(42, PostingType.Transfer, 1000, 1001, 25m, "USD", 75m, 25m, null, null, "Invoice 4711", null, Now);
    private readonly JsonSerializerOptions json = new();

    public HotPaths() => ApiJson.Configure(json);

    /// <summary>Decides a batch of a thousand transfers; the figures are those of one.</summary>
    [Benchmark(OperationsPerInvoke = Postings)]
    public int Decide()
    {
        var accounts = Enumerable.Range(1000, Postings + 1)
            .ToDictionary(id => (long)id, id => new LockedAccount(id, isCustomer: true, dollars, new(AccountStatus.Active, 1000m, 0m, 0m)));
        var book = new LockedBook(new(
            new(0, 0, 0, 3000, [], Now), accounts, new HashSet<long>(), [], HasBusyHolds: false, new Dictionary<long, decimal>(), []));
        foreach (var posting in postings)
        {
            book.Decide(posting);
        }

        return book.Transactions.Count == Postings ? Postings : throw new InvalidOperationException("Not all were posted.");
    }

    [Benchmark]
    public TransferRequest Parse() => JsonSerializer.Deserialize<TransferRequest>(request, json)!;

    [Benchmark]
    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(TransactionResponse.From(transaction, dollars), json);
}
