using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// How values vary over lists of neighbours, for many columns of values at once: the deviation among the neighbours of a row, and the row's product with their
/// sum. Local standard deviations and Moran's I are sums of these, and their permutation tests are further columns.
/// </summary>
/// <remarks>Neighbours are taken in the order of their list and every step is rounded as IEEE says: all variants and the device give the same bits.</remarks>
public static unsafe partial class NeighbourMoments
{
    /// <summary>
    /// With N(i) the neighbours of row i and m the mean over them, deviations[i, p] = √(Σ_j∈N(i) (values[j, p] - m)² / k) and
    /// products[i, p] = values[i, p] · Σ_j∈N(i) values[j, p].
    /// </summary>
    /// <param name="neighbours">[n, k] row numbers, k ≥ 1; a number outside 0 … n - 1 makes its row's results NaN</param>
    /// <param name="values">[n, p]</param>
    /// <param name="deviations">[n, p]</param>
    /// <param name="products">[n, p]</param>
    /// <exception cref="ArgumentException">Shapes or devices differ, or k is 0.</exception>
    public static void Compute(MatrixView<int> neighbours, MatrixView<double> values, MatrixView<double> deviations, MatrixView<double> products)
    {
        Validate(neighbours, values, deviations, products);
        if (values.Rows == 0 || values.Columns == 0) return;
        if (values.Device is CudaDevice gpu)
        {
            Cuda(gpu, neighbours, values, deviations, products);
            return;
        }
        CpuDevice cpu = values.Device as CpuDevice ?? throw new DeviceException($"Moments over neighbours have no implementation for device '{values.Device.Name}'.");
        switch (KernelDispatch.Select(nameof(NeighbourMoments)))
        {
            case KernelVariant.Avx512: NeighbourWalk<Simd512<double>, Vector512<double>>.Run(cpu, neighbours, values, deviations, products); break;
            case KernelVariant.Avx2: NeighbourWalk<Simd256<double>, Vector256<double>>.Run(cpu, neighbours, values, deviations, products); break;
            case KernelVariant.Portable: NeighbourWalk<Simd128<double>, Vector128<double>>.Run(cpu, neighbours, values, deviations, products); break;
            default: Reference(neighbours, values, deviations, products); break;
        }
    }

    private static void Validate(MatrixView<int> neighbours, MatrixView<double> values, MatrixView<double> deviations, MatrixView<double> products)
    {
        if (neighbours.Rows != values.Rows) throw new ArgumentException($"There are neighbours of {neighbours.Rows} rows for {values.Rows} rows of values.");
        if (neighbours.Columns < 1) throw new ArgumentException("A list of neighbours has at least one.");
        if (deviations.Rows != values.Rows || deviations.Columns != values.Columns || products.Rows != values.Rows || products.Columns != values.Columns)
            throw new ArgumentException($"The values are {values.Rows} x {values.Columns}, the deviations {deviations.Rows} x {deviations.Columns}, the products {products.Rows} x {products.Columns}: all must be of one shape.");
        if (neighbours.Device != values.Device || deviations.Device != values.Device || products.Device != values.Device) throw new ArgumentException("All operands must lie on the same device.");
    }

    /// <summary>One column of one row after the other.</summary>
    private static void Reference(MatrixView<int> neighbours, MatrixView<double> values, MatrixView<double> deviations, MatrixView<double> products)
    {
        for (int i = 0; i < values.Rows; i++)
        {
            ReadOnlySpan<int> own = neighbours.Row(i);
            for (int p = 0; p < values.Columns; p++)
            {
                double sum = 0, squares = 0;
                foreach (int j in own) sum += At(values, j, p);
                double mean = sum / own.Length;
                foreach (int j in own) squares = Math.FusedMultiplyAdd(At(values, j, p) - mean, At(values, j, p) - mean, squares);
                deviations.Row(i)[p] = Math.Sqrt(squares / own.Length);
                products.Row(i)[p] = values.Row(i)[p] * sum;
            }
        }
    }

    private static double At(MatrixView<double> values, int row, int column) => row >= 0 && row < values.Rows ? values.Row(row)[column] : double.NaN;
}
