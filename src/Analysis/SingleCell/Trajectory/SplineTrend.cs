using BioSup.Analysis.Geometry;
using BioSup.Runtime;
using MathNet.Numerics.Distributions;

namespace BioSup.Analysis.SingleCell;

/// <summary>A trend drawn as a line with its band.</summary>
/// <param name="X">[points] ascending, equally spaced.</param>
/// <param name="Fit">[points] the trend.</param>
/// <param name="Lower">[points] lower end of the confidence interval of the trend.</param>
/// <param name="Upper">[points] upper end.</param>
public sealed record TrendLine(double[] X, double[] Fit, double[] Lower, double[] Upper);

/// <summary>
/// A smooth trend of one variable over another: the generalised additive model of one term with a normal response, pyGAM's
/// <c>LinearGAM(s(0, n_splines, spline_order=3))</c> (Servén and Brummitt 2018; Wood 2017, section 4.2). Cubic splines and an intercept minimise
/// |y − A c|² + λ |D₂ c|² + √ε |c|², D₂ the second differences of neighbouring splines, λ fixed, ε the rounding of double precision.
/// </summary>
public sealed class SplineTrend
{
    /// <summary>pyGAM's ridge √ε: it decides only between coefficients that give the same line.</summary>
    private static readonly double s_ridge = Math.Sqrt(Math.BitIncrement(1.0) - 1);

    private readonly UniformSplines _splines;
    private readonly double[] _coefficients;
    private readonly SmallLeastSquares _solved;
    private readonly double _first, _last;

    private SplineTrend(UniformSplines splines, SmallLeastSquares solved, double first, double last)
    {
        (_splines, _solved, _first, _last) = (splines, solved, first, last);
        _coefficients = solved.Solution;
    }

    /// <summary>Number of points.</summary>
    public int Count { get; private init; }

    /// <summary>Effective degrees of freedom: the trace of the matrix that takes the values to the fitted ones.</summary>
    public double EffectiveDegrees { get; private init; }

    /// <summary>Variance about the trend, Σ (y − fit)² / (n − effective degrees).</summary>
    public double ResidualVariance { get; private init; }

    /// <summary>1 − Σ (y − fit)² / Σ (y − mean)²; NaN when all values are equal.</summary>
    public double RSquared { get; private init; }

    /// <summary>1 − (Σ (y − fit)² / (n − effective degrees − 1)) / (Σ (y − mean)² / (n − 1)); NaN when all values are equal or no degrees are left.</summary>
    public double AdjustedRSquared { get; private init; }

    /// <param name="x">[n] where; finite, not all equal.</param>
    /// <param name="y">[n] the values; finite.</param>
    /// <param name="splines">Number of splines, 4 or more.</param>
    /// <param name="penalty">λ ≥ 0; 0.6 is pyGAM's.</param>
    /// <exception cref="UsageException">There are fewer than 5 points, all lie at one x, a value is not finite, or a setting is out of range.</exception>
    public static SplineTrend Fit(ReadOnlySpan<double> x, ReadOnlySpan<double> y, int splines = 5, double penalty = 0.6)
    {
        if (x.Length != y.Length) throw new ArgumentException($"{x.Length} positions and {y.Length} values are no points.");
        if (x.Length < 5) throw new UsageException($"A trend needs at least 5 points; there are {x.Length}.");
        if (!(penalty >= 0) || double.IsInfinity(penalty)) throw new UsageException($"The penalty of a trend is {penalty}; a number from 0 was expected.");
        double first = double.PositiveInfinity, last = double.NegativeInfinity;
        for (int i = 0; i < x.Length; i++)
        {
            if (!double.IsFinite(x[i]) || !double.IsFinite(y[i])) throw new UsageException($"Point {i} of the trend is ({x[i]}, {y[i]}); finite numbers were expected.");
            first = Math.Min(first, x[i]);
            last = Math.Max(last, x[i]);
        }
        if (first == last) throw new UsageException($"All {x.Length} points of the trend lie at {first}; a trend needs different positions.");
        UniformSplines basis = new(splines, first, last);
        SmallLeastSquares solved = Solve(basis, x, y, penalty);
        double sum = 0, mean = RankStatistics.Mean(y), total = 0;
        bool varies = y.ContainsAnyExcept(y[0]);
        double[] row = new double[splines + 1];
        for (int i = 0; i < x.Length; i++)
        {
            double error = y[i] - Value(basis, solved.Solution, x[i], row);
            sum += error * error;
            total += (y[i] - mean) * (y[i] - mean);
        }
        double degrees = solved.HatTrace, left = x.Length - degrees;
        return new SplineTrend(basis, solved, first, last)
        {
            Count = x.Length,
            EffectiveDegrees = degrees,
            ResidualVariance = sum / left,
            RSquared = varies ? 1 - sum / total : double.NaN,
            AdjustedRSquared = varies && left > 1 ? 1 - sum / (left - 1) / (total / (x.Length - 1)) : double.NaN,
        };
    }

    /// <summary>As <see cref="Fit"/>, over the cells whose time lies between two percentiles; cells of which time or value is not finite are left out.</summary>
    /// <param name="time">[cells].</param>
    /// <param name="value">[cells].</param>
    /// <param name="lower">Percentile of the finite times where the trend begins.</param>
    /// <param name="upper">Percentile where it ends.</param>
    /// <param name="splines">Number of splines, 4 or more.</param>
    /// <param name="penalty">λ ≥ 0.</param>
    /// <exception cref="UsageException">Too few cells are left, all lie at one time, or a setting is out of range.</exception>
    public static SplineTrend FitTrimmed(ReadOnlySpan<double> time, ReadOnlySpan<double> value, double lower = 5, double upper = 95, int splines = 10, double penalty = 0.6)
    {
        FinitePairs pairs = FinitePairs.Of(time, value);
        (double from, double to) = Percentiles.Range(pairs.X, lower, upper);
        FinitePairs kept = pairs.Within(from, to);
        return Fit(kept.X, kept.Y, splines, penalty);
    }

    /// <summary>The trend at a point; beyond the points it goes on straight.</summary>
    public double Predict(double x) => Value(_splines, _coefficients, x, new double[_splines.Count + 1]);

    /// <summary>Standard error of the trend at a point, the penalty taken as given (pyGAM's covariance, B Bᵀ times the residual variance).</summary>
    public double StandardError(double x)
    {
        double[] row = new double[_splines.Count + 1];
        Row(_splines, x, row);
        return Math.Sqrt(_solved.Variance(row) * ResidualVariance);
    }

    /// <summary>The trend from the first to the last point with its band: fit ± t(n − effective degrees) times the standard error.</summary>
    /// <param name="points">How many, 2 or more.</param>
    /// <param name="confidence">Coverage of the band at each point, above 0 and below 1.</param>
    public TrendLine Line(int points = 200, double confidence = 0.95)
    {
        if (points < 2) throw new UsageException($"A line of {points} points was asked for; 2 are the fewest.");
        if (!(confidence > 0 && confidence < 1)) throw new UsageException($"The confidence of a band is {confidence}; a number between 0 and 1 was expected.");
        double quantile = StudentT.InvCDF(0, 1, Count - EffectiveDegrees, 0.5 + confidence / 2);
        TrendLine line = new(new double[points], new double[points], new double[points], new double[points]);
        for (int i = 0; i < points; i++)
        {
            double x = i == points - 1 ? _last : _first + (_last - _first) * i / (points - 1), half = quantile * StandardError(x);
            (line.X[i], line.Fit[i]) = (x, Predict(x));
            (line.Lower[i], line.Upper[i]) = (line.Fit[i] - half, line.Fit[i] + half);
        }
        return line;
    }

    private static SmallLeastSquares Solve(UniformSplines basis, ReadOnlySpan<double> x, ReadOnlySpan<double> y, double penalty)
    {
        int unknowns = basis.Count + 1;
        SmallLeastSquares.Builder system = new(unknowns, x.Length);
        double[] row = new double[unknowns];
        for (int i = 0; i < x.Length; i++)
        {
            Row(basis, x[i], row);
            system.AddObservation(row, y[i]);
        }
        double root = Math.Sqrt(penalty);
        for (int i = 0; i < basis.Count - 2; i++)
        {
            Array.Clear(row);
            (row[i], row[i + 1], row[i + 2]) = (root, -2 * root, root);
            system.AddPenalty(row);
        }
        for (int i = 0; i < unknowns; i++)
        {
            Array.Clear(row);
            row[i] = Math.Sqrt(s_ridge);
            system.AddPenalty(row);
        }
        return system.Solve();
    }

    private static void Row(UniformSplines basis, double x, Span<double> row)
    {
        basis.Evaluate(x, row[..basis.Count]);
        row[basis.Count] = 1;
    }

    private static double Value(UniformSplines basis, double[] coefficients, double x, Span<double> row)
    {
        Row(basis, x, row);
        double sum = 0;
        for (int i = 0; i < row.Length; i++) sum += row[i] * coefficients[i];
        return sum;
    }
}
