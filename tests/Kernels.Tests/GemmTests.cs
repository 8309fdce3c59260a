using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class GemmTests : IDisposable
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    public static TheoryData<KernelVariant, Transpose, Transpose> Cases()
    {
        TheoryData<KernelVariant, Transpose, Transpose> cases = [];
        foreach (KernelVariant variant in s_variants)
            foreach (Transpose a in Enum.GetValues<Transpose>())
                foreach (Transpose b in Enum.GetValues<Transpose>()) cases.Add(variant, a, b);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Single_matches_the_double_reference(KernelVariant variant, Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in ProblemShapes.Products)
        {
            Check<float>(variant, ta, tb, shape, 1, 0);
            Check<float>(variant, ta, tb, shape, -0.75f, 0.5f);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Double_matches_the_compensated_reference(KernelVariant variant, Transpose ta, Transpose tb)
    {
        foreach (ProductShape shape in ProblemShapes.Products)
        {
            Check<double>(variant, ta, tb, shape, 1, 0);
            Check<double>(variant, ta, tb, shape, 1.25, 1);
        }
    }

    [Fact]
    public void Large_products_match_the_reference()
    {
        foreach (ProductShape shape in ProblemShapes.LargeProducts)
        {
            Check<float>(KernelVariant.Avx2, Transpose.No, Transpose.Yes, shape, 1, 0);
            Check<double>(KernelVariant.Avx2, Transpose.Yes, Transpose.No, shape, 1, 1);
        }
    }

    /// <summary>Error against the reference at most twice that of a plain loop in the same type, plus one unit in the last place of the largest result.</summary>
    private void Check<T>(KernelVariant variant, Transpose ta, Transpose tb, ProductShape shape, T alpha, T beta) where T : unmanaged, IFloatingPointIeee754<T>
    {
        const int padding = 3;
        (int m, int n, int k) = (shape.M, shape.N, shape.K);
        (int ar, int ac) = ta == Transpose.No ? (m, k) : (k, m);
        (int br, int bc) = tb == Transpose.No ? (k, n) : (n, k);
        using Matrix<T> a = TestMatrices.Normal<T>(_device, ar, ac, 1, padding);
        using Matrix<T> b = TestMatrices.Normal<T>(_device, br, bc, 2, padding);
        using Matrix<T> c = TestMatrices.Normal<T>(_device, m, n, 3, padding);
        using Matrix<T> plain = TestMatrices.Normal<T>(_device, m, n, 3, padding);
        using Matrix<double> exact = _device.AllocateMatrix<double>(m, n);
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                T sum = T.Zero;
                for (int p = 0; p < k; p++)
                    sum += (ta == Transpose.No ? a.Row(i)[p] : a.Row(p)[i]) * (tb == Transpose.No ? b.Row(p)[j] : b.Row(j)[p]);
                plain.Row(i)[j] = alpha * sum + (beta == T.Zero ? T.Zero : beta * plain.Row(i)[j]);
            }
        }
        Reference(ta, tb, alpha, a.Inner(ac), b.Inner(bc), beta, c.Inner(n), exact.View);
        // beta = 0 must not read C.
        if (beta == T.Zero) for (int i = 0; i < m; i++) c.Row(i).Fill(T.NaN);
        using (KernelDispatch.Force(variant)) Multiply(ta, tb, alpha, a.Inner(ac), b.Inner(bc), beta, c.Inner(n));

        double worst = 0, allowed = 0;
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                worst = Max(worst, Math.Abs(double.CreateTruncating(c.Row(i)[j]) - exact.Row(i)[j]));
                allowed = Max(allowed, Math.Abs(double.CreateTruncating(plain.Row(i)[j]) - exact.Row(i)[j]));
            }
            for (int j = n; j < n + padding; j++) Assert.True(T.IsNaN(c.Row(i)[j]), $"{shape}: wrote past the end of row {i}");
        }
        double cap = double.CreateTruncating(T.BitIncrement(T.One) - T.One) * TestMatrices.MaxAbs(exact.View);
        Assert.True(worst <= 2 * allowed + cap, $"{variant} {ta}{tb} {shape} {typeof(T).Name}: error {worst:E2}, plain loop {allowed:E2}");
    }

    private static double Max(double a, double b) => double.IsNaN(b) ? double.PositiveInfinity : Math.Max(a, b);

    /// <summary>The product in double precision through the reference variant, from operands of any type.</summary>
    private void Reference<T>(Transpose ta, Transpose tb, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c, MatrixView<double> exact) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using Matrix<double> wideA = Widen(a), wideB = Widen(b);
        for (int i = 0; i < c.Rows; i++)
            for (int j = 0; j < c.Columns; j++) exact.Row(i)[j] = double.CreateTruncating(c.Row(i)[j]);
        using (KernelDispatch.Force(KernelVariant.Reference))
            Gemm.Multiply(ta, tb, double.CreateTruncating(alpha), wideA.View, wideB.View, double.CreateTruncating(beta), exact);
    }

    private Matrix<double> Widen<T>(MatrixView<T> m) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Matrix<double> wide = _device.AllocateMatrix<double>(m.Rows, m.Columns);
        for (int i = 0; i < m.Rows; i++)
            for (int j = 0; j < m.Columns; j++) wide.Row(i)[j] = double.CreateTruncating(m.Row(i)[j]);
        return wide;
    }

    private static unsafe void Multiply<T>(Transpose ta, Transpose tb, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c) where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            Gemm.Multiply(ta, tb, (float)(object)alpha, Cast<T, float>(a), Cast<T, float>(b), (float)(object)beta, Cast<T, float>(c));
        else
            Gemm.Multiply(ta, tb, (double)(object)alpha, Cast<T, double>(a), Cast<T, double>(b), (double)(object)beta, Cast<T, double>(c));
    }

    private static unsafe MatrixView<TTo> Cast<TFrom, TTo>(MatrixView<TFrom> m) where TFrom : unmanaged where TTo : unmanaged =>
        new((TTo*)m.Pointer, m.Rows, m.Columns, m.Stride, m.Device);

    [Fact]
    public void Result_does_not_depend_on_the_number_of_threads()
    {
        foreach (KernelVariant variant in s_variants)
        {
            foreach (ProductShape shape in (ProductShape[])[new(301, 257, 700), new(190, 600, 1300), new(150, 70, 600), new(150, 9, 600), new(3, 700, 90), new(700, 3, 90), new(1, 513, 300), new(513, 1, 300)])
            {
                byte[]? first = null;
                foreach (int threads in (int[])[1, 2, 3])
                {
                    using CpuDevice device = new(threads);
                    using Matrix<float> a = TestMatrices.Normal<float>(device, shape.M, shape.K, 1), b = TestMatrices.Normal<float>(device, shape.N, shape.K, 2);
                    using Matrix<float> c = device.AllocateMatrix<float>(shape.M, shape.N);
                    using (KernelDispatch.Force(variant)) Gemm.Multiply(Transpose.No, Transpose.Yes, 1, a.View, b.View, 0, c.View);
                    byte[] bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(c.Buffer.View.Host).ToArray();
                    if (first is null) first = bytes;
                    else Assert.True(first.AsSpan().SequenceEqual(bytes), $"{variant} {shape}: {threads} threads differ from one");
                }
            }
        }
    }

    [Fact]
    public void A_row_does_not_depend_on_the_rows_beside_it()
    {
        using Matrix<float> a = TestMatrices.Normal<float>(_device, 100, 300, 1), b = TestMatrices.Normal<float>(_device, 300, 70, 2);
        using Matrix<float> whole = _device.AllocateMatrix<float>(100, 70), part = _device.AllocateMatrix<float>(9, 70);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, whole.View);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View.RowBlock(50, 9), b.View, 0, part.View);
        for (int i = 0; i < 9; i++) Assert.True(whole.Row(50 + i).SequenceEqual(part.Row(i)));
    }

    [Fact]
    public void NaN_in_an_operand_reaches_exactly_the_elements_that_depend_on_it()
    {
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            foreach (int m in (int[])[1, 4, 14])
            {
                using Matrix<float> a = TestMatrices.Normal<float>(_device, m, 20, 1), b = TestMatrices.Normal<float>(_device, 20, 35, 2);
                using Matrix<float> c = _device.AllocateMatrix<float>(m, 35);
                a.Row(m - 1)[3] = float.NaN;
                b.Row(19)[34] = float.NaN;
                using (KernelDispatch.Force(variant)) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
                for (int i = 0; i < m; i++)
                    for (int j = 0; j < 35; j++) Assert.Equal(i == m - 1 || j == 34, float.IsNaN(c.Row(i)[j]));
            }
        }
    }

    [Fact]
    public void Zero_depth_or_zero_alpha_only_scales_C()
    {
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using ForcedScope scope = new(variant);
            using Matrix<double> a = TestMatrices.Normal<double>(_device, 4, 6, 1), b = TestMatrices.Normal<double>(_device, 6, 5, 2), c = _device.AllocateMatrix<double>(4, 5);
            a.Row(0)[0] = double.NaN;
            c.Buffer.View.Host.Fill(3);
            Gemm.Multiply(Transpose.No, Transpose.No, 0, a.View, b.View, 2, c.View);
            Assert.All(c.Buffer.View.Host.ToArray(), x => Assert.Equal(6, x));
            Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View.ColumnBlock(0, 0), b.View.RowBlock(0, 0), 1, c.View);
            Assert.All(c.Buffer.View.Host.ToArray(), x => Assert.Equal(6, x));
            c.Buffer.View.Host.Fill(double.NaN);
            Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View.ColumnBlock(0, 0), b.View.RowBlock(0, 0), 0, c.View);
            Assert.All(c.Buffer.View.Host.ToArray(), x => Assert.Equal(0, x));
        }
    }

    [Fact]
    public void Wrong_shapes_are_named()
    {
        using Matrix<float> a = _device.AllocateMatrix<float>(2, 3), b = _device.AllocateMatrix<float>(4, 5), c = _device.AllocateMatrix<float>(2, 5);
        ArgumentException inner = Assert.Throws<ArgumentException>(() => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View));
        Assert.Contains("2 x 3", inner.Message);
        Assert.Throws<ArgumentException>(() => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View.RowBlock(0, 3), 0, c.View.RowBlock(0, 1)));
        using CpuDevice other = new(1);
        using Matrix<float> elsewhere = other.AllocateMatrix<float>(2, 5);
        Assert.Throws<ArgumentException>(() => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View.RowBlock(0, 3), 0, elsewhere.View));
    }

    [Fact]
    public void Warm_products_allocate_nothing()
    {
        using Matrix<float> a = TestMatrices.Normal<float>(_device, 200, 300, 1), b = TestMatrices.Normal<float>(_device, 300, 100, 2), c = _device.AllocateMatrix<float>(200, 100);
        for (int i = 0; i < 3; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 5; i++) Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
        Assert.Equal(0, rounds.Least);
    }

    private readonly struct ForcedScope(KernelVariant variant) : IDisposable
    {
        private readonly KernelDispatch.ForcedVariant _forced = KernelDispatch.Force(variant);
        public void Dispose() => _forced.Dispose();
    }
}
