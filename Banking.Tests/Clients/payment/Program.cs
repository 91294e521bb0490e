using System.Globalization;

if (args is not [var key, var amount, var payerId, var payeeId])
{
    Console.Error.WriteLine("""
        dotnet run -- <key> <amount> <payer's account> <payee's account>
          Pays from an account of one book to an account of another. FROM_URL, FROM_TOKEN and FROM_CLEARING are the address of the
          payer's book, a token and the clearing account there; TO_URL, TO_TOKEN and TO_CLEARING are the same of the payee's book.
          However it ends, it can be run again with the same arguments: the payment is made once, or returned once.
        Exit codes: 0 (paid), 1 (refused or returned: the payer has the money), 2 (undecided: find the reason and run it again).
        """);
    return 2;
}

var (from, to) = (Book.Of("FROM"), Book.Of("TO"));
var (payer, payee) = (long.Parse(payerId, CultureInfo.InvariantCulture), long.Parse(payeeId, CultureInfo.InvariantCulture));
try
{
    // 1. The payer pays to the clearing account of its book.
    var debit = await from.PostAsync("transaction", key, new { from_account_id = payer, to_account_id = from.Clearing, amount, reference = key });
    if (debit.Refusal is not null)
    {
        return Ended($"refused: {debit.Refusal}", 1);
    }

    // 2. The clearing account of the other book pays to the payee.
    if (await CreditAsync() is not { } refusal)
    {
        return Ended("paid", 0);
    }

    // 3. The payee's book refuses. From now on it must not change its mind: two postings that cancel each other use the key up there.
    //    A retry of them gets the first answer. If the key has paid after all, in another run, so has this one.
    Console.Error.WriteLine($"The payee's book refuses: {refusal}.");
    var note = await to.PostAsync("batch", key, new
    {
        mode = "atomic",
        postings = new object[]
        {
            new { type = "deposit", account_id = to.Clearing, amount, reference = key },
            new { type = "withdrawal", account_id = to.Clearing, amount, reference = key },
        },
    });
    if (note.Refusal is "idempotency_key_reused" && await CreditAsync() is null)
    {
        return Ended("paid", 0);
    }

    if (note.Refusal is not null)
    {
        return Ended($"undecided: the payee's book refuses the return too ({note.Refusal})", 2);
    }

    // 4. Only then does the money go back to the payer.
    var back = await from.PostAsync("reverse_transaction", $"{key}:return", new { transaction_id = debit.Answer.GetProperty("transaction_id").GetInt64(), reference = key });
    return back.Refusal is null ? Ended("returned", 1) : Ended($"undecided: the payer's book refuses the return ({back.Refusal})", 2);
}
catch (InvalidOperationException wrong)
{
    return Ended($"undecided: {wrong.Message}", 2);
}

// Null, or why the payee's book refuses. A clearing account at its limit is no refusal of the payment: it waits until there is room.
async Task<string?> CreditAsync()
{
    while (true)
    {
        var credit = await to.PostAsync("transaction", key, new { from_account_id = to.Clearing, to_account_id = payee, amount, reference = key });
        if (credit.Refusal is not "insufficient_funds")
        {
            return credit.Refusal;
        }

        await Book.WaitAsync("the clearing account of the payee's book is at its limit");
    }
}

static int Ended(string outcome, int exitCode)
{
    Console.WriteLine(outcome);
    return exitCode;
}
