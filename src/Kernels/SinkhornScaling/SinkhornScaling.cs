using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Entropic optimal transport by matrix scaling (Cuturi 2013; Peyré and Cuturi 2019, section 4): the coupling
/// T_ij = exp((f_i + g_j - C_ij) / epsilon) with row sums a and column sums b.
/// </summary>
/// <remarks>
/// Iterates, order of updates and stopping rule are those of POT's sinkhorn_knopp: from a row potential f, g (columns) is updated first, then f (rows);
/// the violation of the column marginal is measured at iterations 0, CheckEvery, 2 CheckEvery, ... Stopping at MaxIterations therefore gives
/// the plan POT gives. Neither form under- or overflows. Results do not depend on the number of threads.
/// </remarks>
public static unsafe partial class SinkhornScaling
{
    /// <summary>Solves for the potentials.</summary>
    /// <param name="workspace">Memory for this shape; the scaling form starts faster when it has just solved a similar problem.</param>
    /// <param name="cost">Cost [n, m], finite.</param>
    /// <param name="a">Row masses [n], positive.</param>
    /// <param name="b">Column masses [m], positive.</param>
    /// <param name="epsilon">Regularisation in units of the cost, positive.</param>
    /// <param name="f">Row potentials [n] in units of the cost: on entry the start (zeros are POT's cold start), on return the solution.</param>
    /// <param name="g">Column potentials [m], on return.</param>
    /// <param name="options">Stopping rule and form.</param>
    public static SinkhornResult Solve(SinkhornWorkspace<double> workspace, MatrixView<double> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon,
        DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options)
    {
        Validate(workspace, cost, a, b, epsilon, f, g, options);
        if (workspace.Cuda is { } state) return SolveCuda(state, cost, a, b, epsilon, f, g, options);
        return KernelDispatch.Select(nameof(SinkhornScaling)) switch
        {
            KernelVariant.Avx512 => Run<Simd512<double>, Vector512<double>, double>(workspace, cost, a, b, epsilon, f, g, options),
            KernelVariant.Avx2 => Run<Simd256<double>, Vector256<double>, double>(workspace, cost, a, b, epsilon, f, g, options),
            KernelVariant.Portable => Run<Simd128<double>, Vector128<double>, double>(workspace, cost, a, b, epsilon, f, g, options),
            _ => Reference(cost, a, b, epsilon, f, g, options),
        };
    }

    /// <inheritdoc cref="Solve(SinkhornWorkspace{double}, MatrixView{double}, DeviceSpan{double}, DeviceSpan{double}, double, DeviceSpan{double}, DeviceSpan{double}, in SinkhornOptions)"/>
    public static SinkhornResult Solve(SinkhornWorkspace<float> workspace, MatrixView<float> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon,
        DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options)
    {
        Validate(workspace, cost, a, b, epsilon, f, g, options);
        if (workspace.Cuda is { } state) return SolveCuda(state, cost, a, b, epsilon, f, g, options);
        return KernelDispatch.Select(nameof(SinkhornScaling)) switch
        {
            KernelVariant.Avx512 => Run<Simd512<float>, Vector512<float>, float>(workspace, cost, a, b, epsilon, f, g, options),
            KernelVariant.Avx2 => Run<Simd256<float>, Vector256<float>, float>(workspace, cost, a, b, epsilon, f, g, options),
            KernelVariant.Portable => Run<Simd128<float>, Vector128<float>, float>(workspace, cost, a, b, epsilon, f, g, options),
            _ => Reference(cost, a, b, epsilon, f, g, options),
        };
    }

    private static SinkhornResult Run<TLanes, TVector, T>(SinkhornWorkspace<T> workspace, MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> b,
        double epsilon, DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (options.Form == SinkhornForm.LogDomain)
            return LogDomainSolver<TLanes, TVector, T>.Solve(workspace, cost, a.Pointer, b.Pointer, epsilon, f.Pointer, g.Pointer, options);
        return new ScalingSolver<TLanes, TVector, T>(workspace, cost, a.Pointer, b.Pointer, epsilon, f.Pointer, g.Pointer).Solve(options);
    }

    private static void Validate<T>(SinkhornWorkspace<T> workspace, MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon,
        DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Device is not (CpuDevice or CudaDevice)) throw new DeviceException($"Sinkhorn scaling has no implementation for device '{cost.Device.Name}'.");
        if (!workspace.IsOn(cost.Device) || !IsBeside(a, cost) || !IsBeside(b, cost) || !IsBeside(f, cost) || !IsBeside(g, cost))
            throw new ArgumentException("The workspace and the operands lie on different devices.", nameof(cost));
        if (cost.Rows != workspace.Rows || cost.Columns != workspace.Columns)
            throw new ArgumentException($"The workspace is for {workspace.Rows} x {workspace.Columns}; the cost is {cost.Rows} x {cost.Columns}.");
        if (a.Length != cost.Rows || f.Length != cost.Rows) throw new ArgumentException($"Row masses and potentials need {cost.Rows} elements.");
        if (b.Length != cost.Columns || g.Length != cost.Columns) throw new ArgumentException($"Column masses and potentials need {cost.Columns} elements.");
        if (!(epsilon > 0) || !double.IsFinite(epsilon)) throw new ArgumentOutOfRangeException(nameof(epsilon), "Epsilon must be positive and finite.");
        if (options.MaxIterations < 1 || options.CheckEvery < 1) throw new ArgumentOutOfRangeException(nameof(options), "At least one iteration, checked at least every iteration.");
        if (workspace.Cuda is not null) return; // Masses on a GPU are looked at where they are needed.
        RequirePositive(a, nameof(a));
        RequirePositive(b, nameof(b));
    }

    private static bool IsBeside<T>(DeviceSpan<double> vector, MatrixView<T> cost) where T : unmanaged => ReferenceEquals(vector.Device, cost.Device);

    private static void RequirePositive(DeviceSpan<double> mass, string name)
    {
        for (long i = 0; i < mass.Length; i++)
            if (!(mass.Pointer[i] > 0) || !double.IsFinite(mass.Pointer[i])) throw new ArgumentException($"Mass {i} is {mass.Pointer[i]}; masses must be positive.", name);
    }
}
