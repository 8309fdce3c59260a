using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Entropic transport of a given mass, rows and columns at most their masses (Benamou et al. 2015, proposition 5). POT's Dykstra projections only ever
/// multiply rows, columns and the whole, so they are this ascent on three potentials: f ≤ 0, g ≤ 0 and a number h for the mass, which in the log domain
/// has no epsilon that turns it into NaN.
/// </summary>
internal sealed class PartialProblem<T> : LinearProblem<T> where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly DeviceBuffer<double> _rowSoftmin, _columnSoftmin;
    private double _massPotential;

    public PartialProblem(LinearContext<T> context)
        : base(context)
    {
        _rowSoftmin = context.P.Device.Allocate<double>(context.P.Length);
        _columnSoftmin = context.P.Device.Allocate<double>(context.Q.Length);
    }

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, bool cold)
    {
        double epsilon = Epsilon, logMass = Math.Log(Options.Mass), tolerance = Context.Inner.Tolerance, change = double.PositiveInfinity;
        if (cold)
        {
            f.Clear();
            g.Clear();
        }
        else Shift(f.View.Host, -_massPotential);
        Span<double> rows = f.View.Host, columns = g.View.Host, rowSoftmin = _rowSoftmin.View.Host, columnSoftmin = _columnSoftmin.View.Host;
        ReadOnlySpan<double> p = Context.P.View.Host, q = Context.Q.View.Host;
        // POT's iterates run to their limit: its tolerance is 1e-100.
        bool toTheLimit = Options.InnerSolve == InnerSolve.PotIterates;
        int iteration = 0;
        while (iteration < Context.Inner.MaxIterations && (toTheLimit || !(change <= tolerance)))
        {
            SinkhornScaling.RowSoftmin(Context.Sinkhorn, cost.View, g.View, epsilon, _rowSoftmin.View);
            if (cold && iteration == 0) _massPotential = MassPotential(columns: rows, rowSoftmin, epsilon, logMass);
            change = Bound(rows, p, rowSoftmin, epsilon, _massPotential);
            SinkhornScaling.ColumnSoftmin(Context.Sinkhorn, cost.View, f.View, epsilon, _columnSoftmin.View);
            change = Math.Max(change, Bound(columns, q, columnSoftmin, epsilon, _massPotential));
            double massPotential = MassPotential(columns, columnSoftmin, epsilon, logMass);
            change = Math.Max(change, Math.Abs(massPotential - _massPotential)) / epsilon;
            _massPotential = massPotential;
            iteration++;
            if (double.IsNaN(change)) break;
        }
        Shift(rows, _massPotential);
        return new SinkhornResult(iteration, change, change <= tolerance, 0);
    }

    /// <summary>Rows and columns must not exceed their masses.</summary>
    public override (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q) => (Excess(sums.Rows, p), Excess(sums.Columns, q));

    public override void Dispose()
    {
        _rowSoftmin.Dispose();
        _columnSoftmin.Dispose();
    }

    /// <summary>potential = min(0, epsilon log mass + softmin - h); returns the largest change.</summary>
    private static double Bound(Span<double> potentials, ReadOnlySpan<double> masses, ReadOnlySpan<double> softmin, double epsilon, double massPotential)
    {
        double change = 0;
        for (int i = 0; i < potentials.Length; i++)
        {
            double bounded = Math.Min(0, epsilon * Math.Log(masses[i]) + softmin[i] - massPotential);
            change = Math.Max(change, Math.Abs(bounded - potentials[i]));
            potentials[i] = bounded;
        }
        return change;
    }

    /// <summary>The h with which exp((potential + h - softmin) / epsilon) sums to the mass.</summary>
    private static double MassPotential(ReadOnlySpan<double> columns, ReadOnlySpan<double> softmin, double epsilon, double logMass)
    {
        double most = double.NegativeInfinity, sum = 0;
        for (int j = 0; j < columns.Length; j++) most = Math.Max(most, columns[j] - softmin[j]);
        for (int j = 0; j < columns.Length; j++) sum += Math.Exp((columns[j] - softmin[j] - most) / epsilon);
        return epsilon * (logMass - Math.Log(sum)) - most;
    }

    /// <summary>The coupling is made of row and column potentials alone, so that of the mass travels with the rows.</summary>
    private static void Shift(Span<double> rows, double shift)
    {
        for (int i = 0; i < rows.Length; i++) rows[i] += shift;
    }

    private static double Excess(double[] sums, double[] masses)
    {
        double excess = 0;
        for (int i = 0; i < sums.Length; i++) excess += Math.Max(0, sums[i] - masses[i]);
        return excess;
    }
}
