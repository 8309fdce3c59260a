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
    private readonly DeviceBuffer<double> _rowSoftmin, _columnSoftmin, _rowScratch;
    private readonly double[] _f, _g, _logP, _logQ;
    private double _epsilon;

    public UnbalancedProblem(LinearContext<T> context)
        : base(context)
    {
        ComputeDevice device = context.P.Device;
        (int n, int m) = ((int)context.P.Length, (int)context.Q.Length);
        (_rowSoftmin, _columnSoftmin, _rowScratch) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n));
        (_f, _g, _logP, _logQ) = (new double[n], new double[m], new double[n], new double[m]);
        for (int i = 0; i < n; i++) _logP[i] = Math.Log(context.P.View.Host[i]);
        for (int j = 0; j < m; j++) _logQ[j] = Math.Log(context.Q.View.Host[j]);
        _epsilon = context.Options.Epsilon;
    }

    public override double Epsilon => _epsilon;

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, bool cold)
    {
        if (cold)
        {
            Array.Clear(_f);
            Array.Clear(_g);
        }
        (double mass, double constant) = Constant(linearisedAt);
        (_epsilon, double rho) = (mass * Options.Epsilon, mass * Options.Rho);
        // Nothing left to move, or no longer a number: the caller sees a coupling that is not finite.
        if (!(_epsilon > 0)) throw new ConvergenceException("The coupling lost all its mass: rho is too small for these costs; raise rho or scale the costs.");
        double damping = rho / (rho + _epsilon), change = double.PositiveInfinity;
        int iteration = 0;
        while (iteration < Context.Inner.MaxIterations && !(change <= Context.Inner.Tolerance))
        {
            WithMasses(_g, _logQ, g.View.Host);
            SinkhornScaling.RowSoftmin(Context.Sinkhorn, cost.View, g.View, _epsilon, _rowSoftmin.View);
            change = Damp(_f, _rowSoftmin.View.Host, damping, constant);
            WithMasses(_f, _logP, f.View.Host);
            SinkhornScaling.ColumnSoftmin(Context.Sinkhorn, cost.View, f.View, _epsilon, _columnSoftmin.View);
            change = Math.Max(change, Damp(_g, _columnSoftmin.View.Host, damping, constant));
            change = Math.Max(change, Translate(rho)) / _epsilon;
            iteration++;
            if (double.IsNaN(change)) break;
        }
        WithMasses(_f, _logP, f.View.Host);
        WithMasses(_g, _logQ, g.View.Host);
        Rescale(cost, f, g, mass, constant);
        return new SinkhornResult(iteration, change, change <= Context.Inner.Tolerance, 0);
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
        _rowSoftmin.Dispose();
        _columnSoftmin.Dispose();
        _rowScratch.Dispose();
    }

    /// <summary>The mass of the coupling, and the terms of the linearised objective that do not depend on the cell.</summary>
    private (double Mass, double Constant) Constant(in LinearisationPoint<T> at)
    {
        ReadOnlySpan<double> rows = at.RowSums.Host, columns = at.ColumnSums.Host;
        double mass = 0;
        foreach (double r in rows) mass += r;
        double plan = SinkhornScaling.SumLogarithms(at.Coupling, _rowScratch.View);
        for (int i = 0; i < rows.Length; i++) plan -= rows[i] * _logP[i];
        for (int j = 0; j < columns.Length; j++) plan -= columns[j] * _logQ[j];
        return (mass, Options.Rho * (Relative(rows, _logP) + Relative(columns, _logQ)) + Options.Epsilon * plan);
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

    private void WithMasses(double[] potentials, double[] logMasses, Span<double> result)
    {
        for (int i = 0; i < potentials.Length; i++) result[i] = potentials[i] + _epsilon * logMasses[i];
    }

    private static double Damp(double[] potentials, ReadOnlySpan<double> softmin, double damping, double constant)
    {
        double change = 0;
        for (int i = 0; i < potentials.Length; i++)
        {
            double damped = damping * (softmin[i] + constant);
            change = Math.Max(change, Math.Abs(damped - potentials[i]));
            potentials[i] = damped;
        }
        return change;
    }

    /// <summary>The best shift of f by a number and of g by its opposite; returns its size.</summary>
    private double Translate(double rho)
    {
        double shift = 0.5 * rho * (LogSum(_f, _logP, rho) - LogSum(_g, _logQ, rho));
        for (int i = 0; i < _f.Length; i++) _f[i] += shift;
        for (int j = 0; j < _g.Length; j++) _g[j] -= shift;
        return Math.Abs(shift);
    }

    /// <summary>log sum_i mass_i exp(-potential_i / rho).</summary>
    private static double LogSum(double[] potentials, double[] logMasses, double rho)
    {
        double most = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < potentials.Length; i++) most = Math.Max(most, logMasses[i] - potentials[i] / rho);
        for (int i = 0; i < potentials.Length; i++) sum += Math.Exp(logMasses[i] - potentials[i] / rho - most);
        return most + Math.Log(sum);
    }

    /// <summary>Gives the row potentials the constant of the cost and the scale that makes the mass sqrt(mass m(γ)).</summary>
    private void Rescale(Matrix<T> cost, DeviceBuffer<double> f, DeviceBuffer<double> g, double mass, double constant)
    {
        SinkhornScaling.ColumnSoftmin(Context.Sinkhorn, cost.View, f.View, _epsilon, _columnSoftmin.View);
        ReadOnlySpan<double> columns = g.View.Host, softmin = _columnSoftmin.View.Host;
        double most = double.NegativeInfinity, sum = 0;
        for (int j = 0; j < columns.Length; j++) most = Math.Max(most, columns[j] - softmin[j]);
        for (int j = 0; j < columns.Length; j++) sum += Math.Exp((columns[j] - softmin[j] - most) / _epsilon);
        double logMass = Math.Log(sum) + (most - constant) / _epsilon, shift = 0.5 * _epsilon * (Math.Log(mass) - logMass) - constant;
        Span<double> rows = f.View.Host;
        for (int i = 0; i < rows.Length; i++) rows[i] += shift;
    }
}
