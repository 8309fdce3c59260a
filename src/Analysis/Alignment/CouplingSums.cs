using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Sums over a coupling, in double and in row order.</summary>
internal readonly record struct CouplingSums(double Mass, double Entropy, double RowError, double ColumnError, double Between)
{
    /// <param name="coupling">[n, m], in host memory.</param>
    /// <param name="between">The sum of the fused cost over the coupling.</param>
    /// <param name="p">Masses of the rows.</param>
    /// <param name="q">Masses of the columns.</param>
    public static CouplingSums Of(Matrix<double> coupling, double between, ReadOnlySpan<double> p, ReadOnlySpan<double> q)
    {
        double mass = 0, entropy = 0, rowError = 0;
        double[] columns = new double[coupling.Columns];
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
            rowError += Math.Abs(sum - p[i]);
            mass += sum;
        }
        double columnError = 0;
        for (int j = 0; j < columns.Length; j++) columnError += Math.Abs(columns[j] - q[j]);
        return new CouplingSums(mass, entropy, rowError, columnError, between);
    }
}

/// <summary>Sentences about a solve that ended less than well.</summary>
internal static class ResultWarnings
{
    public static IReadOnlyList<string> For(GromovOptions options, bool converged, int iterations, int innerNotConverged, double lastInnerError, double loss, CouplingSums sums)
    {
        List<string> warnings = [];
        if (!converged) warnings.Add(Text($"The coupling did not converge: after {iterations} outer iterations its change is still above {options.Tolerance:g3}."));
        if (innerNotConverged > 0)
            warnings.Add(Text($"In {innerNotConverged} of {iterations} outer iterations Sinkhorn stopped at its limit of {options.Inner.MaxIterations} (last column-marginal violation {lastInnerError:e2}, tolerance {options.Inner.Tolerance:g3}), as POT's does with these settings."));
        if (sums.RowError + sums.ColumnError > 1e-3)
            warnings.Add(Text($"The marginals of the coupling are off by {sums.RowError:e2} (rows) and {sums.ColumnError:e2} (columns) in L1."));
        if (loss < 0) warnings.Add(Text($"The Gromov-Wasserstein loss is negative ({loss:e2}): the marginals are not met, so it is not a distance."));
        return warnings;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
