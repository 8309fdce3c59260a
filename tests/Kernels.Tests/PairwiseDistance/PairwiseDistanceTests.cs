using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

public sealed class PairwiseDistanceTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    public static TheoryData<KernelVariant, DistanceMetric, DistanceForm> Every()
    {
        TheoryData<KernelVariant, DistanceMetric, DistanceForm> data = [];
        foreach (KernelVariant variant in DistanceData.Variants)
            foreach (DistanceMetric metric in DistanceData.Metrics)
                foreach (DistanceForm form in Enum.GetValues<DistanceForm>()) data.Add(variant, metric, form);
        return data;
    }

    /// <summary>Nothing, one row, primes, and one either side of the register tile, the panel and the block.</summary>
    public static IEnumerable<(int N, int M, int D)> Shapes() =>
    [
        (0, 3, 4), (3, 0, 4), (1, 1, 1), (5, 7, 3), (6, 16, 8), (7, 17, 9), (13, 31, 257), (12, 33, 256), (31, 29, 511),
        (191, 5, 17), (193, 197, 13), (3, 2, 0),
    ];

    [Theory, MemberData(nameof(Every))]
    public void Single_precision_errs_at_most_twice_as_much_as_a_plain_loop(KernelVariant variant, DistanceMetric metric, DistanceForm form)
    {
        foreach ((int n, int m, int d) in Shapes())
        {
            using Matrix<float> x = DistanceData.Normal<float>(_device, n, d, 1), y = DistanceData.Normal<float>(_device, m, d, 2, 0.5);
            using Matrix<float> distances = Compute(variant, metric, form, x, y);
            double error = 0, plain = 0, largest = 0;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                {
                    double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(j));
                    error = Math.Max(error, Math.Abs(distances.Row(i)[j] - exact));
                    double direct = DistanceData.Plain(metric, form, x.Row(i), y.Row(j));
                    // The plain loop has no answer for rows of length zero.
                    if (double.IsFinite(direct)) plain = Math.Max(plain, Math.Abs(direct - exact));
                    largest = Math.Max(largest, exact);
                }
            // Where the plain loop happens to be exact, one rounding of the result remains allowed.
            Assert.True(error <= Math.Max(2 * plain, largest * MathF.BitIncrement(1) - largest), $"{n}x{m}x{d}: {error:E2}, plain {plain:E2}");
        }
    }

    [Theory, MemberData(nameof(Every))]
    public void Double_precision_agrees_with_the_reference(KernelVariant variant, DistanceMetric metric, DistanceForm form)
    {
        foreach ((int n, int m, int d) in Shapes())
        {
            using Matrix<double> x = DistanceData.Normal<double>(_device, n, d, 1), y = DistanceData.Normal<double>(_device, m, d, 2, 0.5);
            using Matrix<double> distances = Compute(variant, metric, form, x, y);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                {
                    double exact = PairwiseDistance.ReferenceDistance<double>(metric, x.Row(i), y.Row(j));
                    // Both sides round: d terms each, and in the expanded form the sum may be 16 times the result.
                    double cap = (d + 16) * 16 * double.Epsilon + (d + 16) * 16 * 1.2e-16 * Math.Max(exact, 1e-3);
                    Assert.True(Math.Abs(distances.Row(i)[j] - exact) <= cap, $"{n}x{m}x{d} at ({i}, {j}): {distances.Row(i)[j]:R}, expected {exact:R}");
                }
        }
    }

    [Theory, MemberData(nameof(Every))]
    public void Distances_within_one_matrix_are_symmetric_with_a_zero_diagonal(KernelVariant variant, DistanceMetric metric, DistanceForm form)
    {
        foreach ((int n, int d) in new[] { (1, 5), (2, 1), (17, 3), (192, 7), (401, 5) })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_device, n, d, 3);
            // Zero rows, whose cosine distance to another zero row is 1 and to themselves is 0.
            if (n > 10) x.Row(4).Clear();
            if (n > 10) x.Row(9).Clear();
            using Matrix<float> self = _device.AllocateMatrix<float>(n, n), general = Compute(variant, metric, form, x, x);
            self.Buffer.Clear();
            using (KernelDispatch.Force(variant)) PairwiseDistance.ComputeSelf(metric, x.View, self.View, form);
            for (int i = 0; i < n; i++)
            {
                Assert.Equal(0u, BitConverter.SingleToUInt32Bits(self.Row(i)[i]));
                for (int j = 0; j < n; j++)
                {
                    AssertSameBits(self.Row(i)[j], self.Row(j)[i], i, j);
                    if (i != j) AssertSameBits(general.Row(i)[j], self.Row(i)[j], i, j);
                    Assert.True(self.Row(i)[j] >= 0);
                }
            }
        }
    }

    [Theory, MemberData(nameof(Every))]
    public void A_pair_has_the_same_bits_in_any_batch_and_on_any_number_of_threads(KernelVariant variant, DistanceMetric metric, DistanceForm form)
    {
        // An offset of a few standard deviations: some pairs cancel and are recomputed, others are not.
        using Matrix<float> x = DistanceData.Normal<float>(_device, 211, 259, 5, 2.5), y = DistanceData.Normal<float>(_device, 223, 259, 6, 2.5);
        using Matrix<float> whole = Compute(variant, metric, form, x, y);
        foreach ((int i0, int n, int j0, int m) in new[] { (0, 1, 0, 1), (5, 13, 17, 40), (190, 21, 191, 3), (3, 208, 222, 1) })
        {
            using Matrix<float> part = _device.AllocateMatrix<float>(n, m);
            using (KernelDispatch.Force(variant)) PairwiseDistance.Compute(metric, x.View.RowBlock(i0, n), y.View.RowBlock(j0, m), part.View, form);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) AssertSameBits(whole.Row(i0 + i)[j0 + j], part.Row(i)[j], i0 + i, j0 + j);
        }
        foreach (int threads in new[] { 1, 3 })
        {
            using CpuDevice other = new(threads);
            using Matrix<float> x2 = Copy(other, x), y2 = Copy(other, y), again = Compute(variant, metric, form, x2, y2);
            Assert.Equal(whole.Buffer.View.Host.ToArray(), again.Buffer.View.Host.ToArray());
        }
    }

    [Theory]
    [InlineData(KernelVariant.Avx512)]
    [InlineData(KernelVariant.Avx2)]
    [InlineData(KernelVariant.Portable)]
    public void An_offset_of_half_a_million_costs_no_digits(KernelVariant variant)
    {
        // torch.cdist and scikit-learn's float32 blocks lose everything here: |x|² is 10¹³ times the squared distances.
        using Matrix<float> x = DistanceData.Normal<float>(_device, 60, 64, 7, 5e5), y = DistanceData.Normal<float>(_device, 70, 64, 8, 5e5);
        foreach (DistanceMetric metric in new[] { DistanceMetric.Euclidean, DistanceMetric.SquaredEuclidean })
            foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
            {
                using Matrix<float> distances = Compute(variant, metric, form, x, y);
                for (int i = 0; i < x.Rows; i++)
                    for (int j = 0; j < y.Rows; j++)
                    {
                        double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(j));
                        Assert.InRange(distances.Row(i)[j], exact * (1 - 2e-6), exact * (1 + 2e-6));
                    }
            }
    }

    [Theory, MemberData(nameof(Every))]
    public void Nearly_equal_rows_keep_relative_accuracy_and_equal_rows_are_at_zero(KernelVariant variant, DistanceMetric metric, DistanceForm form)
    {
        using Matrix<float> x = DistanceData.Normal<float>(_device, 40, 100, 9, 1);
        using Matrix<float> y = Copy(_device, x);
        for (int i = 20; i < 40; i++)
            for (int k = 0; k < 100; k += 3) y.Row(i)[k] *= 1 + 1e-3f * (i - 19);
        using Matrix<float> distances = Compute(variant, metric, form, x, y);
        // Unit rows are rounded to single precision, which is 2^-24 of a coordinate: relative to a difference of 1e-3 that is 1e-4.
        double tolerance = metric is DistanceMetric.Cosine or DistanceMetric.Correlation ? 1e-3 : 1e-5;
        for (int i = 0; i < 40; i++)
        {
            double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(i));
            Assert.InRange(distances.Row(i)[i], exact * (1 - tolerance), exact * (1 + tolerance));
        }
    }

    [Fact]
    public void Rows_of_zeros_or_of_one_constant_are_at_distance_one()
    {
        using Matrix<float> x = Matrix<float>.From(_device, 4, 3, [0, 0, 0, 2, 2, 2, 1, 2, 4, 0, 0, 0]);
        foreach (KernelVariant variant in KernelDispatch.All)
            foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
            {
                using Matrix<float> cosine = Compute(variant, DistanceMetric.Cosine, form, x, x), correlation = Compute(variant, DistanceMetric.Correlation, form, x, x);
                for (int j = 0; j < 4; j++)
                {
                    Assert.Equal(1f, cosine.Row(0)[j]);
                    Assert.Equal(1f, cosine.Row(j)[3]);
                    Assert.Equal(1f, correlation.Row(1)[j]);
                    Assert.Equal(1f, correlation.Row(j)[0]);
                }
            }
    }

    [Fact]
    public void Padded_rows_are_read_and_written_in_place()
    {
        using Matrix<float> wide = DistanceData.Normal<float>(_device, 20, 11, 10), target = _device.AllocateMatrix<float>(20, 30);
        target.Buffer.View.Host.Fill(-1);
        MatrixView<float> x = wide.View.ColumnBlock(2, 7), distances = target.View.ColumnBlock(4, 20);
        PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, x, distances);
        for (int i = 0; i < 20; i++)
        {
            for (int j = 0; j < 20; j++)
                Assert.Equal(PairwiseDistance.ReferenceDistance<float>(DistanceMetric.Euclidean, x.Row(i), x.Row(j)), distances.Row(i)[j], 1e-5);
            for (int j = 0; j < 30; j++) if (j is < 4 or >= 24) Assert.Equal(-1f, target.Row(i)[j]);
        }
    }

    [Fact]
    public void Wrong_shapes_are_refused()
    {
        using Matrix<float> a = _device.AllocateMatrix<float>(3, 4), b = _device.AllocateMatrix<float>(5, 3), c = _device.AllocateMatrix<float>(3, 5);
        Assert.Throws<ArgumentException>(() => PairwiseDistance.Compute(DistanceMetric.Euclidean, a.View, b.View, c.View));
        Assert.Throws<ArgumentException>(() => PairwiseDistance.Compute(DistanceMetric.Euclidean, b.View, b.View, c.View));
        Assert.Throws<ArgumentException>(() => PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, a.View, c.View));
        UsageException error = Assert.Throws<UsageException>(() => DistanceMetrics.Parse("minkowski"));
        Assert.Contains("chebyshev", error.Message);
        foreach (DistanceMetric metric in DistanceData.Metrics) Assert.Equal(metric, DistanceMetrics.Parse(DistanceMetrics.NameOf(metric)));
    }

    private Matrix<T> Compute<T>(KernelVariant variant, DistanceMetric metric, DistanceForm form, Matrix<T> x, Matrix<T> y)
        where T : unmanaged, INumber<T>
    {
        Matrix<T> distances = x.Device.AllocateMatrix<T>(x.Rows, y.Rows);
        using (KernelDispatch.Force(variant))
        {
            if (typeof(T) == typeof(float)) PairwiseDistance.Compute(metric, ((Matrix<float>)(object)x).View, ((Matrix<float>)(object)y).View, ((Matrix<float>)(object)distances).View, form);
            else PairwiseDistance.Compute(metric, ((Matrix<double>)(object)x).View, ((Matrix<double>)(object)y).View, ((Matrix<double>)(object)distances).View, form);
        }
        return distances;
    }

    private static Matrix<float> Copy(ComputeDevice device, Matrix<float> source) =>
        Matrix<float>.From(device, source.Rows, source.Columns, source.Buffer.View.Host);

    private static void AssertSameBits(float expected, float actual, int i, int j) =>
        Assert.True(BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(actual), $"({i}, {j}): {expected:R} and {actual:R}");
}
