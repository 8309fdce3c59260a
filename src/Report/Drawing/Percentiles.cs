namespace BioSup.Report.Drawing;

/// <summary>Percentiles by linear interpolation between the sorted values, as NumPy's default.</summary>
internal static class Percentiles
{
    /// <param name="sorted">Ascending, at least one, all finite.</param>
    /// <param name="percent">0 to 100.</param>
    public static double OfSorted(ReadOnlySpan<double> sorted, double percent)
    {
        double place = Math.Clamp(percent, 0, 100) / 100 * (sorted.Length - 1);
        int below = Math.Min((int)place, sorted.Length - 1), above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
    }
}
