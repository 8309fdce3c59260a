using System.Diagnostics;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How the iteration went.</summary>
internal readonly struct OnlineGromovRun
{
    public required IReadOnlyList<double> ErrorTrace { get; init; }
    public required bool Converged { get; init; }

    /// <summary>Change of the coupling at which single precision settled above the tolerance; null where the tolerance was met or nothing settled.</summary>
    public required double? Settled { get; init; }
    public required int Iterations { get; init; }
    public required long InnerIterations { get; init; }
    public required int InnerNotConverged { get; init; }
    public required double LastInnerError { get; init; }
    public required (long Moments, long Sinkhorn, long Change) Ticks { get; init; }
}

/// <summary>What the final potentials mean, in double precision and without assuming that the column masses are met.</summary>
internal readonly struct OnlineGromovEvaluation(SquaredDistanceDomain x, SquaredDistanceDomain y, GromovOptions options, OnlineFactors factors, Matrix<double> point, double normWeight)
{
    /// <param name="v">Column potentials [m].</param>
    /// <param name="run">How the iteration went.</param>
    public OnlineGromovResult Finish(DeviceSpan<double> v, OnlineGromovRun run)
    {
        ComputeDevice device = x.Points.Device;
        FactoredPlan<double> plan = new(x.Device, x.Count, y.Count, factors.Rank);
        DeviceBuffer<double> u = device.Allocate<double>(x.Count), vKept = device.Allocate<double>(y.Count);
        v.Host.CopyTo(vKept.View.Host);
        Matrix<double> right = device.AllocateMatrix<double>(y.Count, factors.Rank);
        factors.Right(point, right);
        plan.SetRight(right.View);
        factors.Left(point, normWeight, plan.Left);
        using DeviceBuffer<double> rowMass = device.Allocate<double>(x.Count), columnSums = device.Allocate<double>(y.Count);
        rowMass.View.Host.Fill(1.0 / x.Count);
        FactoredTransport.Balance(plan, rowMass.View, vKept.View, u.View, columnSums.View);
        using Matrix<double> moments = Moments(plan, u.View, vKept.View);
        Matrix<double> gamma = device.AllocateMatrix<double>(x.Dimensions, y.Dimensions);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, x.Points.View, WithoutFirst(moments.View), 0, gamma.View);

        ReadOnlySpan<double> c = columnSums.View.Host;
        double loss = Loss(rowMass.View.Host, c, moments, gamma);
        // log T is u + v + scores, and the scores are those of the moments.
        double normScore = 0, linear = options.LinearScale / options.Epsilon;
        for (int i = 0; i < x.Count; i++) normScore += x.Norms[i] * moments.Row(i)[0];
        double scores = linear * (2 * normWeight * normScore + 8 * TensorPrimitives.Dot<double>(point.Buffer.View.Host, gamma.Buffer.View.Host));
        double entropy = -(TensorPrimitives.Dot<double>(u.View.Host, rowMass.View.Host) + TensorPrimitives.Dot(vKept.View.Host, c) + scores);
        double mass = TensorPrimitives.Sum(c), columnError = 0, rowError = 0;
        SettledChange? settled = run.Settled is { } change ? SettledChange.Of(change, entropy) : null;
        foreach (double sum in c) columnError += Math.Abs(sum - 1.0 / y.Count);
        double potEpsilon = options.Convention == EpsilonConvention.Pot ? options.Epsilon : 2 * options.Epsilon, ticks = Stopwatch.Frequency;
        // Rows are balanced last, so that they miss their masses by rounding alone; what is missing in total is rounding too.
        rowError = Math.Abs(mass - 1);
        return new OnlineGromovResult
        {
            Coupling = new ImplicitCoupling(plan, right, u, vKept, columnSums.View.Host.ToArray(), factors.Placement(point, normWeight)),
            Gamma = gamma,
            Loss = loss,
            Entropy = entropy,
            RegularisedObjective = loss - potEpsilon * (entropy + mass),
            RowError = rowError,
            ColumnError = columnError,
            ErrorTrace = run.ErrorTrace,
            Converged = run.Converged,
            Settled = settled,
            Iterations = run.Iterations,
            InnerIterations = run.InnerIterations,
            InnerNotConverged = run.InnerNotConverged,
            LastInnerError = run.LastInnerError,
            Timing = new GromovTiming(run.Ticks.Moments / ticks, 0, run.Ticks.Sinkhorn / ticks, run.Ticks.Change / ticks),
            Warnings = [.. ResultWarnings.For(options, run.Converged || settled is not null, run.Iterations, run.InnerNotConverged, run.LastInnerError, loss, mass, (rowError, columnError)), .. settled is null ? (string[])[] : [settled.Sentence(options.Tolerance)]],
        };
    }

    /// <summary>Rows of T (t, y) [n, d2 + 1].</summary>
    private Matrix<double> Moments(FactoredPlan<double> plan, DeviceSpan<double> u, DeviceSpan<double> v)
    {
        using Matrix<double> features = plan.Left.Device.AllocateMatrix<double>(y.Count, y.Dimensions + 1);
        for (int j = 0; j < y.Count; j++)
        {
            features.Row(j)[0] = y.Norms[j];
            y.Points.Row(j).CopyTo(features.Row(j)[1..]);
        }
        Matrix<double> moments = plan.Left.Device.AllocateMatrix<double>(x.Count, y.Dimensions + 1);
        FactoredTransport.Apply(plan, u, v, features.View, moments.View);
        return moments;
    }

    private static unsafe MatrixView<double> WithoutFirst(MatrixView<double> factors) => new(factors.Pointer + 1, factors.Rows, factors.Columns - 1, factors.Stride, factors.Device);

    /// <summary>sum T_ij (sum_k C1_ik² p_k + sum_l C2_jl² q_l) - 2 sum C1_ik C2_jl T_ij T_kl, everything from moments of the points under T.</summary>
    private double Loss(ReadOnlySpan<double> p, ReadOnlySpan<double> c, Matrix<double> moments, Matrix<double> gamma)
    {
        double[] q = new double[y.Count];
        Array.Fill(q, 1.0 / y.Count);
        SquaredDistanceDomain.Moments first = new(x, p), second = new(y, c);
        int d1 = x.Dimensions, d2 = y.Dimensions;
        double[] xt = new double[d1], sy = new double[d2];
        double st = 0;
        for (int i = 0; i < x.Count; i++)
        {
            // Row i of T (t, y), norms less their means.
            ReadOnlySpan<double> row = moments.Row(i);
            double t = row[0] + y.MeanNorm * p[i], s = x.Norms[i] + x.MeanNorm;
            st += s * t;
            TensorPrimitives.MultiplyAdd(x.Points.Row(i), t, xt, xt);
            TensorPrimitives.MultiplyAdd(row[1..], s, sy, sy);
        }
        double cross = (first.Mass + second.Mass) * st + 2 * first.Sum * second.Sum - 4 * TensorPrimitives.Dot<double>(sy, second.Mean) - 4 * TensorPrimitives.Dot<double>(xt, first.Mean)
            + 4 * TensorPrimitives.SumOfSquares<double>(gamma.Buffer.View.Host);
        return x.QuarticMoment(p, p) + y.QuarticMoment(c, q) - 2 * cross;
    }
}
