using System.Diagnostics;

namespace Banking.Data;

/// <summary>A request on its way to its answer, whatever its operation.</summary>
internal abstract class Pending
{
    private readonly long arrivedAt = Stopwatch.GetTimestamp();

    /// <summary>When it last came into the queue. It comes back for another look at a locked account.</summary>
    public long QueuedAt { get; set; } = Stopwatch.GetTimestamp();

    /// <summary>The span of the HTTP request.</summary>
    public Activity? Span { get; } = Activity.Current;

    public TimeSpan Waited => Stopwatch.GetElapsedTime(arrivedAt);

    public abstract RequestId Id { get; }

    /// <summary>How many requests it counts as.</summary>
    public abstract int Weight { get; }

    public abstract void Collect(LockSet needs);

    /// <summary>Decides it. The answer follows after the commit.</summary>
    public abstract void Decide(LockedBook book);

    /// <summary>Answers as decided; false where it has to wait for a locked account.</summary>
    public abstract bool Answer();

    public abstract void Refuse(Refused refused);

    public abstract void Fail(Exception exception);
}

internal sealed class Pending<T>(LedgerRequest<T> request) : Pending
    where T : class
{
    private readonly TaskCompletionSource<Decision<T>> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Decision<T> decision = Decision<T>.Wait;
    private bool wasDone;

    public override RequestId Id => request.Id;

    public override int Weight => request.Weight;

    public Task<Decision<T>> Answered => answer.Task;

    public override void Collect(LockSet needs) => request.Collect(needs);

    public override void Decide(LockedBook book)
    {
        decision = book.Decide(request);
        // What this request itself wrote is no replay to its client. It finds its own row in the log where the answer to the commit
        // was lost and the batch runs again.
        if (decision.Replayed && wasDone)
        {
            decision = decision with { Replayed = false };
        }

        wasDone |= decision is { Result: not null, Replayed: false };
    }

    public override bool Answer() => decision != Decision<T>.Wait && answer.TrySetResult(decision);

    public override void Refuse(Refused refused) => answer.TrySetResult(refused);

    public override void Fail(Exception exception) => answer.TrySetException(exception);
}
