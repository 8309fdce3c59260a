using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Entropic transport whose cost has low rank: Sinkhorn, products, rows and changes of T_ij = exp(u_i + v_j + a_i · b_j) without ever storing T (online Sinkhorn;
/// Feydy et al. 2019). Work of a pass is n m (r + an exponential), memory O((n + m) r). Scores and exponentials are of the plan's type, all sums and potentials double.
/// </summary>
public static unsafe partial class FactoredTransport
{
    private const int RowsAtOnce = FactoredPlan<float>.RowsAtOnce;

    /// <summary>u_i = log(mass_i) - log sum_j exp(v_j + a_i · b_j), so that every row has its mass, and optionally the column sums of the plan.</summary>
    /// <param name="plan">Factors.</param>
    /// <param name="rowMass">[n], positive.</param>
    /// <param name="v">Column potentials [m] in units of epsilon, finite.</param>
    /// <param name="u">Row potentials [n], on return.</param>
    /// <param name="columnSums">[m] on return, or default.</param>
    public static void Balance<T>(FactoredPlan<T> plan, DeviceSpan<double> rowMass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums = default)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Check(plan, u, v);
        if (rowMass.Length != plan.Rows || (columnSums.Length != 0 && columnSums.Length != plan.Columns)) throw new ArgumentException("The masses and sums do not fit the plan.", nameof(rowMass));
        if (plan.Cuda is { } gpu)
        {
            BalanceCuda(plan, gpu, rowMass, v, u, columnSums);
            return;
        }
        Balance(plan, rowMass, v, u, columnSums, null);
    }

    /// <param name="kept">Receives the entries of the plan, or null.</param>
    private static void Balance<T>(FactoredPlan<T> plan, DeviceSpan<double> rowMass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums, KeptEntries? kept)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: Balance<Simd512<T>, Vector512<T>, T>(plan, rowMass.Pointer, v.Pointer, u.Pointer, columnSums, kept); break;
            case KernelVariant.Avx2: Balance<Simd256<T>, Vector256<T>, T>(plan, rowMass.Pointer, v.Pointer, u.Pointer, columnSums, kept); break;
            case KernelVariant.Portable: Balance<Simd128<T>, Vector128<T>, T>(plan, rowMass.Pointer, v.Pointer, u.Pointer, columnSums, kept); break;
            default: ReferenceBalance(plan, rowMass, v, u, columnSums); break;
        }
    }

    /// <summary>T b [n, r]: the plan times its own column factors.</summary>
    public static void ApplyRight<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckProduct(plan, u, v, plan.Rank, result);
        if (plan.Cuda is { } gpu)
        {
            PrepareCuda(plan, gpu, u, v);
            gpu.ApplyRight(result);
            return;
        }
        Apply(plan, u, v, plan.Pointers.Panels, plan.Rank, result);
    }

    /// <summary>T V [n, k] for any features V [m, k].</summary>
    public static void Apply<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, MatrixView<double> features, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (features.Rows != plan.Columns) throw new ArgumentException($"The features have {features.Rows} rows; the plan has {plan.Columns} columns.", nameof(features));
        CheckProduct(plan, u, v, features.Columns, result);
        if (plan.Cuda is { } gpu)
        {
            PrepareCuda(plan, gpu, u, v);
            gpu.Apply(features, result);
            return;
        }
        using DeviceBuffer<T> panels = plan.Host.Allocate<T>((long)plan.Padded * features.Columns);
        FactoredPlan<T>.Pack(features.Pointer, features.Stride, features.Rows, features.Columns, panels.Pointer);
        Apply(plan, u, v, panels.Pointer, features.Columns, result);
    }

    /// <summary>Entries of the plan: rows from <paramref name="firstRow"/> and columns from <paramref name="firstColumn"/>, as many as the result has.</summary>
    public static void Entries<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, int firstRow, int firstColumn, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Check(plan, u, v);
        if (firstRow < 0 || firstColumn < 0 || firstRow > plan.Rows - result.Rows || firstColumn > plan.Columns - result.Columns)
            throw new ArgumentOutOfRangeException(nameof(result), $"A block of {result.Rows} x {result.Columns} from row {firstRow} and column {firstColumn} does not lie in a plan of {plan.Rows} x {plan.Columns}.");
        if (result.Rows == 0 || result.Columns == 0) return;
        if (plan.Cuda is { } gpu)
        {
            PrepareCuda(plan, gpu, u, v);
            gpu.Entries(firstRow, firstColumn, result);
            return;
        }
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: Entries<Simd512<T>, Vector512<T>, T>(plan, u.Pointer, v.Pointer, firstRow, firstColumn, result); break;
            case KernelVariant.Avx2: Entries<Simd256<T>, Vector256<T>, T>(plan, u.Pointer, v.Pointer, firstRow, firstColumn, result); break;
            case KernelVariant.Portable: Entries<Simd128<T>, Vector128<T>, T>(plan, u.Pointer, v.Pointer, firstRow, firstColumn, result); break;
            default: ReferenceEntries(plan, u, v, firstRow, firstColumn, result); break;
        }
    }

    /// <summary>The column with the largest entry of every row, the first of equal ones.</summary>
    public static void BestColumns(FactoredPlan<double> plan, DeviceSpan<double> v, DeviceSpan<int> best)
    {
        if (best.Length != plan.Rows || v.Length != plan.Columns) throw new ArgumentException("The potentials and the result do not fit the plan.", nameof(best));
        if (plan.Cuda is { } gpu)
        {
            PrepareCuda(plan, gpu, default, v);
            gpu.Best(best);
            return;
        }
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: Best<Simd512<double>, Vector512<double>>(plan, v.Pointer, best.Pointer); break;
            case KernelVariant.Avx2: Best<Simd256<double>, Vector256<double>>(plan, v.Pointer, best.Pointer); break;
            case KernelVariant.Portable: Best<Simd128<double>, Vector128<double>>(plan, v.Pointer, best.Pointer); break;
            default: ReferenceBest(plan, v, best); break;
        }
    }

    /// <summary>Frobenius norm of the difference of two plans of the same shape.</summary>
    /// <param name="rowSums">Scratch [n]: squared differences by row on return.</param>
    public static double Change<T>(FactoredPlan<T> first, DeviceSpan<double> u1, DeviceSpan<double> v1, FactoredPlan<T> second, DeviceSpan<double> u2, DeviceSpan<double> v2, DeviceSpan<double> rowSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Check(first, u1, v1);
        Check(second, u2, v2);
        if (first.Rows != second.Rows || first.Columns != second.Columns || rowSums.Length != first.Rows) throw new ArgumentException("The plans differ in shape.", nameof(second));
        if (first.Cuda is not null) return ChangeCuda(first, u1, v1, second, u2, v2, rowSums);
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: Change<Simd512<T>, Vector512<T>, T>(first, u1.Pointer, v1.Pointer, second, u2.Pointer, v2.Pointer, rowSums.Pointer); break;
            case KernelVariant.Avx2: Change<Simd256<T>, Vector256<T>, T>(first, u1.Pointer, v1.Pointer, second, u2.Pointer, v2.Pointer, rowSums.Pointer); break;
            case KernelVariant.Portable: Change<Simd128<T>, Vector128<T>, T>(first, u1.Pointer, v1.Pointer, second, u2.Pointer, v2.Pointer, rowSums.Pointer); break;
            default: ReferenceChange(first, u1, v1, second, u2, v2, rowSums); break;
        }
        double sum = 0;
        for (int i = 0; i < first.Rows; i++) sum += rowSums.Pointer[i];
        return Math.Sqrt(sum);
    }

    private static void Apply<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, T* panels, int width, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: Apply<Simd512<T>, Vector512<T>, T>(plan, u.Pointer, v.Pointer, panels, width, result); break;
            case KernelVariant.Avx2: Apply<Simd256<T>, Vector256<T>, T>(plan, u.Pointer, v.Pointer, panels, width, result); break;
            case KernelVariant.Portable: Apply<Simd128<T>, Vector128<T>, T>(plan, u.Pointer, v.Pointer, panels, width, result); break;
            default: ReferenceApply(plan, u, v, panels, width, result); break;
        }
    }

    private static void Balance<TLanes, TVector, T>(FactoredPlan<T> plan, double* mass, double* v, double* u, DeviceSpan<double> columnSums, KeptEntries? kept)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        plan.SetColumnPotentials(v);
        FactoredPasses<TLanes, TVector, T>.BalanceJob job = new()
        {
            Plan = plan.Pointers, Scratch = plan.ScoreRows, Mass = mass, U = u, Partials = columnSums.Length == 0 ? null : plan.Partials, Blocks = plan.Blocks,
            Kept = kept is null ? null : kept.Entries,
        };
        plan.Host.Pool.Run(plan.Blocks, ref job);
        if (columnSums.Length == 0) return;
        Span<double> sums = columnSums.Host;
        sums.Clear();
        for (int block = 0; block < plan.Blocks; block++)
            System.Numerics.Tensors.TensorPrimitives.Add(sums, new ReadOnlySpan<double>(plan.Partials + (long)block * plan.Padded, plan.Columns), sums);
    }

    private static void Apply<TLanes, TVector, T>(FactoredPlan<T> plan, double* u, double* v, T* panels, int width, MatrixView<double> result)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        plan.SetColumnPotentials(v);
        FactoredPasses<TLanes, TVector, T>.ApplyJob job = new()
        {
            Plan = plan.Pointers, Scratch = plan.ScoreRows, Features = panels, Width = width, U = u, Result = result.Pointer, Stride = result.Stride,
        };
        plan.Host.Pool.Run((plan.Rows + RowsAtOnce - 1) / RowsAtOnce, ref job);
    }

    private static void Entries<TLanes, TVector, T>(FactoredPlan<T> plan, double* u, double* v, int firstRow, int firstColumn, MatrixView<double> result)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        plan.SetColumnPotentials(v);
        FactoredPasses<TLanes, TVector, T>.RowsJob job = new()
        {
            Plan = plan.Pointers, Scratch = plan.ScoreRows, First = firstRow, Count = result.Rows, FirstColumn = firstColumn, ColumnCount = result.Columns, U = u,
            Result = result.Pointer, Stride = result.Stride,
        };
        plan.Host.Pool.Run((result.Rows + RowsAtOnce - 1) / RowsAtOnce, ref job);
    }

    private static void Best<TLanes, TVector>(FactoredPlan<double> plan, double* v, int* best) where TLanes : struct, ISimd<TVector, double> where TVector : unmanaged
    {
        plan.SetColumnPotentials(v);
        FactoredPasses<TLanes, TVector, double>.BestJob job = new() { Plan = plan.Pointers, Scratch = plan.ScoreRows, Best = best };
        plan.Host.Pool.Run((plan.Rows + RowsAtOnce - 1) / RowsAtOnce, ref job);
    }

    private static void Change<TLanes, TVector, T>(FactoredPlan<T> first, double* u1, double* v1, FactoredPlan<T> second, double* u2, double* v2, double* rowSums)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        first.SetColumnPotentials(v1);
        second.SetColumnPotentials(v2);
        FactoredPasses<TLanes, TVector, T>.ChangeJob job = new()
        {
            First = first.Pointers, Second = second.Pointers, FirstScratch = first.ScoreRows, SecondScratch = second.ScoreRows, FirstU = u1, SecondU = u2, RowSums = rowSums,
        };
        first.Host.Pool.Run((first.Rows + RowsAtOnce - 1) / RowsAtOnce, ref job);
    }

    private static void Check<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (u.Length != plan.Rows || v.Length != plan.Columns) throw new ArgumentException($"The potentials have {u.Length} and {v.Length} elements; the plan is {plan.Rows} x {plan.Columns}.", nameof(u));
    }

    private static void CheckProduct<T>(FactoredPlan<T> plan, DeviceSpan<double> u, DeviceSpan<double> v, int width, MatrixView<double> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Check(plan, u, v);
        if (result.Rows != plan.Rows || result.Columns != width) throw new ArgumentException($"The result is {result.Rows} x {result.Columns}; expected {plan.Rows} x {width}.", nameof(result));
    }
}
