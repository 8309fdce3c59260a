using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class FactoredTransport
{
    /// <summary><see cref="Balance{T}(FactoredPlan{T}, DeviceSpan{double}, DeviceSpan{double}, DeviceSpan{double}, DeviceSpan{double})"/>, from which on the entries are those at v.</summary>
    internal static void BalanceAndKeep<T>(FactoredPlan<T> plan, KeptEntries kept, DeviceSpan<double> rowMass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        Balance(plan, rowMass, v, u, columnSums, kept);
        kept.SetBase(u.Pointer, v.Pointer);
        ReadKept(plan, kept, rowMass, u, calibrates: true);
        for (int j = 0; j < plan.Columns; j++)
        {
            double rounded = plan.Partials[j];
            kept.ColumnShare[j] = rounded > 0 ? columnSums.Pointer[j] / rounded : 1;
        }
    }

    /// <summary>The same from the kept entries, at potentials that they cover.</summary>
    internal static void BalanceKept<T>(FactoredPlan<T> plan, KeptEntries kept, DeviceSpan<double> rowMass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        kept.SetScale(v.Pointer);
        ReadKept(plan, kept, rowMass, u, calibrates: false);
        for (int j = 0; j < plan.Columns; j++) columnSums.Pointer[j] = kept.Scale[j] * kept.ColumnShare[j] * plan.Partials[j];
    }

    /// <summary>Column sums of the entries, without scale and share, in the first of the plan's partial sums.</summary>
    private static void ReadKept<T>(FactoredPlan<T> plan, KeptEntries kept, DeviceSpan<double> rowMass, DeviceSpan<double> u, bool calibrates) where T : unmanaged, IFloatingPointIeee754<T>
    {
        switch (KernelDispatch.Select(nameof(FactoredTransport)))
        {
            case KernelVariant.Avx512: ReadKept<Simd512<double>, Vector512<double>, T>(plan, kept, rowMass.Pointer, u.Pointer, calibrates); break;
            case KernelVariant.Avx2: ReadKept<Simd256<double>, Vector256<double>, T>(plan, kept, rowMass.Pointer, u.Pointer, calibrates); break;
            default: ReadKept<Simd128<double>, Vector128<double>, T>(plan, kept, rowMass.Pointer, u.Pointer, calibrates); break;
        }
        Span<double> sums = new(plan.Partials, plan.Columns);
        for (int block = 1; block < plan.Blocks; block++) TensorPrimitives.Add(sums, new ReadOnlySpan<double>(plan.Partials + (long)block * plan.Padded, plan.Columns), sums);
    }

    private static void ReadKept<TLanes, TVector, T>(FactoredPlan<T> plan, KeptEntries kept, double* mass, double* u, bool calibrates)
        where TLanes : struct, ISimd<TVector, double> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        KeptJob<TLanes, TVector> job = new()
        {
            Entries = kept.Entries, Scale = kept.Scale, RowShare = kept.RowShare, Mass = mass, BaseU = kept.BaseU, U = u, Partials = plan.Partials, Rows = plan.Rows, Padded = plan.Padded,
            Blocks = plan.Blocks, RowsAtOnce = RowsAtOnce, Calibrates = calibrates,
        };
        plan.Host.Pool.Run(plan.Blocks, ref job);
    }
}
