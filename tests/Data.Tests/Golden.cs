using BioSup.Shapes;

namespace BioSup.Data.Tests;

/// <summary>The committed files of tests/golden/data and the values that make_golden.py put into them.</summary>
internal static class Golden
{
    public static string File(string name) => Path.Combine(RepositoryRoot.Path, "tests", "golden", "data", name);

    /// <summary>The numbers of make_golden.py's ramp, in C order.</summary>
    public static double[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i * 3.0 % 101 - 20)];
}

/// <summary>A folder that disappears with the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("biosup-data-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
