using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class GemmCudaTests(CudaDeviceFixture fixture)
{
    /// <summary>Around both tiles and the depth of a slice, besides the shapes of the host's tests.</summary>
    private static readonly ProductShape[] s_tiles = [new(63, 64, 15), new(64, 65, 16), new(65, 63, 17), new(127, 129, 31), new(128, 128, 48)];

    public static TheoryData<Transpose, Transpose> Cases => new(
        from a in Enum.GetValues<Transpose>() from b in Enum.GetValues<Transpose>() select (a, b));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Single_matches_the_double_reference(Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in ProblemShapes.Products.Concat(s_tiles))
        {
            Check<float>(ta, tb, shape, 1, 0);
            Check<float>(ta, tb, shape, -0.75f, 0.5f);
        }
    }

    /// <summary>The ordinary units, also where the tensor cores would be taken.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Ordinary_units_match_the_double_reference(Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in s_tiles)
            foreach (int tile in new[] { 64, 128 })
                Check<float>(ta, tb, shape, 1, 0, config: new GemmConfig(GemmForm.Ordinary, tile, 1, 0).Cut(shape.K, 1));
    }

    /// <summary>Depths from 32 on, where the bits that three products leave out are below what single precision rounds.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Three_TF32_products_err_no_more_than_twice_a_plain_loop(Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in ProblemShapes.Products.Concat(s_tiles).Where(s => s.K >= 32)) Check<float>(ta, tb, shape, 1, 0, GemmPrecision.TensorFloat3);
        Check<float>(ta, tb, new ProductShape(33, 40, 2000), -0.75f, 0.5f, GemmPrecision.TensorFloat3);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_in_bf16_err_no_more_than_twice_a_plain_loop_over_rounded_elements(Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in ProblemShapes.Products.Concat(s_tiles)) Check<float>(ta, tb, shape, 1, 0, GemmPrecision.BFloat16);
        Check<float>(ta, tb, new ProductShape(33, 40, 2000), -0.75f, 0.5f, GemmPrecision.BFloat16);
    }

    [Fact]
    public void Double_matches_the_reference()
    {
        foreach (ProductShape shape in s_tiles.Append(new(20, 30, 1500)))
        {
            Check<double>(Transpose.No, Transpose.Yes, shape, 1, 0);
            Check<double>(Transpose.Yes, Transpose.No, shape, 1.25, 1);
        }
    }

    /// <summary>Error against the reference at most twice that of a plain loop in the same type, plus one unit in the last place of the largest result.</summary>
    private void Check<T>(Transpose ta, Transpose tb, ProductShape shape, T alpha, T beta, GemmPrecision precision = GemmPrecision.Single, GemmConfig? config = null, int padding = 3)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        (int m, int n, int k) = (shape.M, shape.N, shape.K);
        using CudaOperand<T> a = ta == Transpose.No ? new(cpu, gpu, m, k, 1, Pad(k)) : new(cpu, gpu, k, m, 1, Pad(m));
        using CudaOperand<T> b = tb == Transpose.No ? new(cpu, gpu, k, n, 2, Pad(n)) : new(cpu, gpu, n, k, 2, Pad(k));
        int Pad(int columns) => padding == 4 ? 7 - (columns + 3) % 4 : padding;
        using CudaOperand<T> c = new(cpu, gpu, m, n, 3);
        using Matrix<double> exact = cpu.AllocateMatrix<double>(m, n);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) exact.Row(i)[j] = double.CreateTruncating(c.Host.Row(i)[j]);
        using (Matrix<double> wideA = Widen(cpu, a.Host), wideB = Widen(cpu, b.Host))
        using (KernelDispatch.Force(KernelVariant.Reference))
            Gemm.Multiply(ta, tb, double.CreateTruncating(alpha), wideA.View, wideB.View, double.CreateTruncating(beta), exact.View);

        T Rounded(T x) => precision == GemmPrecision.BFloat16 ? T.CreateTruncating(RoundToBFloat16(float.CreateTruncating(x))) : x;
        double allowed = 0, worst = 0;
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                T sum = T.Zero;
                for (int p = 0; p < k; p++)
                    sum += Rounded(ta == Transpose.No ? a.Host.Row(i)[p] : a.Host.Row(p)[i]) * Rounded(tb == Transpose.No ? b.Host.Row(p)[j] : b.Host.Row(j)[p]);
                T plain = alpha * sum + (beta == T.Zero ? T.Zero : beta * c.Host.Row(i)[j]);
                allowed = Math.Max(allowed, Math.Abs(double.CreateTruncating(plain) - exact.Row(i)[j]));
            }
        }
        if (beta == T.Zero)
        {
            for (int i = 0; i < m; i++) c.Host.Row(i).Fill(T.NaN);
            c.Upload();
        }
        if (config is { } given && typeof(T) == typeof(float))
            Run(gpu, ta, tb, (float)(object)alpha, Cast<T, float>(a.Device), Cast<T, float>(b.Device), (float)(object)beta, Cast<T, float>(c.Device), given);
        else
            Multiply(ta, tb, alpha, a.Device, b.Device, beta, c.Device, precision);
        T[][] read = c.Read();
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double error = Math.Abs(double.CreateTruncating(read[i][j]) - exact.Row(i)[j]);
                worst = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(worst, error);
            }
        }
        double cap = double.CreateTruncating(T.BitIncrement(T.One) - T.One) * TestMatrices.MaxAbs(exact.View);
        Assert.True(worst <= 2 * allowed + cap, $"{ta}{tb} {shape} {typeof(T).Name} {precision}: error {worst:E2}, plain loop {allowed:E2}");
    }

    private static float RoundToBFloat16(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }

    /// <summary>The kernel of compute capability 9.0: inside one block, past its edges, more slabs than its ring has places, and in parts.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Warpgroups_match_the_double_reference(Transpose ta, Transpose tb)
    {
        Assert.SkipUnless(fixture.Require().Info.Capability == new ComputeCapability(9, 0), "wgmma is of compute capability 9.0");
        foreach (GemmForm form in new[] { GemmForm.TensorFloat3, GemmForm.BFloat16 })
            foreach ((ProductShape shape, int parts) in new[] { (new ProductShape(129, 61, 61), 1), (new(61, 133, 449), 1), (new(129, 129, 201), 2) })
                Check<float>(ta, tb, shape, -0.75f, 0.5f, form == GemmForm.BFloat16 ? GemmPrecision.BFloat16 : GemmPrecision.TensorFloat3, new GemmConfig(form, 128, 1, 0, Warpgroups: true).Cut(shape.K, parts), padding: 4);
    }

    [Fact]
    public void Large_aligned_products_run_on_warpgroups_where_there_are_any()
    {
        GemmConfig config = GemmConfig.For(4096, 8192, 512, single: true, GemmPrecision.Single);
        Assert.Equal(config with { Warpgroups = true }, config.OnWarpgroups(new ComputeCapability(9, 0), 4096, 8192, 512));
        Assert.Equal(config, config.OnWarpgroups(new ComputeCapability(8, 0), 4096, 8192, 512));
        Assert.Equal(config, config.OnWarpgroups(new ComputeCapability(10, 0), 4096, 8192, 512));
        GemmConfig small = GemmConfig.For(100, 100, 512, single: true, GemmPrecision.Single);
        Assert.Equal(small, small.OnWarpgroups(new ComputeCapability(9, 0), 100, 100, 512));
    }

    /// <summary>Neither does the way in which rows come to shared memory: those of one operand start at multiples of 16 bytes, those of the other do not.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void The_tile_does_not_change_the_result(Transpose ta, Transpose tb)
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        const int m = 149, n = 141, k = 37;
        using CudaOperand<float> a = ta == Transpose.No ? new(cpu, gpu, m, k, 1) : new(cpu, gpu, k, m, 1), b = tb == Transpose.No ? new(cpu, gpu, k, n, 2) : new(cpu, gpu, n, k, 2);
        using CudaOperand<float> small = new(cpu, gpu, m, n, 3), large = new(cpu, gpu, m, n, 3), shifted = new(cpu, gpu, m, n, 3);
        using Matrix<float> movedA = Moved(gpu, a.Device), movedB = Moved(gpu, b.Device);
        foreach (GemmForm form in Enum.GetValues<GemmForm>())
            foreach (int parts in new[] { 1, 2 })
            {
                GemmConfig config = new GemmConfig(form, 64, 1, 0).Cut(k, parts);
                Assert.Equal(parts, config.Parts);
                Run(gpu, ta, tb, 1, a.Device, b.Device, 0, small.Device, config);
                Run(gpu, ta, tb, 1, a.Device, b.Device, 0, large.Device, config with { Tile = 128 });
                Run(gpu, ta, tb, 1, movedA.View.ColumnBlock(1, a.Device.Columns), movedB.View.ColumnBlock(1, b.Device.Columns), 0, shifted.Device, config);
                float[][] one = small.Read(), other = large.Read(), third = shifted.Read();
                for (int i = 0; i < m; i++)
                {
                    Assert.Equal(one[i], other[i]);
                    Assert.Equal(one[i], third[i]);
                }
            }
    }

    /// <summary>A copy whose rows begin one element later and whose length is a multiple of four.</summary>
    private static Matrix<float> Moved(CudaDevice gpu, MatrixView<float> x)
    {
        float[] elements = new float[x.Rows * x.Columns];
        x.CopyTo(elements);
        int columns = (x.Columns + 4) / 4 * 4;
        float[] padded = new float[x.Rows * columns];
        Array.Fill(padded, float.NaN);
        for (int i = 0; i < x.Rows; i++) elements.AsSpan(i * x.Columns, x.Columns).CopyTo(padded.AsSpan(i * columns + 1));
        return Matrix<float>.From(gpu, x.Rows, columns, padded);
    }

    [Fact]
    public void The_configuration_follows_from_the_shape()
    {
        GemmConfig For(int m, int n, int k, GemmPrecision precision = GemmPrecision.Single) => GemmConfig.For(m, n, k, single: true, precision);
        Assert.Equal(new GemmConfig(GemmForm.TensorFloat3, 128, 1, 512), For(4096, 8192, 512));
        Assert.Equal(new GemmConfig(GemmForm.TensorFloat3, 128, 8, 8192), For(512, 512, 65536));
        Assert.Equal(new GemmConfig(GemmForm.Ordinary, 128, 1, 32), For(4096, 8192, 32));
        Assert.Equal(new GemmConfig(GemmForm.Ordinary, 64, 100, 512), For(1, 1, 51200));
        Assert.Equal(new GemmConfig(GemmForm.BFloat16, 64, 1, 16), For(3, 3, 3, GemmPrecision.BFloat16));
        Assert.Equal(GemmForm.Ordinary, For(3, 3, 0, GemmPrecision.TensorFloat3).Form);
        Assert.Equal(new GemmConfig(GemmForm.Ordinary, 64, 2, 32768), GemmConfig.For(512, 512, 65536, single: false, GemmPrecision.Single));
    }

    [Theory]
    [InlineData(GemmPrecision.Single)]
    [InlineData(GemmPrecision.TensorFloat3)]
    public void The_largest_numbers_and_the_smallest_come_through(GemmPrecision precision)
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> a = new(cpu, gpu, 3, 2, 1), b = new(cpu, gpu, 2, 3, 2), c = new(cpu, gpu, 3, 3, 3);
        float[][] left = [[float.MaxValue, 0], [1e-30f, 0], [float.MaxValue, float.MaxValue]], right = [[1, 0.5f, 1e-8f], [1, -1, 0]];
        for (int i = 0; i < 3; i++) left[i].CopyTo(a.Host.Row(i));
        for (int i = 0; i < 2; i++) right[i].CopyTo(b.Host.Row(i));
        a.Upload();
        b.Upload();
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device, precision);
        float[][] read = c.Read();
        Assert.Equal([float.MaxValue, float.MaxValue / 2, float.MaxValue * 1e-8f], read[0]);
        Assert.Equal(1e-30f, read[1][0]);
        Assert.Equal(1e-38f, read[1][2], 1e-44f);
        Assert.Equal(float.PositiveInfinity, read[2][0]);
        Assert.Equal(-float.MaxValue / 2, read[2][1]);
    }

    [Theory]
    [InlineData(GemmPrecision.Single)]
    [InlineData(GemmPrecision.TensorFloat3)]
    [InlineData(GemmPrecision.BFloat16)]
    public void NaN_and_infinity_reach_exactly_the_elements_that_depend_on_them(GemmPrecision precision)
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> a = new(cpu, gpu, 14, 20, 1), b = new(cpu, gpu, 20, 35, 2), c = new(cpu, gpu, 14, 35, 3);
        a.Host.Row(13)[3] = float.NaN;
        a.Host.Row(2)[19] = float.PositiveInfinity;
        b.Host.Row(19)[34] = float.NaN;
        a.Upload();
        b.Upload();
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device, precision);
        float[][] read = c.Read();
        for (int i = 0; i < 14; i++)
        {
            for (int j = 0; j < 35; j++)
            {
                Assert.Equal(i == 13 || j == 34, float.IsNaN(read[i][j]));
                Assert.Equal(i == 2 && j != 34, float.IsInfinity(read[i][j]));
            }
        }
    }

    [Theory]
    [InlineData(20, 30, 10, GemmPrecision.Single)]
    [InlineData(7, 1200, 10, GemmPrecision.Single)]
    [InlineData(33, 70, 40, GemmPrecision.TensorFloat3)]
    public void A_warm_product_allocates_nothing(int m, int k, int n, GemmPrecision precision)
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> a = new(cpu, gpu, m, k, 1), b = new(cpu, gpu, k, n, 2), c = new(cpu, gpu, m, n, 3);
        for (int i = 0; i < 3; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device, precision);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 5; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device, precision);
        Assert.Equal(0, rounds.Least);
    }

    private static unsafe void Run(CudaDevice gpu, Transpose ta, Transpose tb, float alpha, MatrixView<float> a, MatrixView<float> b, float beta, MatrixView<float> c, GemmConfig config)
    {
        GemmProblem<float> p = new()
        {
            Rows = c.Rows, Columns = c.Columns, Depth = ta == Transpose.No ? a.Columns : a.Rows, Alpha = alpha, Beta = beta,
            A = a.Pointer, RowStrideA = ta == Transpose.No ? a.Stride : 1, DepthStrideA = ta == Transpose.No ? 1 : a.Stride,
            B = b.Pointer, DepthStrideB = tb == Transpose.No ? b.Stride : 1, ColumnStrideB = tb == Transpose.No ? 1 : b.Stride, C = c.Pointer, StrideC = c.Stride, ColumnStrideC = 1,
        };
        Gemm.Cuda(gpu, p, ta, tb, config);
    }

    private static Matrix<double> Widen<T>(CpuDevice cpu, MatrixView<T> m) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Matrix<double> wide = cpu.AllocateMatrix<double>(m.Rows, m.Columns);
        for (int i = 0; i < m.Rows; i++)
            for (int j = 0; j < m.Columns; j++) wide.Row(i)[j] = double.CreateTruncating(m.Row(i)[j]);
        return wide;
    }

    private static void Multiply<T>(Transpose ta, Transpose tb, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c, GemmPrecision precision) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            Gemm.Multiply(ta, tb, (float)(object)alpha, Cast<T, float>(a), Cast<T, float>(b), (float)(object)beta, Cast<T, float>(c), precision);
        else
            Gemm.Multiply(ta, tb, (double)(object)alpha, Cast<T, double>(a), Cast<T, double>(b), (double)(object)beta, Cast<T, double>(c));
    }

    private static unsafe MatrixView<TTo> Cast<TFrom, TTo>(MatrixView<TFrom> m) where TFrom : unmanaged where TTo : unmanaged =>
        new((TTo*)m.Pointer, m.Rows, m.Columns, m.Stride, m.Device);
}
