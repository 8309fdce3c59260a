using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SinkhornScaling
{
    private static SinkhornResult SolveCuda<T>(SinkhornCudaState state, MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon,
        DeviceSpan<double> f, DeviceSpan<double> g, in SinkhornOptions options) where T : unmanaged, IFloatingPointIeee754<T>
    {
        double squares = state.CheckMasses(a, b);
        CudaSinkhornProblem problem = new()
        {
            Cost = cost.Address, Stride = cost.Stride, A = a.Address, B = b.Address, F = f.Address, Epsilon = epsilon, Passes = state.Choose(options.Passes),
        };
        double reachable = ReachableError(sizeof(T), squares);
        SinkhornResult result = options.Accelerate
            ? new CudaAcceleratedSolver(state, problem).Solve(options, Math.Max(options.Tolerance, reachable))
            : CudaPlainSolver.Solve(state, problem, options);
        state.Device.Stream.Copy(state.ColumnPotential, g);
        return result;
    }

    /// <summary>Rounding of the column sums in the cost's type: no iterate of an accelerated solve comes closer, so none is asked to.</summary>
    internal static double ReachableError(int elementBytes, double squaredMasses) => 4 * (elementBytes == 8 ? double.BitIncrement(1) - 1 : MathF.BitIncrement(1) - 1) * Math.Sqrt(squaredMasses);

    private static double UpdateCouplingCuda<T>(CudaDevice device, MatrixView<T> cost, DeviceSpan<double> f, DeviceSpan<double> g, double epsilon, MatrixView<T> coupling,
        DeviceSpan<double> rowChange, MatrixView<float> change) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (cost.Rows == 0) return 0;
        JitRequest module = SinkhornCudaKernels.Module(sizeof(T));
        DeviceKernels.Get(device, module, "bs_sinkhorn_coupling").Launch(device.Stream, SinkhornCudaState.ShapeOfRows(cost.Rows, cost.Columns), cost.Address, cost.Stride, cost.Columns,
            f.Address, g.Address, 1 / epsilon, coupling.Address, coupling.Stride, change.Address, change.Stride, rowChange.Address);
        DeviceKernels.Get(device, module, "bs_sinkhorn_sum").Launch(device.Stream, new LaunchShape(1, 256), rowChange.Address, rowChange.Length, rowChange.Address);
        double squares = 0;
        device.Download(rowChange, new Span<double>(ref squares));
        return Math.Sqrt(squares);
    }

    private static void SettleCuda(CudaDevice device, MarginalWorkspace memory, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon, double rho, DeviceSpan<double> f,
        DeviceSpan<double> g, Span<double> state)
    {
        SinkhornCudaKernels.Marginals(device, "bs_sinkhorn_settle").Launch(device.Stream, SinkhornCudaState.ShapeOfOneBlock(memory.Rows, memory.Columns), (long)memory.Rows, (long)memory.Columns,
            a.Address, b.Address, epsilon, rho, f.Address, g.Address, memory.Changes.View.Address, memory.Part(memory.Exponents, rows: false).Address, memory.State.View.Address);
        device.Download(memory.State.View, state);
    }

    private static void AddMassesCuda(CudaDevice device, DeviceSpan<double> potentials, DeviceSpan<double> masses, double scale, double shift) =>
        SinkhornCudaKernels.Marginals(device, "bs_sinkhorn_add_masses").Launch(device.Stream, LaunchShape.For(potentials.Length, 256), potentials.Address, masses.Address, potentials.Length, scale, shift);

    private static double SumLogarithmsCuda<T>(CudaDevice device, MatrixView<T> coupling, DeviceSpan<double> rowSums) where T : unmanaged
    {
        JitRequest module = SinkhornCudaKernels.Module(sizeof(T));
        DeviceKernels.Get(device, module, "bs_sinkhorn_logarithms").Launch(device.Stream, SinkhornCudaState.ShapeOfRows(coupling.Rows, coupling.Columns), coupling.Address, coupling.Stride,
            coupling.Columns, rowSums.Address);
        DeviceKernels.Get(device, module, "bs_sinkhorn_sum").Launch(device.Stream, new LaunchShape(1, 256), rowSums.Address, rowSums.Length, rowSums.Address);
        double total = 0;
        device.Download(rowSums, new Span<double>(ref total));
        return total;
    }
}

/// <summary>What an iteration reads and writes. Two problems with the same values can share a recorded graph.</summary>
internal readonly record struct CudaSinkhornProblem
{
    public required DevicePointer Cost { get; init; }
    public required long Stride { get; init; }
    public required DevicePointer A { get; init; }
    public required DevicePointer B { get; init; }
    public required DevicePointer F { get; init; }
    public required double Epsilon { get; init; }
    public required SinkhornPasses Passes { get; init; }
    public double InverseEpsilon => 1 / Epsilon;
}

/// <summary>The iteration as it is: checked where the stopping rule looks, and between two checks replayed as a graph.</summary>
internal static class CudaPlainSolver
{
    /// <summary>Fewer iterations than this between checks are launched one by one.</summary>
    private const int LeastInGraph = 4;

    public static SinkhornResult Solve(SinkhornCudaState state, in CudaSinkhornProblem problem, in SinkhornOptions options)
    {
        double error = double.PositiveInfinity;
        state.Columns(problem);
        // An even number of iterations leaves the two column potentials in the places where it found them.
        bool replay = options.CheckEvery >= LeastInGraph && options.CheckEvery % 2 == 0;
        for (int iteration = 0; iteration < options.MaxIterations;)
        {
            bool whole = replay && iteration % options.CheckEvery == 1 && iteration + options.CheckEvery <= options.MaxIterations;
            if (whole) state.Replay(problem, options.CheckEvery);
            else state.Iterate(problem);
            iteration += whole ? options.CheckEvery : 1;
            if ((iteration - 1) % options.CheckEvery != 0) continue;
            error = state.Violation();
            if (error < options.Tolerance) return new SinkhornResult(iteration, error, true, 0);
        }
        return new SinkhornResult(options.MaxIterations, error, false, 0);
    }
}

/// <summary>
/// Anderson acceleration as <see cref="ScalingSolver{TLanes,TVector,T}"/> does it: every fourth iteration the last ones are combined, and a combination that lowers the dual
/// objective is taken back. Vectors stay on the device; five numbers come back per iteration.
/// </summary>
internal ref struct CudaAcceleratedSolver(SinkhornCudaState state, CudaSinkhornProblem problem)
{
    private const int MixEvery = 4;
    private const double FirstRadius = 4, MeritRounding = 1e-12, WorstGrowth = 10;
    private double _plainMerit, _plainResidual, _stepLength, _radius;
    private int _sinceMixing;
    private bool _mixing, _mixed;

    public SinkhornResult Solve(in SinkhornOptions options, double tolerance)
    {
        double error = double.PositiveInfinity;
        _radius = FirstRadius * problem.Epsilon;
        state.Mixing.Clear();
        state.Columns(problem);
        for (int iteration = 0; iteration < options.MaxIterations;)
        {
            state.KeepStart(problem);
            state.Iterate(problem);
            MixingState now = state.Record(problem);
            if (_mixing) (_mixed, _stepLength) = (now.Directions > 0, now.Taken);
            _mixing = false;
            if (iteration % options.CheckEvery == 0)
            {
                error = Math.Sqrt(now.SquaredViolation);
                if (error < tolerance) return new SinkhornResult(iteration + 1, error, true, 0);
            }
            // The last iterate stays plain: a mixed f has no g yet, and the two together would be no plan.
            if (++iteration == options.MaxIterations) break;
            Accelerate(now);
        }
        return new SinkhornResult(options.MaxIterations, error, false, 0);
    }

    private void Accelerate(in MixingState now)
    {
        if (_mixed && !IsImproved(now))
        {
            // Go on from the plain iterate that the mixing had replaced, without the pairs that misled it.
            _radius = _stepLength / 4;
            state.Restore(problem);
            (_mixed, _sinceMixing) = (false, 0);
            state.Columns(problem);
            return;
        }
        if (_mixed && _stepLength == _radius) _radius *= 4;
        _mixed = false;
        if (++_sinceMixing < MixEvery) return;
        _sinceMixing = 0;
        if (!state.Mix(problem, _radius)) return;
        (_mixing, _plainMerit, _plainResidual) = (true, now.Merit, now.SquaredResidual);
        state.Columns(problem);
    }

    /// <summary>The dual objective decides, which plain iterations never lower; so close to the solution that its change is rounding, the residual does.</summary>
    private readonly bool IsImproved(in MixingState now)
    {
        double noise = MeritRounding * Math.Max(problem.Epsilon, Math.Abs(now.Merit));
        if (now.Merit > _plainMerit + noise) return true;
        return now.Merit > _plainMerit - noise && now.SquaredResidual <= WorstGrowth * WorstGrowth * _plainResidual;
    }
}
