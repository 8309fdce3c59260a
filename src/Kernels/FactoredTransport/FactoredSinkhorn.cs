using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class FactoredTransport
{
    /// <summary>Plain iterations between two mixings: they damp what the mixing excites.</summary>
    private const int MixEvery = 3;

    /// <summary>Largest change of a potential, in units of epsilon, that the first mixing may make; later ones by how the earlier ones went.</summary>
    private const double FirstRadius = 4;
    private const double MeritRounding = 1e-12;

    /// <summary>Rounding of the logarithm of a sum in single precision; it does not grow with the potentials.</summary>
    private const double SingleMeritRounding = 2e-7;

    /// <summary>How often kept entries may seem to have reached a tolerance that the plan itself has not.</summary>
    private const int MostLooks = 3;

    /// <summary>A mixing close to the solution that lets the residual grow by more than this is taken back.</summary>
    private const double WorstGrowth = 10;

    /// <summary>
    /// Solves the entropic transport problem by Sinkhorn's iteration on the column potentials, from those given: one pass over the plan per iteration gives row
    /// potentials, column sums and with them the next column potentials. Accelerated by Anderson mixing, which the dual objective may take back.
    /// </summary>
    /// <param name="plan">Factors.</param>
    /// <param name="rowMass">[n], positive.</param>
    /// <param name="columnMass">[m], positive, with the same sum.</param>
    /// <param name="u">Row potentials [n] in units of epsilon, on return: rows have their masses exactly.</param>
    /// <param name="v">Column potentials [m]: on entry the start, on return the solution.</param>
    /// <param name="columnSums">Column sums [m] of the plan at u and v, on return.</param>
    /// <param name="options">Iteration limit, tolerance on the Euclidean norm of the column violation, acceleration.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    public static SinkhornResult Solve<T>(FactoredPlan<T> plan, DeviceSpan<double> rowMass, DeviceSpan<double> columnMass, DeviceSpan<double> u, DeviceSpan<double> v,
        DeviceSpan<double> columnSums, in SinkhornOptions options, CancellationToken cancellation = default) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (columnMass.Length != plan.Columns || columnSums.Length != plan.Columns) throw new ArgumentException("The column masses do not fit the plan.", nameof(columnMass));
        Check(plan, u, v);
        if (plan.Cuda is { } gpu) return new FactoredCudaSinkhorn<T>(plan, gpu, rowMass, columnMass, u, v, columnSums).Solve(options, cancellation);
        return new FactoredSinkhorn<T>(plan, rowMass, columnMass, u, v, columnSums).Solve(options, cancellation);
    }

    /// <summary>One solve. The iterate is v; the image of v under the iteration is v + log(b / column sums).</summary>
    private ref struct FactoredSinkhorn<T>(FactoredPlan<T> plan, DeviceSpan<double> a, DeviceSpan<double> b, DeviceSpan<double> u, DeviceSpan<double> v, DeviceSpan<double> sums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly FactoredPlan<T> _plan = plan;
        private readonly DeviceSpan<double> _a = a, _b = b, _u = u, _v = v, _sums = sums, _next = plan.Next, _work = plan.Work;
        private double _plainMerit, _plainResidual, _stepLength, _radius = FirstRadius;
        private KeptEntries? _kept = KernelDispatch.Select(nameof(FactoredTransport)) == KernelVariant.Reference ? null : plan.Kept;
        private int _sinceMixing;
        private bool _mixed;

        public SinkhornResult Solve(in SinkhornOptions options, CancellationToken cancellation)
        {
            double norm = TensorPrimitives.Norm<double>(_b.Host), unit = sizeof(T) == 8 ? double.BitIncrement(1) - 1 : MathF.BitIncrement(1) - 1;
            _plan.Mixing.Clear();
            _kept?.Forget();
            double error = double.PositiveInfinity;
            int restarts = 0, looks = 0;
            for (int iteration = 0; iteration < options.MaxIterations; iteration++)
            {
                cancellation.ThrowIfCancellationRequested();
                bool exact = Pass(isLast: iteration + 1 == options.MaxIterations);
                error = TensorPrimitives.Distance<double>(_sums.Host, _b.Host);
                // What rounding of potentials of this size leaves: a smaller violation cannot be told from none.
                double reachable = norm * Math.Max(4 * unit, (double.BitIncrement(1) - 1) * TensorPrimitives.MaxMagnitude<double>(_v.Host));
                if (error < Math.Max(options.Tolerance, reachable))
                {
                    if (exact) return new SinkhornResult(iteration + 1, error, true, restarts);
                    // What is returned is measured on the plan itself: look again at these potentials. Objectives before and after differ by the rounding of the entries.
                    _kept!.Forget();
                    _mixed = false;
                    looks++;
                    continue;
                }
                // The potentials returned are those whose sums were measured.
                if (iteration + 1 == options.MaxIterations) break;
                // Where columns hang together by very little, the rounding of the entries moves the solution by more than another base makes good.
                if (exact && looks >= MostLooks) _kept = null;
                if (Update()) restarts++;
                if (options.Accelerate) Accelerate();
                _next.Host.CopyTo(_v.Host);
            }
            return new SinkhornResult(options.MaxIterations, error, false, restarts);
        }

        /// <summary>Row potentials and column sums at v; false when they are those of kept entries.</summary>
        private readonly bool Pass(bool isLast)
        {
            if (_kept is null) Balance(_plan, _a, _v, _u, _sums);
            else if (isLast || !_kept.Covers(_v.Pointer)) BalanceAndKeep(_plan, _kept, _a, _v, _u, _sums);
            else
            {
                BalanceKept(_plan, _kept, _a, _v, _u, _sums);
                return false;
            }
            return true;
        }

        /// <summary>next = v + log(b / sums); from sums over logarithms where a column has next to nothing. True then.</summary>
        private readonly bool Update()
        {
            double least = sizeof(T) == 8 && _kept is null ? 1e-200 : 1e-25;
            bool starved = false;
            for (int j = 0; j < _plan.Columns && !starved; j++) starved = !(_sums.Pointer[j] > least * _b.Pointer[j]);
            if (starved)
            {
                Balance(_plan.Exchanged(), _b, _u, _next);
                return true;
            }
            for (int j = 0; j < _plan.Columns; j++) _next.Pointer[j] = _v.Pointer[j] + Math.Log(_b.Pointer[j] / _sums.Pointer[j]);
            return false;
        }

        /// <summary>Remembers the iteration, takes a bad mixing back, and now and then replaces the next iterate by the combination of the last ones.</summary>
        private void Accelerate()
        {
            AndersonMixing mixing = _plan.Mixing;
            double merit = TensorPrimitives.Dot<double>(_a.Host, _u.Host) + TensorPrimitives.Dot<double>(_b.Host, _v.Host);
            double residual = mixing.Record(_v.Host, _next.Host);
            if (_mixed && !IsImproved(merit, residual))
            {
                // Go on from the plain iterate that the mixing had replaced, without the pairs that misled it.
                _radius = _stepLength / 4;
                mixing.CopyImageBeforeLast(_next.Host);
                mixing.Clear();
                (_mixed, _sinceMixing) = (false, 0);
                return;
            }
            if (_mixed && _stepLength == _radius) _radius *= 4;
            _mixed = false;
            if (++_sinceMixing < MixEvery) return;
            _sinceMixing = 0;
            Span<double> step = _work.Host;
            if (!mixing.Extrapolate(step)) return;
            TensorPrimitives.Subtract(step, _next.Host, step);
            double length = Math.Abs(TensorPrimitives.MaxMagnitude<double>(step)), taken = Math.Min(length, _radius);
            if (taken == 0) return;
            TensorPrimitives.MultiplyAdd(step, taken / length, _next.Host, _next.Host);
            (_mixed, _plainMerit, _plainResidual, _stepLength) = (true, merit, residual, taken);
        }

        /// <summary>The dual objective decides, which plain iterations never lower; so close to the solution that its change is rounding, the residual does.</summary>
        private readonly bool IsImproved(double merit, double residual)
        {
            double noise = MeritRounding * Math.Max(1, Math.Abs(merit)) + (sizeof(T) == 8 ? 0 : SingleMeritRounding);
            if (merit > _plainMerit + noise) return true;
            return merit > _plainMerit - noise && residual <= WorstGrowth * _plainResidual;
        }
    }
}
