using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Sums over a coupling, in double and in row order.</summary>
internal readonly record struct CouplingSums(double Mass, double Entropy, double[] Rows, double[] Columns)
{
    /// <param name="coupling">[n, m], in host memory.</param>
    public static CouplingSums Of(Matrix<double> coupling)
    {
        double mass = 0, entropy = 0;
        double[] rows = new double[coupling.Rows], columns = new double[coupling.Columns];
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            double sum = 0;
            for (int j = 0; j < row.Length; j++)
            {
                double t = row[j];
                sum += t;
                columns[j] += t;
                if (t > 0) entropy -= t * Math.Log(t);
            }
            rows[i] = sum;
            mass += sum;
        }
        return new CouplingSums(mass, entropy, rows, columns);
    }

    /// <summary>L1 distance of sums from masses.</summary>
    public static double Distance(double[] sums, double[] masses)
    {
        double distance = 0;
        for (int i = 0; i < sums.Length; i++) distance += Math.Abs(sums[i] - masses[i]);
        return distance;
    }
}

/// <summary>Sentences about a solve that ended less than well.</summary>
internal static class ResultWarnings
{
    public static IReadOnlyList<string> For(GromovOptions options, bool converged, int iterations, int innerNotConverged, double lastInnerError, double loss, double mass, (double Rows, double Columns) violation)
    {
        List<string> warnings = [];
        if (!converged) warnings.Add(Text($"The coupling did not converge: after {iterations} outer iterations its {(options.Stop == StoppingRule.Ott ? "regularised cost still changes by more than a share of" : "change is still above")} {options.Tolerance:g3}."));
        if (innerNotConverged > 0)
        {
            string measure = options.Marginals == MarginalConstraint.Balanced ? "column-marginal violation" : "change of the potentials over epsilon";
            string peer = options.Marginals == MarginalConstraint.Unbalanced ? "" : ", as POT's does with these settings";
            warnings.Add(Text($"In {innerNotConverged} of {iterations} outer iterations Sinkhorn stopped at its limit of {options.Inner.MaxIterations} (last {measure} {lastInnerError:e2}, tolerance {options.Inner.Tolerance:g3}){peer}."));
        }
        if (violation.Rows + violation.Columns > 1e-3)
            warnings.Add(Text($"The marginals of the coupling are off by {violation.Rows:e2} (rows) and {violation.Columns:e2} (columns) in L1."));
        if (options.Marginals == MarginalConstraint.Unbalanced && mass < AlignmentVerdict.LittleMass)
            warnings.Add(Text($"The coupling keeps {mass:g3} of the mass: losing it is cheaper than matching; raise rho or scale the costs."));
        if (loss < 0) warnings.Add(Text($"The Gromov-Wasserstein loss is negative ({loss:e2}): the marginals are not met, so it is not a distance."));
        return warnings;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
