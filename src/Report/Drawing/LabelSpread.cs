namespace BioSup.Report.Drawing;

/// <summary>Moves things along a line as little as needed (in squares) so that none overlap.</summary>
internal static class LabelSpread
{
    /// <param name="wanted">Middle of each, in the order they keep.</param>
    /// <param name="sizes">Extent of each along the line.</param>
    /// <param name="gap">Least space between two.</param>
    /// <param name="low">Where the line begins.</param>
    /// <param name="high">Where it ends; things that do not fit in between run past it.</param>
    /// <returns>Middle of each.</returns>
    public static float[] Place(ReadOnlySpan<float> wanted, ReadOnlySpan<float> sizes, float gap, float low, float high)
    {
        int n = wanted.Length;
        if (n == 0) return [];
        // Without the room that the things take, places only have to rise: pooling neighbours that do not is the least-squares answer (isotonic regression), within limits too.
        float[] offset = new float[n], middle = new float[n];
        for (int i = 1; i < n; i++) offset[i] = offset[i - 1] + (sizes[i - 1] + sizes[i]) / 2 + gap;
        float first = low + sizes[0] / 2, last = high - sizes[n - 1] / 2 - offset[n - 1];
        (double Sum, int Count)[] pools = new (double, int)[n];
        int used = 0;
        for (int i = 0; i < n; i++)
        {
            pools[used++] = (wanted[i] - offset[i], 1);
            while (used > 1 && pools[used - 2].Sum * pools[used - 1].Count > pools[used - 1].Sum * pools[used - 2].Count)
            {
                pools[used - 2] = (pools[used - 2].Sum + pools[used - 1].Sum, pools[used - 2].Count + pools[used - 1].Count);
                used--;
            }
        }
        for (int p = 0, i = 0; p < used; p++)
            for (int left = pools[p].Count; left > 0; left--, i++) middle[i] = Math.Max(first, Math.Min(last, (float)(pools[p].Sum / pools[p].Count))) + offset[i];
        return middle;
    }
}
