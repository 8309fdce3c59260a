using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class GramTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Both_products_match_the_compensated_reference()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices.Where(s => s.Rows < 500 && s.Columns < 500).Append(new MatrixShape(90, 300)).Append(new MatrixShape(300, 40)))
        {
            using Matrix<float> single = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 8, 3);
            using Matrix<double> wide = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 9, 3);
            foreach (bool centred in (bool[])[false, true])
            {
                Check(single.Inner(shape.Columns), single.Inner(shape.Columns), centred, shape);
                Check(wide.Inner(shape.Columns), wide.Inner(shape.Columns), centred, shape);
            }
        }
    }

    /// <summary>Long enough for several slabs: sums are carried from one to the next.</summary>
    [Fact]
    public void Slabs_are_added()
    {
        using Matrix<float> x = TestMatrices.Normal<float>(_device, 40_000, 110, 8);
        using Matrix<float> few = Gather.Columns(x, [.. Enumerable.Range(0, 4)]);
        using Matrix<double> gram = _device.AllocateMatrix<double>(110, 110), exact = _device.AllocateMatrix<double>(4, 4);
        using DeviceBuffer<double> means = _device.Allocate<double>(110);
        Reductions.ColumnMeans(x.View, means.View);
        Gram.Columns(x.View, means.View, gram.View);
        using (KernelDispatch.Force(KernelVariant.Reference)) Gram.Columns(few.View, means.View.Slice(0, 4), exact.View);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) Assert.Equal(exact.Row(i)[j], gram.Row(i)[j], 1e-13 * 40_000);
    }

    [Fact]
    public void Covariance_is_the_centred_product_over_n_minus_ddof()
    {
        using Matrix<float> x = Matrix<float>.From(_device, 4, 2, [1, 1e6f + 1, 2, 1e6f + 3, 3, 1e6f + 2, 6, 1e6f + 2]);
        using Matrix<double> covariance = _device.AllocateMatrix<double>(2, 2);
        using DeviceBuffer<double> means = _device.Allocate<double>(2);
        Gram.Covariance(x.View, means.View, covariance.View);
        Assert.Equal([3, 1e6 + 2], means.View.Host.ToArray());
        double[] expected = [14.0 / 3, 1.0 / 3, 1.0 / 3, 2.0 / 3];
        Assert.All(expected.Zip(covariance.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-15));
        Assert.Throws<ArgumentException>(() => Gram.Covariance(x.View.RowBlock(0, 1), means.View, covariance.View));
    }

    /// <summary>Both sums are in double: what is allowed is the error of adding the depth's products one after the other.</summary>
    internal static void Check<T>(MatrixView<T> host, MatrixView<T> x, bool centred, MatrixShape shape) where T : unmanaged, INumber<T>
    {
        using DeviceBuffer<double> hostMeans = host.Device.Allocate<double>(shape.Columns), means = x.Device.Allocate<double>(shape.Columns);
        double[] numbers = [.. Enumerable.Range(0, shape.Columns).Select(j => Math.Sin(j))];
        hostMeans.CopyFrom(numbers);
        means.CopyFrom(numbers);
        double largest = TestMatrices.MaxAbs(host) + (centred ? 1 : 0);
        foreach (bool byColumns in (bool[])[true, false])
        {
            int size = byColumns ? shape.Columns : shape.Rows, depth = byColumns ? shape.Rows : shape.Columns;
            using Matrix<double> exact = host.Device.AllocateMatrix<double>(size, size), gram = x.Device.AllocateMatrix<double>(size, size);
            using (KernelDispatch.Force(KernelVariant.Reference)) Run(host, centred ? hostMeans.View : default, exact.View, byColumns);
            Run(x, centred ? means.View : default, gram.View, byColumns);
            double[] expected = exact.ToArray(), actual = gram.ToArray();
            double allowed = 1.2e-16 * (depth + 2) * depth * largest * largest;
            for (int i = 0; i < size; i++)
            {
                for (int j = 0; j < size; j++)
                {
                    string what = $"{typeof(T).Name} {shape}, {(byColumns ? "columns" : "rows")}{(centred ? ", centred" : "")}: ({i}, {j})";
                    Assert.True(Math.Abs(expected[i * size + j] - actual[i * size + j]) <= allowed, $"{what} is {actual[i * size + j]:R}, expected {expected[i * size + j]:R}");
                    Assert.True(actual[i * size + j].Equals(actual[j * size + i]), $"{what} differs from its mirror image");
                }
            }
        }
    }

    private static void Run<T>(MatrixView<T> x, DeviceSpan<double> means, MatrixView<double> gram, bool byColumns) where T : unmanaged, INumber<T>
    {
        if (byColumns) Gram.Columns(x, means, gram);
        else Gram.Rows(x, means, gram);
    }
}
