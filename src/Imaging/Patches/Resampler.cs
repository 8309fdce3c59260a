namespace BioSup.Imaging;

/// <summary>
/// Separable linear resampling of square planes with half-pixel centres and clamped edges; when shrinking, the triangle filter is widened to the
/// scale so that nothing is skipped (the convention of Pillow's BILINEAR and of PyTorch's antialiased bilinear interpolation).
/// </summary>
internal sealed class Resampler
{
    private readonly int[] _first;
    private readonly float[][] _weights;
    private readonly float[] _rows;

    public Resampler(int from, int to)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(from, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(to, 1);
        (From, To) = (from, to);
        _first = new int[to];
        _weights = new float[to][];
        _rows = new float[from * to];
        double scale = (double)from / to, support = Math.Max(scale, 1);
        for (int i = 0; i < to; i++)
        {
            double centre = (i + 0.5) * scale;
            int first = Math.Max(0, (int)Math.Floor(centre - support + 0.5)), end = Math.Min(from, (int)Math.Floor(centre + support + 0.5));
            double[] weights = [.. Enumerable.Range(first, end - first).Select(j => Math.Max(0, 1 - Math.Abs(j + 0.5 - centre) / support))];
            double sum = weights.Sum();
            _first[i] = first;
            _weights[i] = [.. weights.Select(weight => (float)(weight / sum))];
        }
    }

    public int From { get; }
    public int To { get; }

    /// <summary>Resamples a From x From plane into a To x To plane. One instance serves one thread.</summary>
    public void Apply(ReadOnlySpan<float> source, Span<float> target)
    {
        for (int y = 0; y < From; y++)
            for (int x = 0; x < To; x++)
            {
                float sum = 0;
                float[] weights = _weights[x];
                for (int j = 0; j < weights.Length; j++) sum += weights[j] * source[y * From + _first[x] + j];
                _rows[y * To + x] = sum;
            }
        for (int y = 0; y < To; y++)
        {
            Span<float> row = target.Slice(y * To, To);
            row.Clear();
            for (int j = 0; j < _weights[y].Length; j++)
            {
                float weight = _weights[y][j];
                ReadOnlySpan<float> from = _rows.AsSpan((_first[y] + j) * To, To);
                for (int x = 0; x < To; x++) row[x] += weight * from[x];
            }
        }
    }
}
