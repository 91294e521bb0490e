namespace Banking.Tests;

/// <summary>What a test measured, in its output and beside its result.</summary>
internal static class Report
{
    public static void Write(string report)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(report);
        TestContext.Current.AddAttachment("report", report);
    }
}
