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

    [Fact]
    public void Double_matches_the_reference()
    {
        foreach (ProductShape shape in s_tiles)
        {
            Check<double>(Transpose.No, Transpose.Yes, shape, 1, 0);
            Check<double>(Transpose.Yes, Transpose.No, shape, 1.25, 1);
        }
    }

    /// <summary>Error against the reference at most twice that of a plain loop in the same type, plus one unit in the last place of the largest result.</summary>
    private void Check<T>(Transpose ta, Transpose tb, ProductShape shape, T alpha, T beta) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        (int m, int n, int k) = (shape.M, shape.N, shape.K);
        using CudaOperand<T> a = ta == Transpose.No ? new(cpu, gpu, m, k, 1) : new(cpu, gpu, k, m, 1);
        using CudaOperand<T> b = tb == Transpose.No ? new(cpu, gpu, k, n, 2) : new(cpu, gpu, n, k, 2);
        using CudaOperand<T> c = new(cpu, gpu, m, n, 3);
        using Matrix<double> exact = cpu.AllocateMatrix<double>(m, n);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) exact.Row(i)[j] = double.CreateTruncating(c.Host.Row(i)[j]);
        using (Matrix<double> wideA = Widen(cpu, a.Host), wideB = Widen(cpu, b.Host))
        using (KernelDispatch.Force(KernelVariant.Reference))
            Gemm.Multiply(ta, tb, double.CreateTruncating(alpha), wideA.View, wideB.View, double.CreateTruncating(beta), exact.View);

        double allowed = 0, worst = 0;
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                T sum = T.Zero;
                for (int p = 0; p < k; p++)
                    sum += (ta == Transpose.No ? a.Host.Row(i)[p] : a.Host.Row(p)[i]) * (tb == Transpose.No ? b.Host.Row(p)[j] : b.Host.Row(j)[p]);
                T plain = alpha * sum + (beta == T.Zero ? T.Zero : beta * c.Host.Row(i)[j]);
                allowed = Math.Max(allowed, Math.Abs(double.CreateTruncating(plain) - exact.Row(i)[j]));
            }
        }
        if (beta == T.Zero)
        {
            for (int i = 0; i < m; i++) c.Host.Row(i).Fill(T.NaN);
            c.Upload();
        }
        Multiply(ta, tb, alpha, a.Device, b.Device, beta, c.Device);
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
        Assert.True(worst <= 2 * allowed + cap, $"{ta}{tb} {shape} {typeof(T).Name}: error {worst:E2}, plain loop {allowed:E2}");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_tile_does_not_change_the_result(Transpose ta, Transpose tb)
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        const int m = 150, n = 140, k = 37;
        using CudaOperand<float> a = ta == Transpose.No ? new(cpu, gpu, m, k, 1) : new(cpu, gpu, k, m, 1), b = tb == Transpose.No ? new(cpu, gpu, k, n, 2) : new(cpu, gpu, n, k, 2);
        using CudaOperand<float> small = new(cpu, gpu, m, n, 3), large = new(cpu, gpu, m, n, 3);
        foreach ((int tile, CudaOperand<float> c) in new[] { (64, small), (128, large) })
        {
            JitRequest module = new("cuda/kernels/gemm/gemm_any.cu", $"BS_TILE={tile} BS_TRANSPOSE_A={(int)ta} BS_TRANSPOSE_B={(int)tb}");
            gpu.Kernels.Get(KernelCode.Sources, module, "bs_gemm_f32").Launch(gpu.Stream, new LaunchShape(new Extent((m + tile - 1) / tile, (n + tile - 1) / tile), new Extent(16, 16)),
                m, n, k, 1f, a.Device.Address, a.Device.Stride, b.Device.Address, b.Device.Stride, 0.5f, c.Device.Address, c.Device.Stride);
        }
        float[][] one = small.Read(), other = large.Read();
        for (int i = 0; i < m; i++) Assert.Equal(one[i], other[i]);
    }

    [Fact]
    public void NaN_and_infinity_reach_exactly_the_elements_that_depend_on_them()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> a = new(cpu, gpu, 14, 20, 1), b = new(cpu, gpu, 20, 35, 2), c = new(cpu, gpu, 14, 35, 3);
        a.Host.Row(13)[3] = float.NaN;
        a.Host.Row(2)[19] = float.PositiveInfinity;
        b.Host.Row(19)[34] = float.NaN;
        a.Upload();
        b.Upload();
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device);
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

    [Fact]
    public void A_warm_product_allocates_nothing()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        using CudaOperand<float> a = new(cpu, gpu, 20, 30, 1), b = new(cpu, gpu, 30, 10, 2), c = new(cpu, gpu, 20, 10, 3);
        for (int i = 0; i < 3; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.Device, b.Device, 0, c.Device);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static Matrix<double> Widen<T>(CpuDevice cpu, MatrixView<T> m) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Matrix<double> wide = cpu.AllocateMatrix<double>(m.Rows, m.Columns);
        for (int i = 0; i < m.Rows; i++)
            for (int j = 0; j < m.Columns; j++) wide.Row(i)[j] = double.CreateTruncating(m.Row(i)[j]);
        return wide;
    }

    private static void Multiply<T>(Transpose ta, Transpose tb, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            Gemm.Multiply(ta, tb, (float)(object)alpha, Cast<T, float>(a), Cast<T, float>(b), (float)(object)beta, Cast<T, float>(c));
        else
            Gemm.Multiply(ta, tb, (double)(object)alpha, Cast<T, double>(a), Cast<T, double>(b), (double)(object)beta, Cast<T, double>(c));
    }

    private static unsafe MatrixView<TTo> Cast<TFrom, TTo>(MatrixView<TFrom> m) where TFrom : unmanaged where TTo : unmanaged =>
        new((TTo*)m.Pointer, m.Rows, m.Columns, m.Stride, m.Device);
}
