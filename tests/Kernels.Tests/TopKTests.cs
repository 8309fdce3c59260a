using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class TopKTests : IDisposable
{
    private static readonly KernelVariant[] s_variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    /// <summary>A value source with many ties, both zeros, infinities and NaN.</summary>
    private static double Coarse(ref CounterRandom random) => random.NextInt32(40) switch
    {
        0 => double.NaN,
        1 => double.PositiveInfinity,
        2 => double.NegativeInfinity,
        3 => -0d,
        var n => (n - 20) / 4,
    };

    [Fact]
    public void Every_variant_equals_the_stable_sort()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices.Append(new MatrixShape(20, 2048)))
        {
            foreach (bool ties in (bool[])[false, true])
            {
                using Matrix<float> x = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 2);
                using Matrix<double> wide = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 8, 2);
                CounterRandom random = new(3);
                for (int i = 0; ties && i < shape.Rows; i++)
                    for (int j = 0; j < shape.Columns; j++) x.Row(i)[j] = (float)(wide.Row(i)[j] = Coarse(ref random));
                foreach (int k in (int[])[0, 1, 2, 15, 64, shape.Columns])
                {
                    if (k > shape.Columns) continue;
                    Check(x.Inner(shape.Columns), k, TopK.Rows);
                    Check(wide.Inner(shape.Columns), k, TopK.Rows);
                }
            }
        }
    }

    private delegate void Operation<T>(MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged;

    private void Check<T>(MatrixView<T> x, int k, Operation<T> operation) where T : unmanaged
    {
        using Matrix<int> expected = _device.AllocateMatrix<int>(x.Rows, k), indices = _device.AllocateMatrix<int>(x.Rows, k);
        using Matrix<T> expectedValues = _device.AllocateMatrix<T>(x.Rows, k), values = _device.AllocateMatrix<T>(x.Rows, k);
        using (KernelDispatch.Force(KernelVariant.Reference)) operation(x, expected.View, expectedValues.View);
        foreach (KernelVariant variant in s_variants)
        {
            indices.Buffer.Clear();
            using (KernelDispatch.Force(variant)) operation(x, indices.View, values.View);
            for (int i = 0; i < x.Rows; i++)
            {
                for (int j = 0; j < k; j++)
                {
                    Assert.True(expected.Row(i)[j] == indices.Row(i)[j], $"{variant} {typeof(T).Name} {x.Rows}x{x.Columns} k={k}: ({i}, {j}) is {indices.Row(i)[j]}, expected {expected.Row(i)[j]}");
                    Assert.Equal(expectedValues.Row(i)[j], values.Row(i)[j]);
                }
            }
        }
    }

    [Fact]
    public void More_than_there_are_is_refused()
    {
        using Matrix<float> x = _device.AllocateMatrix<float>(2, 3), values = _device.AllocateMatrix<float>(2, 4);
        using Matrix<int> indices = _device.AllocateMatrix<int>(2, 4);
        Assert.Throws<ArgumentException>(() => TopK.Rows(x.View, indices.View, values.View));
    }

    [Fact]
    public void Warm_calls_allocate_nothing()
    {
        using Matrix<float> x = TestMatrices.Normal<float>(_device, 300, 500, 1), values = _device.AllocateMatrix<float>(300, 16);
        using Matrix<int> indices = _device.AllocateMatrix<int>(300, 16);
        for (int i = 0; i < 3; i++) TopK.Rows(x.View, indices.View, values.View);
        WarmAllocation rounds = new();
        while (rounds.Again()) TopK.Rows(x.View, indices.View, values.View);
        Assert.Equal(0, rounds.Least);
    }
}
