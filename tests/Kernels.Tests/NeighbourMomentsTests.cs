using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

public sealed class NeighbourMomentsTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    /// <summary>Rows, neighbours each, columns of values: around vector widths, one column, more neighbours than rows.</summary>
    public static IReadOnlyList<(int Rows, int K, int Columns)> Shapes { get; } = [(0, 3, 4), (1, 1, 1), (7, 3, 0), (13, 5, 1), (20, 1, 8), (33, 9, 17), (64, 25, 31), (9, 30, 67), (301, 10, 5)];

    internal static int[] Lists(int rows, int k) => [.. Enumerable.Range(0, rows * k).Select(i => (int)((i * 2654435761L + i / k) % Math.Max(1, rows)))];

    [Fact]
    public void Every_variant_gives_the_bits_of_the_formula()
    {
        foreach ((int rows, int k, int columns) in Shapes)
        {
            using Matrix<double> values = TestMatrices.Normal<double>(_device, rows, columns, 4, 3);
            int[] lists = Lists(rows, k);
            foreach (KernelVariant variant in KernelDispatch.All)
            {
                using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
                (double[] deviations, double[] products) = Run(values.Inner(columns), lists, k);
                for (int i = 0; i < rows; i++)
                {
                    for (int p = 0; p < columns; p++)
                    {
                        double sum = 0, squares = 0;
                        for (int a = 0; a < k; a++) sum += values.Row(lists[i * k + a])[p];
                        for (int a = 0; a < k; a++) squares = Math.FusedMultiplyAdd(values.Row(lists[i * k + a])[p] - sum / k, values.Row(lists[i * k + a])[p] - sum / k, squares);
                        Assert.Equal(Math.Sqrt(squares / k), deviations[i * columns + p]);
                        Assert.Equal(values.Row(i)[p] * sum, products[i * columns + p]);
                    }
                }
            }
        }
    }

    internal static (double[] Deviations, double[] Products) Run(MatrixView<double> values, int[] lists, int k)
    {
        ComputeDevice device = values.Device;
        using Matrix<int> neighbours = Matrix<int>.From(device, values.Rows, k, lists);
        using Matrix<double> deviations = device.AllocateMatrix<double>(values.Rows, values.Columns), products = device.AllocateMatrix<double>(values.Rows, values.Columns);
        NeighbourMoments.Compute(neighbours.View, values, deviations.View, products.View);
        return (deviations.ToArray(), products.ToArray());
    }

    [Fact]
    public void A_neighbour_that_is_not_there_makes_its_row_not_a_number()
    {
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            using Matrix<double> values = TestMatrices.Normal<double>(_device, 3, 5, 4);
            (double[] deviations, double[] products) = Run(values.View, [1, 2, 0, 3, -1, 1], 2);
            Assert.All(deviations[..5].Concat(products[..5]), v => Assert.False(double.IsNaN(v)));
            Assert.All(deviations[5..].Concat(products[5..]), v => Assert.True(double.IsNaN(v)));
        }
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Matrix<double> values = _device.AllocateMatrix<double>(4, 3), narrow = _device.AllocateMatrix<double>(4, 2);
        using Matrix<int> lists = _device.AllocateMatrix<int>(4, 2), few = _device.AllocateMatrix<int>(3, 2), none = _device.AllocateMatrix<int>(4, 0);
        Assert.Throws<ArgumentException>(() => NeighbourMoments.Compute(few.View, values.View, values.View, values.View));
        Assert.Throws<ArgumentException>(() => NeighbourMoments.Compute(none.View, values.View, values.View, values.View));
        Assert.Throws<ArgumentException>(() => NeighbourMoments.Compute(lists.View, values.View, narrow.View, values.View));
    }
}
