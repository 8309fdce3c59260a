using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class PairwiseDistanceCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(1);

    public void Dispose() => _host.Dispose();

    public static TheoryData<DistanceMetric, DistanceForm> Every()
    {
        TheoryData<DistanceMetric, DistanceForm> data = [];
        foreach (DistanceMetric metric in DistanceData.Metrics)
            foreach (DistanceForm form in Enum.GetValues<DistanceForm>()) data.Add(metric, form);
        return data;
    }

    /// <summary>Nothing, one row, primes, one either side of the tile, the slab and the chunk of coordinates; then numbers of coordinates up to 130.</summary>
    public static IEnumerable<(int N, int M, int D)> Shapes() =>
    [
        (0, 3, 4), (3, 0, 4), (3, 2, 0), (1, 1, 1), (5, 7, 3), (64, 64, 16), (63, 65, 17), (65, 63, 15), (67, 131, 64), (13, 31, 257),
        .. Enumerable.Range(1, 26).Select(step => (5, 7, 5 * step)), .. Enumerable.Range(1, 19).Select(d => (7, 5, d)),
    ];

    [Theory, MemberData(nameof(Every))]
    public void Single_precision_errs_at_most_twice_as_much_as_a_plain_loop(DistanceMetric metric, DistanceForm form)
    {
        CudaDevice device = fixture.Require();
        double error = 0, plain = 0, largest = 0;
        foreach ((int n, int m, int d) in Shapes())
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 1), y = DistanceData.Normal<float>(_host, m, d, 2, 0.5);
            float[] distances = Compute(device, metric, form, x, y);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                {
                    double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(j));
                    Assert.True(Math.Abs(distances[i * m + j] - exact) <= 1e-5 * Math.Max(1, exact), $"{n}x{m}x{d} at ({i}, {j}): {distances[i * m + j]:R}, expected {exact:R}");
                    error = Math.Max(error, Math.Abs(distances[i * m + j] - exact));
                    double direct = DistanceData.Plain(metric, form, x.Row(i), y.Row(j));
                    // The plain loop has no answer for rows of length zero.
                    if (double.IsFinite(direct)) plain = Math.Max(plain, Math.Abs(direct - exact));
                    largest = Math.Max(largest, exact);
                }
        }
        // Where the plain loop happens to be exact, one rounding of the result remains allowed.
        Assert.True(error <= Math.Max(2 * plain, largest * MathF.BitIncrement(1) - largest), $"{error:E2}, plain {plain:E2}");
    }

    [Theory, MemberData(nameof(Every))]
    public void Distances_within_one_matrix_are_symmetric_with_a_zero_diagonal(DistanceMetric metric, DistanceForm form)
    {
        CudaDevice device = fixture.Require();
        foreach ((int n, int d) in new[] { (1, 5), (2, 1), (64, 7), (151, 5), (70, 67) })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 3);
            // Zero rows, whose cosine distance to another zero row is 1 and to themselves is 0.
            if (n > 10) x.Row(4).Clear();
            if (n > 10) x.Row(9).Clear();
            using Matrix<float> onDevice = x.To(device), result = device.AllocateMatrix<float>(n, n);
            PairwiseDistance.ComputeSelf(metric, onDevice.View, result.View, form);
            float[] self = result.ToHost(), general = Compute(device, metric, form, x, x);
            for (int i = 0; i < n; i++)
            {
                Assert.Equal(0u, BitConverter.SingleToUInt32Bits(self[i * n + i]));
                for (int j = 0; j < n; j++)
                {
                    AssertSameBits(self[i * n + j], self[j * n + i], i, j);
                    if (i != j) AssertSameBits(general[i * n + j], self[i * n + j], i, j);
                    Assert.True(self[i * n + j] >= 0);
                }
            }
        }
    }

    [Theory, MemberData(nameof(Every))]
    public void A_pair_has_the_same_bits_in_any_batch(DistanceMetric metric, DistanceForm form)
    {
        CudaDevice device = fixture.Require();
        // An offset of a few standard deviations: some pairs cancel and are recomputed, others are not.
        using Matrix<float> x = DistanceData.Normal<float>(_host, 83, 67, 5, 2.5), y = DistanceData.Normal<float>(_host, 90, 67, 6, 2.5);
        float[] whole = Compute(device, metric, form, x, y);
        Assert.Equal(whole, Compute(device, metric, form, x, y));
        using Matrix<float> onX = x.To(device), onY = y.To(device);
        foreach ((int i0, int n, int j0, int m) in new[] { (0, 1, 0, 1), (5, 13, 17, 40), (62, 21, 3, 70), (3, 80, 89, 1) })
        {
            using Matrix<float> part = device.AllocateMatrix<float>(n, m);
            PairwiseDistance.Compute(metric, onX.View.RowBlock(i0, n), onY.View.RowBlock(j0, m), part.View, form);
            float[] found = part.ToHost();
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) AssertSameBits(whole[(i0 + i) * 90 + j0 + j], found[i * m + j], i0 + i, j0 + j);
        }
    }

    /// <summary>Asked for at any depth, three TF32 products leave out at most 2⁻²¹ of |x| |y|.</summary>
    [Theory]
    [InlineData(GemmPrecision.TensorFloat3, 1.0 / (1 << 20))]
    [InlineData(GemmPrecision.BFloat16, 1.0 / (1 << 7))]
    public void Short_products_err_as_stated(GemmPrecision precision, double factor)
    {
        CudaDevice device = fixture.Require();
        foreach ((int n, int m, int d) in new[] { (1, 1, 1), (5, 7, 3), (65, 130, 33), (7, 5, 16), (13, 31, 257) })
            foreach (DistanceMetric metric in new[] { DistanceMetric.SquaredEuclidean, DistanceMetric.Cosine })
            {
                using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 1), y = DistanceData.Normal<float>(_host, m, d, 2, 0.5);
                float[] distances = Compute(device, metric, DistanceForm.Expanded, x, y, precision);
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < m; j++)
                    {
                        double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(j));
                        double norms = metric == DistanceMetric.Cosine ? 1 : Enumerable.Range(0, d).Sum(k => Math.Pow(x.Row(i)[k], 2) + Math.Pow(y.Row(j)[k], 2)) / 2;
                        double error = Math.Abs(distances[i * m + j] - exact), rounding = (d + 16) * 6e-8 * norms;
                        Assert.True(error <= factor * norms + rounding, $"{precision} {metric} {n}x{m}x{d} at ({i}, {j}): {distances[i * m + j]:R}, expected {exact:R}");
                        // What has cancelled is computed from differences.
                        Assert.True(error <= 16 * (factor * exact + rounding), $"{precision} {metric} {n}x{m}x{d} at ({i}, {j}): relative error");
                    }
            }
    }

    /// <summary>Far from zero every pair cancels, and a square of them is computed from differences.</summary>
    [Theory]
    [InlineData(GemmPrecision.Single)]
    [InlineData(GemmPrecision.TensorFloat3)]
    [InlineData(GemmPrecision.BFloat16)]
    public void Pairs_that_cancel_have_the_bits_of_the_direct_form(GemmPrecision precision)
    {
        CudaDevice device = fixture.Require();
        const int n = 133, m = 70;
        foreach (int d in new[] { 5, 63 })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 1, 40), y = DistanceData.Normal<float>(_host, m, d, 2, 40), onX = x.To(device), onY = y.To(device);
            float[] direct = Compute(device, DistanceMetric.Euclidean, DistanceForm.Direct, x, y);
            PairConfig config = PairConfig.For<float>(DistanceMetric.Euclidean, DistanceForm.Expanded, precision, d);
            using CudaPairOperand<float> left = new(device, onX.View, DistanceMetric.Euclidean, config), right = new(device, onY.View, DistanceMetric.Euclidean, config);
            foreach (int tile in precision == GemmPrecision.Single ? new[] { 64 } : [64, 128])
            {
                using Matrix<float> found = device.AllocateMatrix<float>(n, m);
                PairwiseDistance.Launch(device, config with { Tile = tile }, PairArguments.Of(left, right, n, m, d, self: false), found.View.Address, m, DevicePointer.Null, 0);
                Assert.Equal(direct, found.ToHost());
            }
        }
    }

    [Fact]
    public void The_square_does_not_change_the_result()
    {
        CudaDevice device = fixture.Require();
        const int n = 150, m = 131, d = 21;
        using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 1), y = DistanceData.Normal<float>(_host, m, d, 2, 0.5), onX = x.To(device), onY = y.To(device);
        foreach (GemmPrecision precision in new[] { GemmPrecision.TensorFloat3, GemmPrecision.BFloat16 })
        {
            PairConfig config = PairConfig.For<float>(DistanceMetric.Euclidean, DistanceForm.Expanded, precision, d);
            using CudaPairOperand<float> left = new(device, onX.View, DistanceMetric.Euclidean, config), right = new(device, onY.View, DistanceMetric.Euclidean, config);
            using Matrix<float> small = device.AllocateMatrix<float>(n, m), large = device.AllocateMatrix<float>(n, m), mirror = device.AllocateMatrix<float>(m, n);
            PairArguments pairs = PairArguments.Of(left, right, n, m, d, self: false);
            PairwiseDistance.Launch(device, config, pairs, small.View.Address, m, DevicePointer.Null, 0);
            PairwiseDistance.Launch(device, config with { Tile = 128 }, pairs, large.View.Address, m, mirror.View.Address, n);
            float[] expected = small.ToHost(), transposed = mirror.ToHost();
            Assert.Equal(expected, large.ToHost());
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) AssertSameBits(expected[i * m + j], transposed[j * n + i], i, j);
        }
    }

    [Fact]
    public void The_units_follow_from_the_length_of_the_rows_and_the_square_from_their_number()
    {
        CudaDevice device = fixture.Require();
        PairConfig shallow = PairConfig.For<float>(DistanceMetric.Euclidean, DistanceForm.Expanded, GemmPrecision.Single, 63), deep = PairConfig.For<float>(DistanceMetric.Euclidean, DistanceForm.Expanded, GemmPrecision.Single, 64);
        Assert.Equal("square 64x64, 256 threads, BS_TERM=0 BS_VALUE=1", shallow.ToString());
        Assert.Equal("square 64x64, 128 threads, BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=1", deep.ToString());
        Assert.Equal(shallow, shallow.Fit(device.Info, 100_000, 100_000));
        Assert.Equal(deep, deep.Fit(device.Info, 100, 100));
        Assert.Equal(deep with { Tile = 128 }, deep.Fit(device.Info, 100_000, 100_000));
        Assert.Equal(deep, deep.Fit(device.Info, 100_000, 100_000, _ => int.MaxValue));
        Assert.Equal(shallow with { Double = true }, PairConfig.For<double>(DistanceMetric.Euclidean, DistanceForm.Expanded, GemmPrecision.BFloat16, 512));
        Assert.Equal(1, PairConfig.For<float>(DistanceMetric.Euclidean, DistanceForm.Direct, GemmPrecision.TensorFloat3, 512).Term);
    }

    [Fact]
    public void An_offset_of_half_a_million_costs_no_digits()
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> x = DistanceData.Normal<float>(_host, 20, 64, 7, 5e5), y = DistanceData.Normal<float>(_host, 30, 64, 8, 5e5);
        foreach (DistanceMetric metric in new[] { DistanceMetric.Euclidean, DistanceMetric.SquaredEuclidean })
            foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
            {
                float[] distances = Compute(device, metric, form, x, y);
                for (int i = 0; i < x.Rows; i++)
                    for (int j = 0; j < y.Rows; j++)
                    {
                        double exact = PairwiseDistance.ReferenceDistance<float>(metric, x.Row(i), y.Row(j));
                        Assert.InRange(distances[i * y.Rows + j], exact * (1 - 2e-6), exact * (1 + 2e-6));
                    }
            }
    }

    [Fact]
    public void Rows_of_zeros_or_of_one_constant_are_at_distance_one()
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> x = Matrix<float>.From(_host, 4, 3, [0, 0, 0, 2, 2, 2, 1, 2, 4, 0, 0, 0]);
        foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
        {
            float[] cosine = Compute(device, DistanceMetric.Cosine, form, x, x), correlation = Compute(device, DistanceMetric.Correlation, form, x, x);
            for (int j = 0; j < 4; j++)
            {
                Assert.Equal(1f, cosine[j]);
                Assert.Equal(1f, cosine[j * 4 + 3]);
                Assert.Equal(1f, correlation[4 + j]);
                Assert.Equal(1f, correlation[j * 4]);
            }
        }
    }

    [Fact]
    public void Padded_rows_are_read_and_written_in_place()
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> wide = DistanceData.Normal<float>(_host, 70, 11, 10);
        using Matrix<float> source = wide.To(device), target = device.AllocateMatrix<float>(70, 80);
        device.Stream.Fill(target.Buffer.View, -1f);
        PairwiseDistance.ComputeSelf(DistanceMetric.Correlation, source.View.ColumnBlock(2, 7), target.View.ColumnBlock(4, 70));
        float[] distances = target.ToHost();
        for (int i = 0; i < 70; i++)
            for (int j = 0; j < 80; j++)
            {
                bool inside = j is >= 4 and < 74 && j - 4 != i;
                double expected = inside ? PairwiseDistance.ReferenceDistance<float>(DistanceMetric.Correlation, wide.Row(i).Slice(2, 7), wide.Row(j - 4).Slice(2, 7)) : j - 4 == i ? 0 : -1;
                Assert.Equal(expected, distances[i * 80 + j], 1e-6);
            }
    }

    [Theory, MemberData(nameof(Every))]
    public void Double_precision_agrees_with_the_reference(DistanceMetric metric, DistanceForm form)
    {
        CudaDevice device = fixture.Require();
        foreach ((int n, int m, int d) in new[] { (0, 3, 4), (3, 2, 0), (1, 1, 1), (5, 7, 3), (65, 63, 17), (7, 67, 131) })
            foreach (double offset in new[] { 0.5, 1e8 })
            {
                using Matrix<double> x = DistanceData.Normal<double>(_host, n, d, 1, offset), y = DistanceData.Normal<double>(_host, m, d, 2, offset);
                double[] distances = Compute(device, metric, form, x, y);
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < m; j++)
                    {
                        double exact = PairwiseDistance.ReferenceDistance<double>(metric, x.Row(i), y.Row(j));
                        // Both sides round: d terms each, and in the expanded form the sum may be 16 times the result. Angles lose the digits of the offset before that.
                        double scale = metric is DistanceMetric.Cosine or DistanceMetric.Correlation && offset > 1 ? Math.Max(exact, 1) * offset : Math.Max(exact, 1e-3);
                        Assert.True(Math.Abs(distances[i * m + j] - exact) <= (d + 16) * 16 * 1.2e-16 * scale, $"{n}x{m}x{d} at ({i}, {j}): {distances[i * m + j]:R}, expected {exact:R}");
                    }
            }
    }

    [Theory, MemberData(nameof(Every))]
    public void Double_precision_within_one_matrix_is_symmetric_with_a_zero_diagonal(DistanceMetric metric, DistanceForm form)
    {
        CudaDevice device = fixture.Require();
        const int n = 67;
        using Matrix<double> x = DistanceData.Normal<double>(_host, n, 9, 3), onDevice = x.To(device), result = device.AllocateMatrix<double>(n, n);
        PairwiseDistance.ComputeSelf(metric, onDevice.View, result.View, form);
        double[] self = result.ToHost(), general = Compute(device, metric, form, x, x);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) Assert.Equal(i == j ? 0 : BitConverter.DoubleToInt64Bits(general[Math.Min(i, j) * n + Math.Max(i, j)]), BitConverter.DoubleToInt64Bits(self[i * n + j]));
    }

    internal static T[] Compute<T>(CudaDevice device, DistanceMetric metric, DistanceForm form, Matrix<T> x, Matrix<T> y, GemmPrecision precision = GemmPrecision.Single)
        where T : unmanaged
    {
        using Matrix<T> onX = x.To(device), onY = y.To(device), distances = device.AllocateMatrix<T>(x.Rows, y.Rows);
        if (onX is Matrix<float> x32 && onY is Matrix<float> y32 && distances is Matrix<float> d32) PairwiseDistance.Compute(metric, x32.View, y32.View, d32.View, form, precision);
        else if (onX is Matrix<double> x64 && onY is Matrix<double> y64 && distances is Matrix<double> d64) PairwiseDistance.Compute(metric, x64.View, y64.View, d64.View, form);
        return distances.ToHost();
    }

    private static void AssertSameBits(float expected, float actual, int i, int j) =>
        Assert.True(BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(actual), $"({i}, {j}): {expected:R} and {actual:R}");
}
