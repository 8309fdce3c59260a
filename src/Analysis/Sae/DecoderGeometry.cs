using BioSup.Kernels;
using BioSup.Runtime;
using MathNet.Numerics.LinearAlgebra.Factorization;

namespace BioSup.Analysis.Sae;

/// <summary>Figures of the dictionary itself.</summary>
public static class DecoderGeometry
{
    private const int Tile = 512;

    /// <summary>Mean |cos| over pairs of the given decoder rows, by tiles of the Gram matrix; NaN below two rows.</summary>
    public static double MeanAbsoluteCosine(GatedSaeModel model, IReadOnlyList<int> latents)
    {
        int n = latents.Count;
        if (n < 2) return double.NaN;
        using Matrix<float> rows = UnitRows(model, latents), gram = model.Device.AllocateMatrix<float>(Math.Min(Tile, n), Math.Min(Tile, n));
        double sum = 0;
        for (int i = 0; i < n; i += Tile)
            for (int j = i; j < n; j += Tile)
            {
                int height = Math.Min(Tile, n - i), width = Math.Min(Tile, n - j);
                MatrixView<float> tile = gram.View.RowBlock(0, height).ColumnBlock(0, width);
                Gemm.Multiply(Transpose.No, Transpose.Yes, 1, rows.View.RowBlock(i, height), rows.View.RowBlock(j, width), 0, tile);
                for (int a = 0; a < height; a++)
                {
                    ReadOnlySpan<float> values = tile.Row(a);
                    for (int b = i == j ? a + 1 : 0; b < width; b++) sum += Math.Abs(values[b]);
                }
            }
        return sum / (0.5 * n * (n - 1.0));
    }

    /// <summary>exp(−Σ p ln p) with p = σ / Σσ over the singular values σ of the given decoder rows, through the d_in × d_in Gram matrix.</summary>
    public static double EffectiveRank(GatedSaeModel model, IReadOnlyList<int> latents)
    {
        int d = model.InputWidth;
        if (latents.Count == 0) return double.NaN;
        using Matrix<double> rows = model.Device.AllocateMatrix<double>(latents.Count, d), gram = model.Device.AllocateMatrix<double>(d, d);
        for (int i = 0; i < latents.Count; i++)
        {
            ReadOnlySpan<float> row = model.Decoder.Row(latents[i]);
            for (int k = 0; k < d; k++) rows.Row(i)[k] = row[k];
        }
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, rows.View, rows.View, 0, gram.View);
        Evd<double> decomposition = MathNet.Numerics.LinearAlgebra.CreateMatrix.Dense(d, d, (i, j) => gram.Row(i)[j]).Evd(MathNet.Numerics.LinearAlgebra.Symmetricity.Symmetric);
        double[] singular = [.. decomposition.EigenValues.Select(v => Math.Sqrt(Math.Max(0, v.Real)))];
        double sum = singular.Sum(), entropy = 0;
        if (!(sum > 0)) return double.NaN;
        foreach (double s in singular)
            if (s > 0) entropy -= s / sum * Math.Log(s / sum);
        return Math.Exp(entropy);
    }

    private static Matrix<float> UnitRows(GatedSaeModel model, IReadOnlyList<int> latents)
    {
        Matrix<float> rows = model.Device.AllocateMatrix<float>(latents.Count, model.InputWidth);
        for (int i = 0; i < latents.Count; i++)
        {
            ReadOnlySpan<float> source = model.Decoder.Row(latents[i]);
            double squares = 0;
            foreach (float v in source) squares += (double)v * v;
            double scale = squares > 0 ? 1 / Math.Sqrt(squares) : 0;
            for (int k = 0; k < source.Length; k++) rows.Row(i)[k] = (float)(source[k] * scale);
        }
        return rows;
    }
}
