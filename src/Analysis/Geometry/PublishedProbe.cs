using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// The linear probe of the published code: a linear map without bias on rows of unit length, cross-entropy, SGD (rate 0.1, momentum 0.9, batches of 256,
/// 50 epochs) on as many rows of each class as the rarest has; columns with a standard deviation below 1e-8 take no part. It stops where its schedule ends, not at an
/// optimum: <see cref="LinearProbe"/> is the sound one. Start and order are this program's own draws, PyTorch's are not reproduced.
/// </summary>
public static partial class PublishedProbe
{
    private const double Rate = 0.1, Momentum = 0.9, SmallestDeviation = 1e-8;
    private const int BatchRows = 256, Epochs = 50;

    /// <param name="x">[n, d] not yet normalised.</param>
    /// <param name="labels">Class codes.</param>
    /// <param name="splits">Training and test rows; predictions are pooled.</param>
    /// <param name="seed">Of the balanced choice, the start and the order.</param>
    /// <param name="cancellation">Stops between epochs.</param>
    public static LinearProbeResult Evaluate(Matrix<double> x, ReadOnlySpan<int> labels, IReadOnlyList<Fold> splits, ulong seed = 42, CancellationToken cancellation = default)
    {
        int classes = 0;
        foreach (int label in labels) classes = Math.Max(classes, label + 1);
        int[] codes = labels.ToArray(), predictions = new int[codes.Length];
        Array.Fill(predictions, -1);
        foreach (Fold split in splits) Predict(x, codes, classes, split, seed, predictions, cancellation);
        return LinearProbe.Score(codes, predictions, classes);
    }

    private static void Predict(Matrix<double> x, int[] codes, int classes, Fold split, ulong seed, int[] predictions, CancellationToken cancellation)
    {
        CounterRandom random = new(seed, stream: 0x9B0B);
        int[] chosen = Balanced(codes, split.Train, ref random);
        using Matrix<double> unit = DropConstant(x, split.Train);
        if (unit.Columns == 0) return;
        using (DeviceBuffer<double> norms = x.Device.Allocate<double>(x.Rows)) L2Normalise.Rows(unit.View, norms.View, unit.View);
        double bound = 1 / Math.Sqrt(unit.Columns);
        double[] start = new double[classes * unit.Columns];
        for (int i = 0; i < start.Length; i++) start[i] = bound * (2 * random.NextDouble() - 1);
        int[][] orders = new int[Epochs][];
        for (int e = 0; e < Epochs; e++)
        {
            orders[e] = (int[])chosen.Clone();
            random.Shuffle<int>(orders[e]);
        }
        using Matrix<double> weights = Matrix<double>.From(x.Device, classes, unit.Columns, start);
        Train(unit, codes, weights, orders, cancellation);
        using Matrix<double> test = Gather.Rows(unit, split.Test), scores = x.Device.AllocateMatrix<double>(test.Rows, classes), best = x.Device.AllocateMatrix<double>(test.Rows, 1);
        using Matrix<int> predicted = x.Device.AllocateMatrix<int>(test.Rows, 1);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, test.View, weights.View, 0.0, scores.View);
        TopK.Rows(scores.View, predicted.View, best.View);
        int[] answers = predicted.ToArray();
        for (int i = 0; i < answers.Length; i++) predictions[split.Test[i]] = answers[i];
    }

    /// <summary>Stochastic gradient descent with momentum, v ← 0.9 v + g, W ← W − 0.1 v, over given orders of rows.</summary>
    internal static void Train(Matrix<double> x, int[] labels, Matrix<double> weights, IReadOnlyList<int[]> orders, CancellationToken cancellation = default)
    {
        using Matrix<double> gradient = x.Device.AllocateMatrix<double>(weights.Rows, weights.Columns), velocity = x.Device.AllocateMatrix<double>(weights.Rows, weights.Columns);
        Elementwise.Fill(velocity.View, 0);
        foreach (int[] order in orders)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (int[] batch in order.Chunk(BatchRows))
            {
                using Matrix<double> rows = Gather.Rows(x, batch), scores = x.Device.AllocateMatrix<double>(batch.Length, weights.Rows);
                double[] truth = new double[batch.Length * weights.Rows];
                for (int i = 0; i < batch.Length; i++) truth[i * weights.Rows + labels[batch[i]]] = 1;
                using Matrix<double> targets = Matrix<double>.From(x.Device, batch.Length, weights.Rows, truth);
                Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, rows.View, weights.View, 0.0, scores.View);
                Softmax.Rows(scores.View, scores.View);
                Elementwise.AddScaled(-1, targets.View, scores.View);
                Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0 / batch.Length, scores.View, rows.View, 0.0, gradient.View);
                // v ← g + 0.9 v in two steps, the sum ending in v.
                Elementwise.AddScaled(Momentum, velocity.View, gradient.View);
                Elementwise.Copy(gradient.View, velocity.View);
                Elementwise.AddScaled(-Rate, velocity.View, weights.View);
            }
        }
    }

    private static int[] Balanced(int[] labels, int[] rows, ref CounterRandom random)
    {
        int[][] members = [.. rows.GroupBy(i => labels[i]).OrderBy(g => g.Key).Select(g => g.ToArray())];
        int fewest = members.Min(m => m.Length);
        List<int> chosen = [];
        foreach (int[] member in members)
        {
            random.Shuffle<int>(member);
            chosen.AddRange(member.Take(fewest));
        }
        return [.. chosen.Order()];
    }

    private static Matrix<double> DropConstant(Matrix<double> x, int[] rows)
    {
        using Matrix<double> train = Gather.Rows(x, rows);
        using DeviceBuffer<double> means = x.Device.Allocate<double>(x.Columns), variances = x.Device.Allocate<double>(x.Columns);
        Reductions.ColumnVariances(train.View, means.View, variances.View);
        double[] variance = variances.ToArray();
        return Gather.Columns(x, [.. Enumerable.Range(0, x.Columns).Where(j => Math.Sqrt(variance[j]) >= SmallestDeviation)]);
    }
}
