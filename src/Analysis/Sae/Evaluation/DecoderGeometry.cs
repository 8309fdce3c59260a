using BioSup.Analysis.Geometry;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Figures of the dictionary itself, over chosen decoder rows as <see cref="DecoderCoherence"/> and <see cref="Geometry.EffectiveRank"/> define them.</summary>
/// <param name="MeanAbsoluteCosine">Mean |cos| over pairs of rows; NaN below two rows with a direction.</param>
/// <param name="EffectiveRank">Effective rank of the rows, not centred; NaN when none has a direction.</param>
public sealed record DecoderGeometry(double MeanAbsoluteCosine, double EffectiveRank)
{
    private const int Tile = 512;

    /// <summary>Bins of <see cref="PairHistogram"/>, of width 1 / 50.</summary>
    public const int Bins = 50;

    /// <summary>Standard deviation of |cos| over pairs, divisor pairs − 1.</summary>
    public double StdAbsoluteCosine { get; private init; } = double.NaN;

    /// <summary>Effective rank over the smaller of the number of rows and d_in.</summary>
    public double NormalisedEffectiveRank { get; private init; } = double.NaN;

    /// <summary>Latents that took part, ascending.</summary>
    public int[] Latents { get; private init; } = [];

    /// <summary>Largest |cos| of each of <see cref="Latents"/> with another; NaN where there is none.</summary>
    public float[] MaxAbsoluteCosine { get; private init; } = [];

    /// <summary>The latent that this is with; −1 where there is none.</summary>
    public int[] Nearest { get; private init; } = [];

    /// <summary>Pairs of rows by |cos|.</summary>
    public long[] PairHistogram { get; private init; } = new long[Bins];

    /// <summary>Largest |cos| of any pair (mutual coherence).</summary>
    public double Coherence => MaxAbsoluteCosine.Length > 1 ? MaxAbsoluteCosine.Max() : double.NaN;

    /// <param name="model">The model whose decoder [d_sae, d_in] is measured.</param>
    /// <param name="latents">Rows that take part, such as those of alive latents; rows without a direction (all zero) are passed over.</param>
    /// <param name="cancellation">Stops between tiles.</param>
    public static DecoderGeometry Measure(SaeModel model, IReadOnlyList<int> latents, CancellationToken cancellation = default)
    {
        HashSet<int> directed = [.. LatentRows.Alive(model, 0)];
        int[] used = [.. latents.Where(directed.Contains).Order()];
        if (used.Length == 0) return new DecoderGeometry(double.NaN, double.NaN);
        using Matrix<float> rows = LatentRows.Take(model, used);
        using Matrix<double> wide = Elementwise.Converted<float, double>(rows.View);
        double rank = Geometry.EffectiveRank.Measure(wide, centre: false).Value;
        CoherenceResult? coherence = used.Length < 2 ? null : DecoderCoherence.Measure(wide, cancellation: cancellation);
        LatentRows.Normalise(rows);
        (float[] largest, int[] nearest, long[] histogram) = Scan(rows, used, cancellation);
        return new DecoderGeometry(coherence?.MeanAbsoluteCosine ?? double.NaN, rank)
        {
            StdAbsoluteCosine = coherence?.Std ?? double.NaN,
            NormalisedEffectiveRank = rank / Math.Min(used.Length, model.InputWidth),
            Latents = used,
            MaxAbsoluteCosine = largest,
            Nearest = nearest,
            PairHistogram = histogram,
        };
    }

    /// <summary>The latents whose decoder rows point most nearly the same way as that of <paramref name="latent"/>, nearest first.</summary>
    /// <param name="model">The model.</param>
    /// <param name="latent">One of its latents.</param>
    /// <param name="among">Latents to choose from.</param>
    /// <param name="count">At most so many.</param>
    public static LatentPair[] NearestTo(SaeModel model, int latent, IReadOnlyList<int> among, int count)
    {
        int[] others = [.. among.Where(j => j != latent)];
        if (others.Length == 0) return [];
        using Matrix<float> rows = LatentRows.Take(model, others), self = LatentRows.Take(model, [latent]), cosines = model.Device.AllocateMatrix<float>(1, others.Length);
        LatentRows.Normalise(rows);
        LatentRows.Normalise(self);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1f, self.View, rows.View, 0f, cosines.View);
        float[] values = cosines.ToArray();
        return [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).ThenBy(i => i).Take(count).Select(i => new LatentPair(latent, others[i], values[i]))];
    }

    /// <summary>All cosines of unit rows, 512 rows at a time: the Gram matrix is never held.</summary>
    private static (float[] Largest, int[] Nearest, long[] Histogram) Scan(Matrix<float> rows, int[] latents, CancellationToken cancellation)
    {
        int n = rows.Rows;
        float[] largest = new float[n], values = new float[Math.Min(Tile, n) * n];
        int[] nearest = new int[n];
        long[] histogram = new long[Bins];
        Array.Fill(largest, float.NaN);
        Array.Fill(nearest, -1);
        using Matrix<float> tile = rows.Device.AllocateMatrix<float>(Math.Min(Tile, n), n);
        for (int top = 0; top < n; top += Tile)
        {
            cancellation.ThrowIfCancellationRequested();
            int height = Math.Min(Tile, n - top);
            MatrixView<float> product = tile.View.RowBlock(0, height);
            Gemm.Multiply(Transpose.No, Transpose.Yes, 1f, rows.View.RowBlock(top, height), rows.View, 0f, product);
            product.CopyTo(values);
            for (int i = 0; i < height; i++)
            {
                float best = -1;
                for (int j = 0; j < n; j++)
                {
                    if (j == top + i) continue;
                    float size = Math.Min(1, Math.Abs(values[i * n + j]));
                    if (j > top + i) histogram[Math.Min(Bins - 1, (int)(size * Bins))]++;
                    if (size > best) (best, nearest[top + i]) = (size, latents[j]);
                }
                if (best >= 0) largest[top + i] = best;
            }
        }
        return (largest, nearest, histogram);
    }
}
