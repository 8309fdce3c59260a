namespace BioSup.Analysis.Alignment;

/// <summary>When the outer iteration has converged.</summary>
internal abstract class OuterStop
{
    public bool Met { get; protected set; }

    /// <summary>Regularised costs compared so far; empty where the rule does not look at them.</summary>
    public virtual IReadOnlyList<double> Costs => [];

    public static OuterStop Of(GromovOptions options) => options.Stop == StoppingRule.Ott ? new CostStop(options.Tolerance) : new ChangeStop(options.Tolerance, options.CheckEvery);

    /// <param name="iteration">From 0.</param>
    /// <param name="change">Frobenius norm of the change of the coupling.</param>
    /// <param name="cost">Regularised cost of the linear problem solved.</param>
    /// <param name="solved">Whether both couplings that differ by the change were solved for to the full inner tolerance: only then may it end the iteration.</param>
    public abstract void Observe(int iteration, double change, double cost, bool solved);

    private sealed class ChangeStop(double tolerance, int every) : OuterStop
    {
        public override void Observe(int iteration, double change, double cost, bool solved)
        {
            if (iteration % every == 0) Met = solved && change <= tolerance;
        }
    }

    /// <summary>OTT 0.6 (solvers/was_solver.py): isclose of the last two costs, looked at from the fifth iteration on. The solve at the product of the masses is not one of them.</summary>
    private sealed class CostStop(double relative) : OuterStop
    {
        private const int LeastIterations = 5;
        private const double Absolute = 1e-8;
        private readonly List<double> _costs = [];

        public override IReadOnlyList<double> Costs => _costs;

        public override void Observe(int iteration, double change, double cost, bool solved)
        {
            if (iteration == 0) return;
            _costs.Add(cost);
            if (_costs.Count < LeastIterations) return;
            Met = solved && Math.Abs(_costs[^2] - _costs[^1]) <= Absolute + relative * Math.Abs(_costs[^1]);
        }
    }
}
