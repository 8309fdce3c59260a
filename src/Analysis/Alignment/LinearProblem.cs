using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>What every transport problem of one alignment shares.</summary>
internal sealed record LinearContext<T>(GromovOptions Options, SinkhornOptions Inner, SinkhornWorkspace<T> Sinkhorn, DeviceBuffer<double> P, DeviceBuffer<double> Q)
    where T : unmanaged, IFloatingPointIeee754<T>;

/// <summary>
/// The transport problem of an outer iteration under one constraint on the marginals: its solution is exp((f_i + g_j - C_ij) / <see cref="Epsilon"/>).
/// </summary>
internal abstract class LinearProblem<T>(LinearContext<T> context) : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    protected LinearContext<T> Context => context;
    protected GromovOptions Options => context.Options;

    /// <summary>Regularisation of the problem solved last, in units of its cost.</summary>
    public virtual double Epsilon => context.Options.Epsilon;

    /// <summary>True where the coupling's marginals are not the masses, so that the tensor's constant terms change with it.</summary>
    public virtual bool TermsFollowCoupling => true;

    public static LinearProblem<T> Create(LinearContext<T> context) => context.Options.Marginals switch
    {
        MarginalConstraint.SemiRelaxed => new SemiRelaxedProblem<T>(context),
        MarginalConstraint.Unbalanced => new UnbalancedProblem<T>(context),
        MarginalConstraint.Partial => new PartialProblem<T>(context),
        _ => new BalancedProblem<T>(context),
    };

    /// <summary>Solves.</summary>
    /// <param name="cost">[n, m].</param>
    /// <param name="linearisedAt">The coupling at which the objective was linearised, with its marginals.</param>
    /// <param name="f">Row potentials: the last solution on entry unless cold, the new one on return.</param>
    /// <param name="g">Column potentials.</param>
    /// <param name="tolerance">To which the problem is solved, in the measure of <see cref="SinkhornResult.MarginalError"/>.</param>
    /// <param name="cold">Start from zero potentials.</param>
    public abstract SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, double tolerance, bool cold);

    /// <summary>L1 norms by which rows and columns violate what the problem asks of them.</summary>
    public abstract (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q);

    /// <summary>The minimised objective at the final coupling.</summary>
    /// <param name="loss">The loss without entropy, its fused part included.</param>
    /// <param name="sums">Sums over the coupling.</param>
    public virtual double RegularisedObjective(double loss, in CouplingSums sums, double[] p, double[] q)
    {
        double potEpsilon = Options.Convention == EpsilonConvention.Pot ? Options.Epsilon : 2 * Options.Epsilon;
        return loss - potEpsilon * (sums.Entropy + sums.Mass);
    }

    public virtual void Dispose()
    {
    }
}

/// <summary>A coupling and its marginals; the marginals are empty where the problem does not look at them.</summary>
internal readonly ref struct LinearisationPoint<T>(MatrixView<T> coupling, DeviceSpan<double> rowSums, DeviceSpan<double> columnSums) where T : unmanaged
{
    public MatrixView<T> Coupling { get; } = coupling;
    public DeviceSpan<double> RowSums { get; } = rowSums;
    public DeviceSpan<double> ColumnSums { get; } = columnSums;
}

/// <summary>Both marginals are the masses: Sinkhorn's iteration, from where the last solutions say that this one will be.</summary>
internal sealed class BalancedProblem<T>(LinearContext<T> context) : LinearProblem<T>(context) where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly PotentialForecast _forecast = new((int)context.P.Length);
    private readonly double[] _rows = new double[context.P.Length];

    public override bool TermsFollowCoupling => false;

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, double tolerance, bool cold)
    {
        if (cold)
        {
            f.Clear();
            _forecast.Clear();
        }
        else if (_forecast.Apply(_rows)) f.CopyFrom(_rows);
        SinkhornOptions inner = Context.Inner with { Tolerance = tolerance };
        SinkhornResult result = typeof(T) == typeof(double)
            ? SinkhornScaling.Solve((SinkhornWorkspace<double>)(object)Context.Sinkhorn, ((Matrix<double>)(object)cost).View, Context.P.View, Context.Q.View, Epsilon, f.View, g.View, inner)
            : SinkhornScaling.Solve((SinkhornWorkspace<float>)(object)Context.Sinkhorn, ((Matrix<float>)(object)cost).View, Context.P.View, Context.Q.View, Epsilon, f.View, g.View, inner);
        f.CopyTo(_rows);
        _forecast.Record(_rows);
        return result;
    }

    public override (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q) => (CouplingSums.Distance(sums.Rows, p), CouplingSums.Distance(sums.Columns, q));
}

/// <summary>Rows sum to their masses and columns are free: every row is a softmax, in closed form.</summary>
internal sealed class SemiRelaxedProblem<T>(LinearContext<T> context) : LinearProblem<T>(context) where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly MarginalWorkspace _memory = new(context.P.Device, (int)context.P.Length, (int)context.Q.Length);

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, double tolerance, bool cold)
    {
        g.Clear();
        SinkhornScaling.UpdateRows(Context.Sinkhorn, _memory, cost.View, Context.P.View, g.View, Epsilon, MarginalStep.Fixed, f.View);
        return new SinkhornResult(1, 0, true, 0);
    }

    public override (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q) => (CouplingSums.Distance(sums.Rows, p), 0);

    public override void Dispose() => _memory.Dispose();
}
