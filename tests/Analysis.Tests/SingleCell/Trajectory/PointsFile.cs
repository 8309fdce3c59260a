using System.Globalization;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Hands numbers to a script of another tool and reads the numbers it prints.</summary>
internal static class PointsFile
{
    public static string Script(string name) => Path.Combine(RepositoryRoot.Path, "tests", "golden", "trajectory", name);

    public static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Writes a row of numbers a line, runs, and splits what was printed into rows of numbers.</summary>
    public static double[][] Run(IEnumerable<double[]> rows, Func<string, string> run)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, rows.Select(r => string.Join(' ', r.Select(Text))));
            return [.. run(file).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ').Select(f => double.Parse(f, CultureInfo.InvariantCulture)).ToArray())];
        }
        finally
        {
            File.Delete(file);
        }
    }
}
