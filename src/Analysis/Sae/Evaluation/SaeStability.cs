using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>A latent of one model and the latent of another that the assignment gives it.</summary>
/// <param name="First">Latent of the first model.</param>
/// <param name="Second">Latent of the second model.</param>
/// <param name="Cosine">Of their decoder rows, −1 … 1.</param>
public readonly record struct LatentPair(int First, int Second, float Cosine);

/// <summary>
/// How far two dictionaries of the same tokens agree: decoder rows of alive latents matched one to one for the largest sum of cosines (Hungarian matching,
/// as Paulo and Belrose 2025, arXiv 2501.16615, compare seeds), and each latent's cosine with its nearest one (mean max cosine similarity of Sharkey et al. 2022).
/// Cosines keep their sign: activations are never negative, so opposite directions are different latents.
/// </summary>
public sealed record SaeStability
{
    private const int Tile = 512;

    /// <summary>Latents of the first model that took part.</summary>
    public required int FirstLatents { get; init; }

    /// <summary>Latents of the second model that took part.</summary>
    public required int SecondLatents { get; init; }

    /// <summary>One pair for every latent of the model with fewer alive latents, ascending in the first model's latents.</summary>
    public required IReadOnlyList<LatentPair> Pairs { get; init; }

    /// <summary>Mean cosine of the pairs.</summary>
    public required double MeanMatchedCosine { get; init; }

    /// <summary>Mean over the first model's latents of the largest cosine with any of the second's.</summary>
    public required double FirstMeanMaxCosine { get; init; }

    /// <summary>Mean over the second model's latents of the largest cosine with any of the first's.</summary>
    public required double SecondMeanMaxCosine { get; init; }

    /// <summary>Share of pairs with a cosine above 0.7, which Paulo and Belrose take for the same feature.</summary>
    public double ShareAbove07 => Share(0.7);

    /// <summary>Share of pairs with a cosine above 0.9.</summary>
    public double ShareAbove09 => Share(0.9);

    /// <summary>Share of pairs with a cosine above a bound.</summary>
    public double Share(double bound) => (double)Pairs.Count(p => p.Cosine > bound) / Pairs.Count;

    /// <summary>Bytes that <see cref="Match(SaeModel, SaeModel, double, CancellationToken)"/> holds beside the models: all cosines in single precision, both dictionaries once more.</summary>
    /// <param name="first">Alive latents of the first model.</param>
    /// <param name="second">Alive latents of the second model.</param>
    /// <param name="inputWidth">d_in.</param>
    public static long Bytes(int first, int second, int inputWidth) => 4L * first * second + 4L * (first + second) * inputWidth;

    /// <summary>Compares two models of the same tokens; their widths may differ.</summary>
    /// <param name="first">A model.</param>
    /// <param name="second">Another of the same d_in.</param>
    /// <param name="aliveThreshold">Latents with a usage average below this are left out, as are latents without a direction; 0 keeps all.</param>
    /// <param name="cancellation">Stops between tiles and rows.</param>
    /// <exception cref="DataException">The models differ in d_in, or one has no alive latent.</exception>
    public static SaeStability Match(SaeModel first, SaeModel second, double aliveThreshold = SaeEvaluation.AliveThreshold, CancellationToken cancellation = default)
    {
        if (first.InputWidth != second.InputWidth) throw new DataException("models", null, $"read tokens of {first.InputWidth} and of {second.InputWidth} dimensions; only dictionaries of the same tokens can be compared");
        int[] ofFirst = Alive(first, aliveThreshold, "first"), ofSecond = Alive(second, aliveThreshold, "second");
        using Matrix<float> a = LatentRows.Take(first, ofFirst), b = LatentRows.Take(second, ofSecond, first.Device);
        return Match(a, ofFirst, b, ofSecond, cancellation);
    }

    /// <summary>Compares two dictionaries given as rows, for instance learned latents with known directions.</summary>
    /// <param name="first">[n, d], no row of zeros, scaled in place to unit length.</param>
    /// <param name="second">[m, d], likewise, on the same device.</param>
    /// <param name="cancellation">Stops between tiles and rows.</param>
    public static SaeStability Match(Matrix<float> first, Matrix<float> second, CancellationToken cancellation = default) =>
        Match(first, [.. Enumerable.Range(0, first.Rows)], second, [.. Enumerable.Range(0, second.Rows)], cancellation);

    private static SaeStability Match(Matrix<float> a, int[] ofFirst, Matrix<float> b, int[] ofSecond, CancellationToken cancellation)
    {
        LatentRows.Normalise(a);
        LatentRows.Normalise(b);
        // The assignment wants the shorter side as rows.
        bool turned = a.Rows > b.Rows;
        (Matrix<float> rows, Matrix<float> columns) = turned ? (b, a) : (a, b);
        float[] costs = NegativeCosines(rows, columns, cancellation);
        int[] columnOfRow = LinearAssignment.Minimise<float>(costs, rows.Rows, columns.Rows, cancellation);
        LatentPair[] pairs = new LatentPair[rows.Rows];
        for (int i = 0; i < pairs.Length; i++)
        {
            float cosine = Math.Clamp(-costs[i * columns.Rows + columnOfRow[i]], -1, 1);
            pairs[i] = turned ? new(ofFirst[columnOfRow[i]], ofSecond[i], cosine) : new(ofFirst[i], ofSecond[columnOfRow[i]], cosine);
        }
        (double ofRows, double ofColumns) = MeanMaxima(costs, rows.Rows, columns.Rows);
        return new SaeStability
        {
            FirstLatents = a.Rows,
            SecondLatents = b.Rows,
            Pairs = [.. pairs.OrderBy(p => p.First)],
            MeanMatchedCosine = pairs.Average(p => (double)p.Cosine),
            FirstMeanMaxCosine = turned ? ofColumns : ofRows,
            SecondMeanMaxCosine = turned ? ofRows : ofColumns,
        };
    }

    private static int[] Alive(SaeModel model, double threshold, string which)
    {
        int[] alive = LatentRows.Alive(model, threshold);
        return alive.Length > 0 ? alive : throw new DataException("models", which, $"none of the {model.Latents} latents has a usage average of {threshold} or more; pass 0 to compare all");
    }

    /// <summary>−cos of all pairs, tile of rows by tile of rows.</summary>
    private static float[] NegativeCosines(Matrix<float> rows, Matrix<float> columns, CancellationToken cancellation)
    {
        float[] costs = new float[checked(rows.Rows * columns.Rows)];
        using Matrix<float> tile = rows.Device.AllocateMatrix<float>(Math.Min(Tile, rows.Rows), columns.Rows);
        for (int top = 0; top < rows.Rows; top += Tile)
        {
            cancellation.ThrowIfCancellationRequested();
            int height = Math.Min(Tile, rows.Rows - top);
            MatrixView<float> product = tile.View.RowBlock(0, height);
            Gemm.Multiply(Transpose.No, Transpose.Yes, -1f, rows.View.RowBlock(top, height), columns.View, 0f, product);
            product.CopyTo(costs.AsSpan(top * columns.Rows, height * columns.Rows));
        }
        return costs;
    }

    private static (double OfRows, double OfColumns) MeanMaxima(float[] costs, int rows, int columns)
    {
        float[] best = new float[columns];
        Array.Fill(best, float.PositiveInfinity);
        double sum = 0;
        for (int i = 0; i < rows; i++)
        {
            float least = float.PositiveInfinity;
            for (int j = 0; j < columns; j++)
            {
                float cost = costs[i * columns + j];
                least = Math.Min(least, cost);
                best[j] = Math.Min(best[j], cost);
            }
            sum -= least;
        }
        return (sum / rows, -best.Average(c => (double)c));
    }
}
