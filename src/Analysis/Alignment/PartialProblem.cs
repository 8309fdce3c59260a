using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Entropic transport of a given mass, rows and columns at most their masses (Benamou et al. 2015, proposition 5). POT's Dykstra projections only ever
/// multiply rows, columns and the whole, so they are this ascent on three potentials: f ≤ 0, g ≤ 0 and a number h for the mass, which in the log domain
/// has no epsilon that turns it into NaN.
/// </summary>
internal sealed class PartialProblem<T>(LinearContext<T> context) : LinearProblem<T>(context) where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly MarginalWorkspace _memory = new(context.P.Device, (int)context.P.Length, (int)context.Q.Length);
    private double _massPotential;

    public override SinkhornResult Solve(Matrix<T> cost, in LinearisationPoint<T> linearisedAt, DeviceBuffer<double> f, DeviceBuffer<double> g, double tolerance, bool cold)
    {
        double logMass = Math.Log(Options.Mass), change = double.PositiveInfinity;
        if (cold)
        {
            f.Clear();
            UpdateColumns(cost, f, MarginalStep.Free, g);
            _massPotential = Epsilon * (logMass - Settle(f, g).LogMass);
        }
        // The coupling is made of row and column potentials alone, so between two solves that of the mass is with the rows.
        else SinkhornScaling.AddMasses(f.View, Context.P.View, 0, -_massPotential);
        // POT's iterates run to their limit: its tolerance is 1e-100.
        bool toTheLimit = Options.InnerSolve == InnerSolve.PotIterates;
        int iteration = 0;
        while (iteration < Context.Inner.MaxIterations && (toTheLimit || !(change <= tolerance)))
        {
            MarginalStep step = MarginalStep.AtMost(_massPotential);
            SinkhornScaling.UpdateRows(Context.Sinkhorn, _memory, cost.View, Context.P.View, g.View, Epsilon, step, f.View);
            UpdateColumns(cost, f, step, g);
            MarginalProgress progress = Settle(f, g);
            double massPotential = Epsilon * (logMass - progress.LogMass);
            change = Math.Max(progress.Change, Math.Abs(massPotential - _massPotential)) / Epsilon;
            _massPotential = massPotential;
            iteration++;
            if (double.IsNaN(change)) break;
        }
        SinkhornScaling.AddMasses(f.View, Context.P.View, 0, _massPotential);
        return new SinkhornResult(iteration, change, change <= tolerance, 0);
    }

    /// <summary>Rows and columns must not exceed their masses.</summary>
    public override (double Rows, double Columns) Violation(in CouplingSums sums, double[] p, double[] q) => (Excess(sums.Rows, p), Excess(sums.Columns, q));

    public override void Dispose() => _memory.Dispose();

    private void UpdateColumns(Matrix<T> cost, DeviceBuffer<double> f, in MarginalStep step, DeviceBuffer<double> g) =>
        SinkhornScaling.UpdateColumns(Context.Sinkhorn, _memory, cost.View, Context.Q.View, f.View, Epsilon, step, g.View);

    private MarginalProgress Settle(DeviceBuffer<double> f, DeviceBuffer<double> g) => SinkhornScaling.Settle(_memory, Context.P.View, Context.Q.View, Epsilon, 0, f.View, g.View);

    private static double Excess(double[] sums, double[] masses)
    {
        double excess = 0;
        for (int i = 0; i < sums.Length; i++) excess += Math.Max(0, sums[i] - masses[i]);
        return excess;
    }
}
