using System.Diagnostics;
using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>What a co-optimal alignment needs to know besides the solver's parameters.</summary>
public sealed record CoOptimalAlignmentOptions
{
    public CoOptimalOptions Solver { get; init; } = new();

    /// <summary>Masses of samples and features; null for uniform ones.</summary>
    public CoOptimalMasses? Masses { get; init; }

    /// <summary>Every feature is brought to mean 0 and deviation 1 first: features are compared by their values. Constant ones become 0.</summary>
    public bool Standardise { get; init; } = true;

    /// <summary>Feature pairs that are listed.</summary>
    public int Pairs { get; init; } = 200;

    /// <summary>Row i of the first data is row i of the second: scores FOSCTTM.</summary>
    public bool TruthIsIdentity { get; init; }

    /// <summary>Seed of the random renamings of labels.</summary>
    public ulong Seed { get; init; }
}

/// <summary>A finished co-optimal alignment. Owns the couplings.</summary>
public sealed class CoOptimalAlignmentResult : IDisposable
{
    public required CoOptimalResult Solve { get; init; }

    /// <summary>Strongest feature pairs, by lift.</summary>
    public required IReadOnlyList<FeaturePair> Pairs { get; init; }

    /// <summary>Converged, iteration limit, or diverged where what came out is no coupling of the masses.</summary>
    public required SolveState State { get; init; }
    public required LabelTransferResult? Labels { get; init; }

    /// <summary>From the coupled mass of the samples; null without a truth.</summary>
    public required FosctTm? Foscttm { get; init; }

    /// <summary>exp of the mean row entropy of the samples' coupling.</summary>
    public required double SamplePartners { get; init; }

    /// <summary>exp of the mean row entropy of the features' coupling.</summary>
    public required double FeaturePartners { get; init; }

    /// <summary>Features of both data that do not vary.</summary>
    public required (int First, int Second) ConstantFeatures { get; init; }
    public required AlignmentVerdict Verdict { get; init; }
    public required MemoryPlan Memory { get; init; }
    public required double Seconds { get; init; }
    public required IReadOnlyList<string> Warnings { get; init; }

    public void Dispose() => Solve.Dispose();
}

/// <summary>Couples samples and features of two data sets by <see cref="CoOptimalTransport"/> and judges the result.</summary>
public static class CoOptimalAlignment
{
    /// <param name="x">First data [n, d], finite, in host memory. Not changed.</param>
    /// <param name="y">Second data [m, e].</param>
    /// <param name="options">Parameters.</param>
    /// <param name="firstLabels">Labels of the first samples [n], or null.</param>
    /// <param name="secondLabels">Labels of the second samples [m], or null.</param>
    /// <param name="progress">Receives the change of the coupling.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    /// <exception cref="UsageException">A parameter has no meaning.</exception>
    /// <exception cref="DataException">A value is not finite, or a list has the wrong length.</exception>
    /// <exception cref="ConvergenceException">What came out is no coupling of the masses.</exception>
    public static CoOptimalAlignmentResult Align(Matrix<double> x, Matrix<double> y, CoOptimalAlignmentOptions options, IReadOnlyList<string>? firstLabels = null,
        IReadOnlyList<string>? secondLabels = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        long begin = Stopwatch.GetTimestamp();
        Check(x, y, options, firstLabels, secondLabels);
        using Matrix<double> first = x.CopyOnHost(), second = y.CopyOnHost();
        (int First, int Second) constant = (Scale(first, options.Standardise), Scale(second, options.Standardise));
        CoOptimalResult result = CoOptimalTransport.Solve(first, second, options.Solver, null, options.Masses, progress, cancellation);
        double samples = result.SampleError.Rows + result.SampleError.Columns, features = result.FeatureError.Rows + result.FeatureError.Columns;
        if (!(Math.Max(samples, features) <= EpsilonCheck.NoCoupling) || !double.IsFinite(result.Loss))
        {
            result.Dispose();
            throw new ConvergenceException(Text($"These epsilons give no coupling (the masses are missed by {samples:g3} for samples and {features:g3} for features in L1); raise them or scale the data."));
        }
        LabelTransferResult? labels = firstLabels is null || secondLabels is null ? null : LabelTransfer.Evaluate(result.Samples, firstLabels, secondLabels, options.Seed);
        FosctTm? foscttm = options.TruthIsIdentity ? MatchAccuracy.ByMass(result.Samples, "coupling of the samples") : null;
        double partners = GromovAlignment.MeanPartners(result.Samples), featurePartners = GromovAlignment.MeanPartners(result.Features);
        return new CoOptimalAlignmentResult
        {
            Solve = result, Pairs = FeaturePair.Strongest(result.Features, options.Pairs), State = result.Converged ? SolveState.Converged : SolveState.IterationLimit, Labels = labels, Foscttm = foscttm,
            SamplePartners = partners, FeaturePartners = featurePartners, ConstantFeatures = constant, Verdict = Judge(result, partners, featurePartners, samples + features, labels, foscttm),
            Memory = Plan((x.Rows, x.Columns), (y.Rows, y.Columns)), Seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds, Warnings = [.. Warnings(result, options, constant, samples, features)],
        };
    }

    /// <summary>The native memory of the solve, the data as they were given included.</summary>
    public static MemoryPlan Plan((int Rows, int Columns) x, (int Rows, int Columns) y) =>
        new([("data as given", 8 * ((long)x.Rows * x.Columns + (long)y.Rows * y.Columns)), .. CoOptimalTransport.Plan(x, y).Items, ("couplings returned", 8 * ((long)x.Rows * y.Rows + (long)x.Columns * y.Columns))]);

    private static void Check(Matrix<double> x, Matrix<double> y, CoOptimalAlignmentOptions options, IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels)
    {
        options.Solver.Validate();
        if (!x.Device.IsHost || !y.Device.IsHost) throw new DeviceException("Co-optimal transport is computed on the host only; choose --device cpu.");
        if (options.Pairs < 0) throw new UsageException($"top is {options.Pairs}; the number of listed pairs must not be negative.");
        InputChecks.RequireFinite(x, "first data");
        InputChecks.RequireFinite(y, "second data");
        if (firstLabels is not null && firstLabels.Count != x.Rows) throw new DataException("labels of the first domain", null, $"{firstLabels.Count} labels were given for {x.Rows} rows.");
        if (secondLabels is not null && secondLabels.Count != y.Rows) throw new DataException("labels of the second domain", null, $"{secondLabels.Count} labels were given for {y.Rows} rows.");
        if (options.TruthIsIdentity && x.Rows != y.Rows) throw new UsageException($"The truth cannot be the identity: the data have {x.Rows} and {y.Rows} rows.");
    }

    /// <summary>Brings columns to mean 0 and deviation 1 where that is asked for; returns how many do not vary.</summary>
    private static int Scale(Matrix<double> data, bool standardise)
    {
        double[] mean = new double[data.Columns], squares = new double[data.Columns];
        for (int i = 0; i < data.Rows; i++)
            for (int k = 0; k < mean.Length; k++) mean[k] += data.Row(i)[k] / data.Rows;
        for (int i = 0; i < data.Rows; i++)
            for (int k = 0; k < mean.Length; k++) squares[k] += (data.Row(i)[k] - mean[k]) * (data.Row(i)[k] - mean[k]) / data.Rows;
        int constant = 0;
        for (int k = 0; k < mean.Length; k++)
        {
            // A mean is rounded: what is left of a constant column is not variance.
            bool varies = squares[k] > 1e-24 * mean[k] * mean[k];
            if (!varies) constant++;
            double scale = varies ? 1 / Math.Sqrt(squares[k]) : 0;
            if (standardise)
                for (int i = 0; i < data.Rows; i++) data.Row(i)[k] = (data.Row(i)[k] - mean[k]) * scale;
        }
        return constant;
    }

    private static AlignmentVerdict Judge(CoOptimalResult result, double partners, double featurePartners, double marginals, LabelTransferResult? labels, FosctTm? foscttm)
    {
        List<string> against = [], supporting = [];
        AlignmentVerdict.JudgeSolve(result.Converged, result.Iterations, marginals, against);
        if (partners > AlignmentVerdict.DiffuseShare * result.Samples.Columns)
            against.Add(Text($"The coupling of the samples is diffuse: a sample has {partners:F0} partners of {result.Samples.Columns} on average; lower its epsilon."));
        if (featurePartners > AlignmentVerdict.DiffuseShare * result.Features.Columns)
            against.Add(Text($"The coupling of the features is diffuse: a feature has {featurePartners:F0} partners of {result.Features.Columns} on average; lower its epsilon."));
        bool evidence = AlignmentVerdict.JudgeScores(labels, foscttm, withinBlocks: false, against, supporting);
        return new AlignmentVerdict(against.Count > 0 ? Trust.NotReliable : evidence ? Trust.Reliable : Trust.NotAssessed, against, supporting);
    }

    private static IEnumerable<string> Warnings(CoOptimalResult result, CoOptimalAlignmentOptions options, (int First, int Second) constant, double samples, double features)
    {
        if (constant.First + constant.Second > 0) yield return $"{constant.First} features of the first data and {constant.Second} of the second do not vary; what they are coupled with says nothing.";
        if (!result.Converged) yield return Text($"The couplings did not converge: after {result.Iterations} iterations the coupling of the samples still changes by more than {options.Solver.Tolerance:g3}.");
        if (result.InnerNotConverged > 0) yield return Text($"{result.InnerNotConverged} of {2 * result.Iterations} inner solves stopped at their limit of {options.Solver.Inner.MaxIterations}.");
        if (samples + features > 1e-3) yield return Text($"The marginals of the couplings are off by {samples:e2} (samples) and {features:e2} (features) in L1.");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
