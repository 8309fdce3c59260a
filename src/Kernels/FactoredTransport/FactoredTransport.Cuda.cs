using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class FactoredTransport
{
    private static void BalanceCuda<T>(FactoredPlan<T> plan, FactoredCudaState<T> state, DeviceSpan<double> mass, DeviceSpan<double> v, DeviceSpan<double> u, DeviceSpan<double> columnSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        state.Choose(plan.Scores);
        state.SetLeft(plan.Left);
        // The column masses are of no use here; what the kernel makes of them is not read.
        state.SetMasses(mass, default);
        state.SetColumnPotentials(v);
        state.Rows();
        if (columnSums.Length > 0)
        {
            state.Columns();
            state.DownloadColumns(default, columnSums);
        }
        state.DownloadRows(u);
    }

    private static double ChangeCuda<T>(FactoredPlan<T> first, DeviceSpan<double> u1, DeviceSpan<double> v1, FactoredPlan<T> second, DeviceSpan<double> u2, DeviceSpan<double> v2, DeviceSpan<double> rowSums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (second.Cuda is not { } other || !ReferenceEquals(first.Device, second.Device)) throw new ArgumentException("The plans are on different devices.", nameof(second));
        PrepareCuda(first, first.Cuda!, u1, v1);
        PrepareCuda(second, other, u2, v2);
        first.Cuda!.Change(other, rowSums);
        return Math.Sqrt(TensorPrimitives.Sum<double>(rowSums.Host));
    }

    /// <summary>Factors and potentials of a plan whose entries are wanted.</summary>
    private static void PrepareCuda<T>(FactoredPlan<T> plan, FactoredCudaState<T> state, DeviceSpan<double> u, DeviceSpan<double> v) where T : unmanaged, IFloatingPointIeee754<T>
    {
        state.SetLeft(plan.Left);
        state.SetColumnPotentials(v);
        if (u.Length > 0) state.SetRowPotentials(u);
    }

    /// <summary>One solve on a GPU: the iteration of <see cref="FactoredSinkhorn{T}"/> on vectors that stay on the device; six numbers come back per iteration.</summary>
    private ref struct FactoredCudaSinkhorn<T>(FactoredPlan<T> plan, FactoredCudaState<T> state, DeviceSpan<double> a, DeviceSpan<double> b, DeviceSpan<double> u, DeviceSpan<double> v, DeviceSpan<double> sums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly FactoredPlan<T> _plan = plan;
        private readonly FactoredCudaState<T> _state = state;
        private readonly DeviceSpan<double> _a = a, _b = b, _u = u, _v = v, _sums = sums;
        private double _plainMerit, _plainResidual, _stepLength, _radius = FirstRadius;
        private int _sinceMixing;
        private bool _mixing, _mixed;

        public SinkhornResult Solve(in SinkhornOptions options, CancellationToken cancellation)
        {
            double norm = TensorPrimitives.Norm<double>(_b.Host), unit = sizeof(T) == 8 ? double.BitIncrement(1) - 1 : MathF.BitIncrement(1) - 1;
            _state.Choose(_plan.Scores);
            _state.SetLeft(_plan.Left);
            _state.SetMasses(_a, _b);
            _state.ForgetPairs();
            // From here on scores are rounded relative to this start, so that the result follows from the arguments alone.
            _state.SetColumnPotentials(_v, fresh: true);
            SinkhornResult result = new(options.MaxIterations, double.PositiveInfinity, false, 0);
            for (int iteration = 0; iteration < options.MaxIterations; iteration++)
            {
                cancellation.ThrowIfCancellationRequested();
                _state.Rows();
                _state.Columns();
                FactoredState now = _state.Record(options.Accelerate);
                double error = Math.Sqrt(now.SquaredViolation);
                // What rounding of potentials of this size leaves: a smaller violation cannot be told from none.
                double reachable = norm * Math.Max(4 * unit, (double.BitIncrement(1) - 1) * now.Magnitude);
                result = new SinkhornResult(iteration + 1, error, error < Math.Max(options.Tolerance, reachable), 0);
                // The potentials returned are those whose sums were measured.
                if (result.Converged || iteration + 1 == options.MaxIterations) break;
                if (options.Accelerate) Accelerate(now);
                _state.Advance();
            }
            _state.DownloadRows(_u);
            _state.DownloadColumns(_v, _sums);
            return result;
        }

        /// <summary>As on the host: takes a bad mixing back, and now and then replaces the next iterate by the combination of the last ones.</summary>
        private void Accelerate(in FactoredState now)
        {
            if (_mixing) (_mixed, _stepLength) = (now.Directions > 0, now.Taken);
            _mixing = false;
            if (_mixed && !IsImproved(now))
            {
                _radius = _stepLength / 4;
                _state.Restore();
                (_mixed, _sinceMixing) = (false, 0);
                return;
            }
            if (_mixed && _stepLength == _radius) _radius *= 4;
            _mixed = false;
            if (++_sinceMixing < MixEvery) return;
            _sinceMixing = 0;
            if (!_state.Mix(_radius)) return;
            (_mixing, _plainMerit, _plainResidual) = (true, now.Merit, now.SquaredResidual);
        }

        private readonly bool IsImproved(in FactoredState now)
        {
            double noise = MeritRounding * Math.Max(1, Math.Abs(now.Merit)) + (sizeof(T) == 8 ? 0 : SingleMeritRounding);
            if (now.Merit > _plainMerit + noise) return true;
            return now.Merit > _plainMerit - noise && now.SquaredResidual <= WorstGrowth * WorstGrowth * _plainResidual;
        }
    }
}
