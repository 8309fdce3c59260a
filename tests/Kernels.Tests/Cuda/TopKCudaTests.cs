using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class TopKCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(1);

    public void Dispose() => _host.Dispose();

    private static T[] Numbers<T>(int count, int seed, Func<double, T> convert)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => convert((random.NextDouble() - 0.5) * Math.Exp(3 * random.NextDouble())))];
    }

    [Theory]
    [InlineData(0, 4, 2)]
    [InlineData(3, 1, 1)]
    [InlineData(5, 33, 0)]
    [InlineData(5, 31, 31)]
    [InlineData(9, 257, 33)]
    [InlineData(4, 1000, 64)]
    [InlineData(3, 700, 300)]
    [InlineData(2, 600, 600)]
    public void Indices_and_values_are_exactly_the_reference(int rows, int columns, int k)
    {
        Check(rows, columns, k, x => (float)Awkward(x), TopK.Rows);
        Check(rows, columns, k, Awkward, TopK.Rows);
    }

    /// <summary>Many ties, both zeros, infinities and NaN.</summary>
    private static double Awkward(double x) => x > 5 ? double.NaN : x > 4 ? double.PositiveInfinity : x < -5 ? double.NegativeInfinity : Math.Round(4 * x) / 4;

    private delegate void Operation<T>(MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged;

    private void Check<T>(int rows, int columns, int k, Func<double, T> convert, Operation<T> operation) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CudaDevice device = fixture.Require();
        T[] data = Numbers(rows * columns, rows + columns + k, convert);
        (int[] Indices, T[] Values) actual = Run(device), expected;
        using (KernelDispatch.Force(KernelVariant.Reference)) expected = Run(_host);
        Assert.Equal(expected.Indices, actual.Indices);
        Assert.Equal(expected.Values, actual.Values);

        (int[], T[]) Run(ComputeDevice where)
        {
            using Matrix<T> x = Matrix<T>.From(where, rows, columns, data), values = where.AllocateMatrix<T>(rows, k);
            using Matrix<int> indices = where.AllocateMatrix<int>(rows, k);
            operation(x.View, indices.View, values.View);
            return (indices.ToHost(), values.ToHost());
        }
    }
}
