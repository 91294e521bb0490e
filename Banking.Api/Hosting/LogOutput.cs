using System.Text;
using Banking.Data;

namespace Banking.Api;

/// <summary>
/// Standard output through a buffer that one thread writes out. Lines gather, so writing them is cheap, and a reader that stalls holds
/// up no request. At the end of the process it writes what is left.
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

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Writes lines. If there is no room for them, drops and counts them.</summary>
    public void WriteOrDrop(ReadOnlySpan<byte> lines)
    {
        lock (gate)
        {
            if (lines.Length <= filling.Length - used)
            {
                Add(lines);
            }
            else
            {
                dropped += lines.Count((byte)'\n');
            }
        }
    }

    /// <summary>Writes a line, and waits until there is room for it. The console logger's thread does so, which has a queue of its own.</summary>
    public override void Write(string? value)
    {
        var line = Encoding.GetBytes(value ?? "");
        lock (gate)
        {
            while (used > 0 && line.Length > filling.Length - used)
            {
                Monitor.Wait(gate);
            }

            if (line.Length > filling.Length)
            {
                filling = new byte[line.Length];
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
        line.CopyTo(filling.AsSpan(used));
        used += line.Length;
        if (used == line.Length)
        {
            Monitor.PulseAll(gate);
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
