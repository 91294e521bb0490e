namespace Banking.Data;

/// <summary>What became of each posting of a batch, in the order of the request.</summary>
public sealed record BatchResult(IReadOnlyList<Decision<Transaction>> Items);

/// <summary>
/// Up to 1,000 postings under one key. An atomic batch is done whole or not at all; otherwise each posting has its own outcome. Each
/// posting sees the balances that those before it left. A dry run decides in the same way and writes nothing; its transactions have
/// no id (0).
/// </summary>
public sealed record Batch(
    RequestId Id, byte[] RequestHash, IReadOnlyList<Posting> Postings, bool IsAtomic, bool IsDryRun) : LedgerRequest<BatchResult>(Id)
{
    public override string Operation => "batch";

    public override int Weight => Postings.Count;

    internal override void Collect(LockSet needs)
    {
        foreach (var posting in Postings)
        {
            posting.Collect(needs);
        }
    }

    internal override Decision<BatchResult> Decide(LockedBook book)
    {
        var (start, earlier, items) = (book.Save(), book.PartsOf(Id), new Decision<Transaction>[Postings.Count]);
        for (var i = 0; i < items.Length; i++)
        {
            var part = (short)(i + 1);
            items[i] = earlier?.GetValueOrDefault(part) is { } made
                ? new(made, Replayed: true)
                : Postings[i].Decide(book, new(Id, part, RequestHash));
            if (IsAtomic && items[i].Refused is { } refused)
            {
                return refused with { Index = i, Field = refused.Field is null ? null : $"postings[{i}].{refused.Field}" };
            }
        }

        if (IsDryRun)
        {
            book.RollBackTo(start);
            items = Array.ConvertAll(items, item => item.Result is { } planned ? new Decision<Transaction>(planned with { TransactionId = 0 }) : item);
        }

        return new BatchResult(items);
    }

    internal override Recorded? Record(BatchResult result) =>
        IsDryRun || result.Items.All(item => item.Refused is not null) ? null : new(RequestHash: RequestHash, Parts: result.Items
            .Select((item, i) => (Part: (short)(i + 1), Made: item.Result))
            .Where(one => one.Made is not null)
            .ToDictionary(one => one.Part, one => one.Made!));

    internal override BatchResult? Replay(Recorded earlier) => earlier.IsOf(RequestHash) && earlier.Parts?.Count == Postings.Count
        ? new([.. earlier.Parts.OrderBy(part => part.Key).Select(part => new Decision<Transaction>(part.Value, Replayed: true))])
        : null;

    /// <summary>Refused postings of a batch that is not atomic are decided anew when the batch is sent again.</summary>
    internal override bool IsUnfinished(Recorded earlier) => earlier.IsOf(RequestHash) && earlier.Parts?.Count < Postings.Count;
}
