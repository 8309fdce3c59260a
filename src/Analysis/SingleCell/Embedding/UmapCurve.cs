using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The curve 1 / (1 + a d^2b) by which UMAP turns distances in the layout into weights: the least-squares fit, at 300 points of [0, 3 spread], to 1 up to <c>minDist</c> and
/// exp(−(d − minDist) / spread) beyond (McInnes, Healy and Melville 2018; umap-learn's <c>find_ab_params</c>).
/// </summary>
/// <param name="A">a.</param>
/// <param name="B">b.</param>
public readonly record struct UmapCurve(double A, double B)
{
    private const int Points = 300, StepLimit = 200;

    /// <param name="minDist">Distance below which two joined cells are as near as they should be, 0 … 3 spread.</param>
    /// <param name="spread">Scale of the layout, above 0.</param>
    /// <exception cref="UsageException">A value is out of its range.</exception>
    public static UmapCurve Fit(double minDist, double spread = 1)
    {
        if (!(spread > 0) || !double.IsFinite(spread)) throw new UsageException($"UMAP's spread is {spread}; a finite number above 0 was expected.");
        if (!(minDist >= 0 && minDist < 3 * spread)) throw new UsageException($"UMAP's least distance is {minDist}; a number from 0 to below {3 * spread} (three times the spread) was expected.");
        // Levenberg and Marquardt in (ln a, ln b), which keeps both positive.
        double logA = 0, logB = 0, damping = 1e-3, error = Residuals(minDist, spread, logA, logB, out Normal normal);
        for (int step = 0; step < StepLimit; step++)
        {
            double aa = normal.AA * (1 + damping), bb = normal.BB * (1 + damping), determinant = aa * bb - normal.AB * normal.AB;
            double stepA = (normal.A * bb - normal.B * normal.AB) / determinant, stepB = (normal.B * aa - normal.A * normal.AB) / determinant;
            double next = Residuals(minDist, spread, logA + stepA, logB + stepB, out Normal there);
            if (!(next <= error))
            {
                damping *= 4;
                if (damping > 1e12) break;
                continue;
            }
            bool settled = Math.Abs(stepA) + Math.Abs(stepB) < 1e-14;
            (logA, logB, error, normal, damping) = (logA + stepA, logB + stepB, next, there, Math.Max(damping / 8, 1e-15));
            if (settled) break;
        }
        return new UmapCurve(Math.Exp(logA), Math.Exp(logB));
    }

    private readonly record struct Normal(double AA, double AB, double BB, double A, double B);

    /// <summary>Half the sum of squares, with the normal equations of the step that lowers it.</summary>
    private static double Residuals(double minDist, double spread, double logA, double logB, out Normal normal)
    {
        (double a, double b, double sum) = (Math.Exp(logA), Math.Exp(logB), 0);
        normal = default;
        for (int i = 0; i < Points; i++)
        {
            double x = 3 * spread * i / (Points - 1), target = x < minDist ? 1 : Math.Exp(-(x - minDist) / spread);
            double power = x == 0 ? 0 : a * Math.Pow(x, 2 * b), value = 1 / (1 + power), residual = target - value;
            double byA = -value * value * power, byB = x == 0 ? 0 : byA * 2 * b * Math.Log(x);
            sum += 0.5 * residual * residual;
            normal = new Normal(normal.AA + byA * byA, normal.AB + byA * byB, normal.BB + byB * byB, normal.A + byA * residual, normal.B + byB * residual);
        }
        return sum;
    }
}
