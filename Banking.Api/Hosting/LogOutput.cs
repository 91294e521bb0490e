using System.Text;
using Banking.Data;

namespace Banking.Api;

/// <summary>
/// Standard output through a buffer that one thread writes out. Lines gather, so writing them is cheap, and a reader that stalls holds
/// up no request. At the end of the process it writes what is left. Each line gets the name of the book.
/// </summary>
internal sealed class LogOutput : TextWriter
{
    private const int Size = 1 << 20;

    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestFlush = TimeSpan.FromSeconds(1); // a stalled reader must not keep the process from ending

    private readonly object gate = new();
    private byte[] filling = new byte[Size];
    private byte[] spare = new byte[Size];
    private int used;
    private bool isWriting;
    private long dropped;
    private byte[] member = []; // of a line of JSON
    private byte[] word = []; // of a line of text

    private LogOutput()
    {
        Telemetry.Meter.CreateObservableCounter(
            "banking.log.dropped", () => Volatile.Read(ref dropped), "{line}", "Log lines that were dropped because the log's reader was too slow.");
        new Thread(WriteOut) { IsBackground = true, Name = "log" }.Start();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Flush();
        AppDomain.CurrentDomain.UnhandledException += (_, _) => Flush();
    }

    /// <summary>One per process, as standard output is.</summary>
    public static LogOutput Instance { get; } = new();

    /// <summary>Gets the number of lines that were dropped, once the reader takes lines again.</summary>
    public Action<long>? OnDropped { get; set; }

    /// <summary>From now on each line says that it is of this book.</summary>
    public void NameBook(string book)
    {
        lock (gate)
        {
            (member, word) = (Encoding.GetBytes($"\"Book\":\"{book}\","), Encoding.GetBytes($"{book} "));
        }
    }

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Writes a line. If there is no room for it, drops and counts it.</summary>
    public void WriteOrDrop(ReadOnlySpan<byte> line)
    {
        lock (gate)
        {
            if (line.Length + member.Length <= filling.Length - used)
            {
                Add(line);
            }
            else
            {
                dropped++;
            }
        }
    }

    /// <summary>Writes a line, and waits until there is room for it. The console logger's thread does so, which has a queue of its own.</summary>
    public override void Write(string? value)
    {
        var line = Encoding.GetBytes(value ?? "");
        lock (gate)
        {
            var length = line.Length + member.Length;
            while (used > 0 && length > filling.Length - used)
            {
                Monitor.Wait(gate);
            }

            if (length > filling.Length)
            {
                filling = new byte[length];
            }

            Add(line);
        }
    }

    public override void Write(char value) => Write(value.ToString());

    /// <summary>Returns when everything is written.</summary>
    public override void Flush()
    {
        lock (gate)
        {
            while ((used > 0 || isWriting) && Monitor.Wait(gate, LongestFlush))
            {
            }
        }
    }

    private void Add(ReadOnlySpan<byte> line)
    {
        var wasEmpty = used == 0;
        var (at, book) = line switch
        {
            [(byte)'{', ..] => (1, member),
            [(byte)'<', ..] => (3, word), // systemd reads the level from the first three characters
            _ => (0, word),
        };
        Copy(line[..at]);
        Copy(book);
        Copy(line[at..]);
        if (wasEmpty)
        {
            Monitor.PulseAll(gate);
        }

        void Copy(ReadOnlySpan<byte> part)
        {
            part.CopyTo(filling.AsSpan(used));
            used += part.Length;
        }
    }

    private void WriteOut()
    {
        using var output = Console.OpenStandardOutput();
        for (var reported = 0L; ;)
        {
            lock (gate)
            {
                while (used == 0)
                {
                    Monitor.Wait(gate);
                }
            }

            Thread.Sleep(Rest);
            int length;
            lock (gate)
            {
                (filling, spare, length, used) = (spare, filling, used, 0);
                isWriting = true;
                Monitor.PulseAll(gate);
            }

            var failed = 0;
            try
            {
                output.Write(spare, 0, length);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException) // a full disk, or a closed output
            {
                failed = spare.AsSpan(0, length).Count((byte)'\n');
            }

            var unreported = 0L;
            lock (gate)
            {
                isWriting = false;
                dropped += failed;
                if (failed == 0)
                {
                    (unreported, reported) = (dropped - reported, dropped);
                }

                Monitor.PulseAll(gate);
            }

            if (unreported > 0)
            {
                OnDropped?.Invoke(unreported);
            }
        }
    }
}
