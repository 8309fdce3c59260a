using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// A coupling T = Q diag(1 / g) Rᵀ [n, m] known by its factors. Nothing of the size n m is stored; questions that look at every entry are answered by blocks of rows. In host memory. Owns the factors.
/// </summary>
public sealed class LowRankCoupling : IFactoredCoupling
{
    /// <summary>Elements of a block of rows that is formed to be looked at.</summary>
    private const int BlockElements = 1 << 20;

    /// <summary>Entries that are looked at one by one; of larger couplings every second, third, ... row.</summary>
    private const long MostEntries = 4_000_000_000;
    private readonly Matrix<double> _scaled;
    private (int[] Best, double[] Entropies)? _looked;

    internal LowRankCoupling(Matrix<double> first, Matrix<double> second, double[] weights)
    {
        (First, Second, Weights) = (first, second, weights);
        _scaled = second.CopyOnHost();
        for (int j = 0; j < second.Rows; j++) TensorPrimitives.Divide(_scaled.Row(j), weights, _scaled.Row(j));
        RowMasses = MultiplyOnes(first, TensorSums(_scaled));
        ColumnMasses = MultiplyOnes(_scaled, TensorSums(first));
    }

    /// <summary>A coupling from its factors, as they were saved.</summary>
    /// <param name="first">Q [n, r], in host memory, entries not negative; passes to this object.</param>
    /// <param name="second">R [m, r]; passes to this object.</param>
    /// <param name="weights">g [r], positive.</param>
    /// <param name="source">What to call the coupling in errors.</param>
    /// <exception cref="DataException">The shapes do not fit, a value is not finite or negative, a weight not positive, or a row carries no mass.</exception>
    public static LowRankCoupling From(Matrix<double> first, Matrix<double> second, double[] weights, string source = "coupling")
    {
        if (first.Rows == 0 || second.Rows == 0 || weights.Length == 0 || first.Columns != weights.Length || second.Columns != weights.Length)
            throw new DataException(source, null, $"factors of {first.Rows} x {first.Columns} and {second.Rows} x {second.Columns} with {weights.Length} weights make no coupling.");
        RequireMasses(first, source, "Q");
        RequireMasses(second, source, "R");
        int wrong = Array.FindIndex(weights, weight => !(weight > 0) || !double.IsFinite(weight));
        if (wrong >= 0) throw new DataException(source, $"g, element {wrong}, counted from 0", string.Create(CultureInfo.InvariantCulture, $"the weight is {weights[wrong]}; weights must be positive."));
        LowRankCoupling coupling = new(first, second, weights);
        int empty = Array.FindIndex(coupling.RowMasses, mass => !(mass > 0));
        if (empty >= 0) throw new DataException(source, $"row {empty}, counted from 0", "every mass is zero, so that the cell has no partner.");
        return coupling;
    }

    public int Rows => First.Rows;
    public int Columns => Second.Rows;
    public int Rank => Weights.Length;
    public int RowStep => (int)((MostEntries - 1 + (long)Rows * Columns) / MostEntries);

    /// <summary>Q [n, r], row sums 1 / n.</summary>
    public Matrix<double> First { get; }

    /// <summary>R [m, r], row sums 1 / m.</summary>
    public Matrix<double> Second { get; }

    /// <summary>g [r], positive, the column sums of both factors.</summary>
    public double[] Weights { get; }

    /// <summary>Row sums of T [n].</summary>
    public double[] RowMasses { get; }

    /// <summary>Column sums of T [m].</summary>
    public double[] ColumnMasses { get; }

    /// <summary>Rows <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> of T.</summary>
    public Matrix<double> Block(int first, int count)
    {
        Matrix<double> block = First.Device.AllocateMatrix<double>(count, Columns);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1, First.View.RowBlock(first, count), _scaled.View, 0, block.View);
        return block;
    }

    /// <summary>T V [n, k] for features V [m, k] in host memory.</summary>
    public Matrix<double> Multiply(MatrixView<double> features) => Through(_scaled, features, First);

    /// <summary>Tᵀ V [m, k] for features V [n, k] in host memory.</summary>
    public Matrix<double> MultiplyTransposed(MatrixView<double> features) => Through(First, features, _scaled);

    /// <summary>The first domain in the second one's features: row i is sum_j T_ij V_j / sum_j T_ij.</summary>
    public Matrix<double> Project(MatrixView<double> features)
    {
        Matrix<double> result = Multiply(features);
        for (int i = 0; i < Rows; i++) TensorPrimitives.Divide(result.Row(i), RowMasses[i], result.Row(i));
        return result;
    }

    /// <summary>Mass that every row gives each class of the second domain [n, classes].</summary>
    public Matrix<double> LabelSums(ReadOnlySpan<int> classes, int count)
    {
        if (classes.Length != Columns) throw new ArgumentException($"There are {classes.Length} labels for {Columns} columns.", nameof(classes));
        using Matrix<double> members = First.Device.AllocateMatrix<double>(Columns, count);
        members.Buffer.Clear();
        for (int j = 0; j < Columns; j++) members.Row(j)[classes[j]] = 1;
        return Multiply(members.View);
    }

    /// <summary>Of rows 0, every, 2 every, ..., the column with the largest entry (the first of equals) and the entropy of its weights in nats. Takes n m r / every operations.</summary>
    public unsafe (int[] Best, double[] Entropies) Scan(int every = 1, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(every, 1);
        int total = (Rows + every - 1) / every, rows = Math.Clamp(BlockElements / Columns, 1, total);
        int[] best = new int[total];
        double[] entropies = new double[total];
        for (int start = 0; start < total; start += rows)
        {
            cancellation.ThrowIfCancellationRequested();
            int first = start, count = Math.Min(rows, total - start);
            using Matrix<double> block = First.Device.AllocateMatrix<double>(count, Columns);
            MatrixView<double> all = First.View, chosen = new(all.Pointer + (long)first * every * all.Stride, count, Rank, every * all.Stride, all.Device);
            Gemm.Multiply(Transpose.No, Transpose.Yes, 1, chosen, _scaled.View, 0, block.View);
            BlockLoop.Run(block.Device, count, i =>
            {
                ReadOnlySpan<double> row = block.Row(i);
                double mass = RowMasses[(first + i) * every], logs = 0;
                int largest = 0;
                for (int j = 0; j < row.Length; j++)
                {
                    if (row[j] > 0) logs += row[j] * Math.Log(row[j]);
                    if (row[j] > row[largest]) largest = j;
                }
                best[first + i] = largest;
                entropies[first + i] = Math.Max(0, Math.Log(mass) - logs / mass);
            });
        }
        return (best, entropies);
    }

    /// <summary>Looks at the entries once for <see cref="BestColumns"/> and <see cref="MeanPartners"/>, which otherwise do it when first asked.</summary>
    public void Look(CancellationToken cancellation = default) => _looked ??= Scan(RowStep, cancellation);

    public int[] BestColumns()
    {
        Look();
        return _looked!.Value.Best;
    }

    public double MeanPartners()
    {
        Look();
        return Math.Exp(_looked!.Value.Entropies.Average());
    }

    /// <summary>Native bytes that scores hold beside the coupling: a block of rows, and one of the classes or coordinates of both domains.</summary>
    internal static long ScoringBytes(long rows, long columns, int features) => 8 * (Math.Max(Math.Min(BlockElements, rows * columns), columns) + 2 * (rows + columns) * features);

    /// <summary>All of T [n, m]: for couplings that fit.</summary>
    public Matrix<double> ToMatrix() => Block(0, Rows);

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
        _scaled.Dispose();
    }

    private Matrix<double> Through(Matrix<double> inner, MatrixView<double> features, Matrix<double> outer)
    {
        using Matrix<double> between = First.Device.AllocateMatrix<double>(Rank, features.Columns);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, inner.View, features, 0, between.View);
        Matrix<double> result = First.Device.AllocateMatrix<double>(outer.Rows, features.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, outer.View, between.View, 0, result.View);
        return result;
    }

    private static void RequireMasses(Matrix<double> factor, string source, string name)
    {
        for (int i = 0; i < factor.Rows; i++)
            foreach (double mass in factor.Row(i))
                if (!(mass >= 0) || !double.IsFinite(mass))
                    throw new DataException(source, $"{name}, row {i}, counted from 0", string.Create(CultureInfo.InvariantCulture, $"the value is {mass}; factors hold masses, finite and not negative."));
    }

    private static double[] TensorSums(Matrix<double> factor)
    {
        double[] sums = new double[factor.Columns];
        for (int i = 0; i < factor.Rows; i++) TensorPrimitives.Add(sums, factor.Row(i), sums);
        return sums;
    }

    private static double[] MultiplyOnes(Matrix<double> factor, double[] sums)
    {
        double[] result = new double[factor.Rows];
        for (int i = 0; i < result.Length; i++) result[i] = TensorPrimitives.Dot<double>(factor.Row(i), sums);
        return result;
    }
}
