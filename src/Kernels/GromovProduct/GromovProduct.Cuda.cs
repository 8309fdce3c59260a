using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GromovProduct
{
    private const string CudaSource = "cuda/kernels/gromov_product/gromov_product_any.cu";
    private const int CudaTile = 32;
    private static readonly JitRequest s_single = new(CudaSource), s_double = new(CudaSource, "BS_ELEMENT=double");

    private static CudaKernel CudaEntry<T>(CudaDevice gpu, string name) where T : unmanaged => DeviceKernels.Get(gpu, typeof(T) == typeof(double) ? s_double : s_single, name);

    /// <summary>One block per row, with threads for eight elements each.</summary>
    private static LaunchShape CudaRows(int rows, int columns)
    {
        int threads = 32;
        while (threads < 256 && threads * 8 < columns) threads *= 2;
        return new LaunchShape(rows, threads);
    }

    private static bool CudaIsSymmetric<T>(CudaDevice gpu, MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using DeviceBuffer<int> found = gpu.Allocate<int>(1);
        int tiles = (cost.Rows + CudaTile - 1) / CudaTile;
        CudaEntry<T>(gpu, "bs_gromov_asymmetry").Launch(gpu.Stream, new LaunchShape(new Extent(tiles, tiles), new Extent(CudaTile, 8)), cost.Address, cost.Stride, cost.Rows,
            T.CreateTruncating(SymmetryTolerance), found.View.Address);
        int differs = 0;
        found.CopyTo(new Span<int>(ref differs));
        return differs == 0;
    }

    private static void CudaFillTerm<T>(CudaDevice gpu, GromovLoss loss, bool first, MatrixView<T> cost, DeviceSpan<double> mass, bool symmetric, DeviceSpan<double> term, MatrixView<T> transformed)
        where T : unmanaged
    {
        CudaEntry<T>(gpu, "bs_gromov_terms").Launch(gpu.Stream, CudaRows(cost.Rows, cost.Rows), cost.Address, cost.Stride, cost.Rows, mass.Address, (int)loss, first ? 1 : 0, term.Address,
            transformed.Address, transformed.Stride);
        if (symmetric) return;
        CudaEntry<T>(gpu, "bs_gromov_terms_transposed").Launch(gpu.Stream, new LaunchShape((cost.Rows + 31) / 32, 256), cost.Address, cost.Stride, cost.Rows, mass.Address, (int)loss,
            first ? 1 : 0, term.Address);
    }

    private static void CudaTermCost<T>(CudaDevice gpu, GromovLoss loss, bool first, MatrixView<T> cost, MatrixView<T> termCost) where T : unmanaged
    {
        int tiles = (cost.Rows + CudaTile - 1) / CudaTile;
        CudaEntry<T>(gpu, "bs_gromov_term_cost").Launch(gpu.Stream, new LaunchShape(new Extent(tiles, tiles), new Extent(CudaTile, 8)), cost.Address, cost.Stride, cost.Rows, (int)loss,
            first ? 1 : 0, termCost.Address, termCost.Stride);
    }

    private static void CudaLinearise<T>(CudaDevice gpu, GromovOperands<T> operands, MatrixView<T> product, double scale, MatrixView<T> between, double weight, MatrixView<T> proximal,
        double epsilon, MatrixView<T> cost) where T : unmanaged, IFloatingPointIeee754<T> =>
        CudaEntry<T>(gpu, "bs_gromov_linearise").Launch(gpu.Stream, CudaRows(cost.Rows, cost.Columns), product.Address, product.Stride, operands.RowTerm.View.Address,
            operands.ColumnTerm.View.Address, scale, cost.Columns, between.Address, between.Stride, weight, proximal.Address, proximal.Stride, epsilon, cost.Address, cost.Stride);

    private static void CudaAccumulate(CudaDevice gpu, MatrixView<float> addend, MatrixView<double> target) =>
        CudaEntry<float>(gpu, "bs_gromov_accumulate").Launch(gpu.Stream, CudaRows(target.Rows, target.Columns), addend.Address, addend.Stride, target.Address, target.Stride, target.Columns);

    /// <summary>With terms the objective, without them (empty) the inner product.</summary>
    private static double CudaObjective<T>(CudaDevice gpu, DeviceSpan<double> rowTerm, DeviceSpan<double> columnTerm, MatrixView<T> product, MatrixView<T> coupling) where T : unmanaged
    {
        if (product.Rows == 0) return 0;
        using DeviceBuffer<double> sums = gpu.Allocate<double>(product.Rows);
        CudaEntry<T>(gpu, "bs_gromov_objective").Launch(gpu.Stream, CudaRows(product.Rows, product.Columns), product.Address, product.Stride, rowTerm.Address, columnTerm.Address,
            coupling.Address, coupling.Stride, product.Columns, sums.View.Address);
        CudaEntry<T>(gpu, "bs_gromov_sum").Launch(gpu.Stream, new LaunchShape(1, 256), sums.View.Address, sums.Length, sums.View.Address);
        double total = 0;
        sums.CopyTo(new Span<double>(ref total));
        return total;
    }

    private static void CudaMoments<T>(CudaDevice gpu, MatrixView<T> cost, DeviceSpan<double> weights, DeviceSpan<double> means, DeviceSpan<double> squares) where T : unmanaged =>
        CudaEntry<T>(gpu, "bs_gromov_moments").Launch(gpu.Stream, CudaRows(cost.Rows, cost.Columns), cost.Address, cost.Stride, cost.Columns, weights.Address, means.Address, squares.Address);
}
