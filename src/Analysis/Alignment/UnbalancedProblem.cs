using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Unbalanced Gromov-Wasserstein (Séjourné, Vialard and Peyré 2021, algorithm 1, the solver of SCOT v2): departures of the marginals cost rho times the
/// quadratic Kullback-Leibler divergence KL(γ1 ⊗ γ1 | p ⊗ p), the entropy is KL(γ ⊗ γ | (p ⊗ q) ⊗ (p ⊗ q)). Linearised at a coupling of mass M this is
/// unbalanced transport with M epsilon, M rho and a cost with a constant; the solution γ is rescaled to the mass sqrt(M m(γ)). A cost between the domains enters
/// linearly, half of it in every linearised problem, as in FUGW (Thual et al. 2022): fixed points are then stationary points of the objective with one plan.
/// </summary>
/// <remarks>A step along (1, -1) in the potentials, which a large rho / epsilon makes slow, is taken in closed form (Séjourné, Vialard and Peyré 2022).</remarks>
internal sealed class UnbalancedProblem<T> : LinearProblem<T> where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly MarginalWorkspace _memory;
    private readonly DeviceBuffer<double> _rowScratch;
    private readonly double[] _logP, _logQ, _rows, _columns;
    private double _epsilon, _rescaling;

    public UnbalancedProblem(LinearContext<T> context)
        : base(context)
    {
        (int n, int m) = ((int)context.P.Length, (int)context.Q.Length);
        _memory = new MarginalWorkspace(context.P.Device, n, m);
        _rowScratch = context.P.Device.Allocate<double>(n);
        (_logP, _logQ, _rows, _columns) = (Logarithms(context.P), Logarithms(context.Q), new double[n], new double[m]);
        _epsilon = context.Options.Epsilon;
    }

    public override double Epsilon => _epsilon;

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, double tolerance, bool cold)
    {
        (double mass, double constant) = Constant(linearisedAt);
        (double epsilon, double rho) = (mass * Options.Epsilon, mass * Options.Rho);
        // Nothing left to move, or no longer a number: the caller sees a coupling that is not finite.
        if (!(epsilon > 0)) throw new ConvergenceException("The coupling lost all its mass: rho is too small for these costs; raise rho or scale the costs.");
        Start(f, g, epsilon, cold);
        MarginalStep step = MarginalStep.Priced(rho, epsilon, constant);
        double change = double.PositiveInfinity, logMass = 0;
        int iteration = 0;
        while (iteration < Context.Inner.MaxIterations && !(change <= tolerance))
        {
            SinkhornScaling.UpdateRows(Context.Sinkhorn, _memory, cost.View, Context.P.View, g.View, epsilon, step, f.View);
            SinkhornScaling.UpdateColumns(Context.Sinkhorn, _memory, cost.View, Context.Q.View, f.View, epsilon, step, g.View);
            MarginalProgress progress = SinkhornScaling.Settle(_memory, Context.P.View, Context.Q.View, epsilon, rho, f.View, g.View);
            (change, logMass) = (progress.Change / epsilon, progress.LogMass - constant / epsilon);
            iteration++;
            if (double.IsNaN(change)) break;
        }
        // The row potentials get the constant of the cost and the scale that makes the mass sqrt(mass m(γ)).
        _rescaling = 0.5 * epsilon * (Math.Log(mass) - logMass) - constant;
        SinkhornScaling.AddMasses(f.View, Context.P.View, 0, _rescaling);
        return new SinkhornResult(iteration, change, change <= tolerance, 0);
    }

    public override (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q) => (0, 0);

    public override double RegularisedObjective(double loss, in CouplingSums sums, double[] p, double[] q)
    {
        double scale = Options.LinearScale, mass = sums.Mass, plan = -sums.Entropy;
        for (int i = 0; i < p.Length; i++) plan -= sums.Rows[i] * _logP[i];
        for (int j = 0; j < q.Length; j++) plan -= sums.Columns[j] * _logQ[j];
        return loss + Options.Rho / scale * (Quadratic(Relative(sums.Rows, _logP), mass) + Quadratic(Relative(sums.Columns, _logQ), mass)) + Options.Epsilon / scale * Quadratic(plan, mass);
    }

    public override void Dispose()
    {
        _memory.Dispose();
        _rowScratch.Dispose();
    }

    /// <summary>The last potentials without what their rescaling added, beside the masses at the new epsilon.</summary>
    private void Start(DeviceBuffer<double> f, DeviceBuffer<double> g, double epsilon, bool cold)
    {
        if (cold)
        {
            f.Clear();
            g.Clear();
            (_epsilon, _rescaling) = (0, 0);
        }
        SinkhornScaling.AddMasses(f.View, Context.P.View, epsilon - _epsilon, -_rescaling);
        SinkhornScaling.AddMasses(g.View, Context.Q.View, epsilon - _epsilon, 0);
        _epsilon = epsilon;
    }

    /// <summary>The mass of the coupling, and the terms of the linearised objective that do not depend on the cell.</summary>
    private (double Mass, double Constant) Constant(in LinearisationPoint<T> at)
    {
        ComputeDevice device = at.RowSums.Device;
        device.Download(at.RowSums, _rows);
        device.Download(at.ColumnSums, _columns);
        double mass = 0;
        foreach (double r in _rows) mass += r;
        double plan = SinkhornScaling.SumLogarithms(at.Coupling, _rowScratch.View);
        for (int i = 0; i < _rows.Length; i++) plan -= _rows[i] * _logP[i];
        for (int j = 0; j < _columns.Length; j++) plan -= _columns[j] * _logQ[j];
        return (mass, Options.Rho * (Relative(_rows, _logP) + Relative(_columns, _logQ)) + Options.Epsilon * plan);
    }

    private static double[] Logarithms(DeviceBuffer<double> masses)
    {
        double[] logarithms = new double[masses.Length];
        masses.CopyTo(logarithms);
        for (int i = 0; i < logarithms.Length; i++) logarithms[i] = Math.Log(logarithms[i]);
        return logarithms;
    }

    /// <summary>sum_i s_i log(s_i / mass_i).</summary>
    private static double Relative(ReadOnlySpan<double> sums, double[] logMasses)
    {
        double total = 0;
        for (int i = 0; i < sums.Length; i++)
            if (sums[i] > 0) total += sums[i] * (Math.Log(sums[i]) - logMasses[i]);
        return total;
    }

    /// <summary>KL(μ ⊗ μ | ν ⊗ ν) from sum μ log(μ / ν), for ν of mass 1.</summary>
    private static double Quadratic(double relative, double mass) => 2 * mass * (relative - mass + 1) + (mass - 1) * (mass - 1);
}
