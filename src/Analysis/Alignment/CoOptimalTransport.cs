using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Parameters of co-optimal transport.</summary>
public sealed record CoOptimalOptions
{
    /// <summary>Entropic regularisation of the coupling of samples, positive, in squared units of the data.</summary>
    public double SampleEpsilon { get; init; } = 0.05;

    /// <summary>Entropic regularisation of the coupling of features.</summary>
    public double FeatureEpsilon { get; init; } = 0.05;

    /// <summary>L1 change of the sample coupling at which the alternation ends (POT's tol_bcd, 1e-7).</summary>
    public double Tolerance { get; init; } = 1e-7;
    public int MaxIterations { get; init; } = 500;

    /// <summary>Stopping rule of the inner solves.</summary>
    public SinkhornOptions Inner { get; init; } = SinkhornOptions.Pot with { MaxIterations = 5000, CheckEvery = 1, Accelerate = true };

    /// <exception cref="UsageException">A parameter has no meaning.</exception>
    public void Validate()
    {
        foreach (double epsilon in (ReadOnlySpan<double>)[SampleEpsilon, FeatureEpsilon])
            if (!(epsilon > 0) || !double.IsFinite(epsilon)) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"epsilon is {epsilon}; it must be a positive number."));
        if (!(Tolerance >= 0)) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The tolerance is {Tolerance}; it must not be negative."));
        if (MaxIterations < 1) throw new UsageException($"max-iter is {MaxIterations}; at least one iteration is needed.");
    }
}

/// <summary>Masses of samples and features, each positive and summing to 1; null for uniform.</summary>
/// <param name="FirstSamples">[n].</param>
/// <param name="SecondSamples">[m].</param>
/// <param name="FirstFeatures">[d].</param>
/// <param name="SecondFeatures">[e].</param>
public sealed record CoOptimalMasses(double[]? FirstSamples = null, double[]? SecondSamples = null, double[]? FirstFeatures = null, double[]? SecondFeatures = null)
{
    /// <summary>The masses of every side, uniform where none are given.</summary>
    /// <exception cref="DataException">A list has another length, a mass is not positive, or they do not sum to 1.</exception>
    internal (double[] P, double[] Q, double[] C, double[] D) For(Matrix<double> x, Matrix<double> y) =>
        (Checked(FirstSamples, x.Rows, "masses of the first samples"), Checked(SecondSamples, y.Rows, "masses of the second samples"),
            Checked(FirstFeatures, x.Columns, "masses of the first features"), Checked(SecondFeatures, y.Columns, "masses of the second features"));

    private static double[] Checked(double[]? masses, int count, string name)
    {
        if (masses is null) return EntropicGromovWasserstein.Uniform(count);
        if (masses.Length != count) throw new DataException(name, null, string.Create(CultureInfo.InvariantCulture, $"{masses.Length} masses were given for {count}."));
        int wrong = Array.FindIndex(masses, mass => !(mass > 0) || !double.IsFinite(mass));
        if (wrong >= 0) throw new DataException(name, $"element {wrong}, counted from 0", string.Create(CultureInfo.InvariantCulture, $"the mass is {masses[wrong]}; masses must be positive."));
        double sum = TensorPrimitives.Sum<double>(masses);
        return Math.Abs(sum - 1) <= 1e-6 ? masses : throw new DataException(name, null, string.Create(CultureInfo.InvariantCulture, $"the masses sum to {sum}; expected 1."));
    }
}

/// <summary>Couplings of samples and of features. Owns both.</summary>
public sealed class CoOptimalResult : IDisposable
{
    /// <summary>P [n, m].</summary>
    public required Matrix<double> Samples { get; init; }

    /// <summary>Q [d, e].</summary>
    public required Matrix<double> Features { get; init; }

    /// <summary>sum (X_ik - Y_jl)² P_ij Q_kl.</summary>
    public required double Loss { get; init; }

    /// <summary>Loss + epsilons times KL(P | a bᵀ) and KL(Q | c dᵀ) after every iteration: falls from one to the next where the inner solves are exact.</summary>
    public required IReadOnlyList<double> Objectives { get; init; }
    public required bool Converged { get; init; }
    public required int Iterations { get; init; }

    /// <summary>Inner solves that stopped at their limit.</summary>
    public required int InnerNotConverged { get; init; }

    /// <summary>L1 distances of row and column sums from the masses, of samples and of features.</summary>
    public required (double Rows, double Columns) SampleError { get; init; }
    public required (double Rows, double Columns) FeatureError { get; init; }

    public void Dispose()
    {
        Samples.Dispose();
        Features.Dispose();
    }
}

/// <summary>
/// Entropic co-optimal transport (Titouan, Redko, Flamary and Courty 2020; POT's co_optimal_transport): couples the samples and the features of two matrices that share neither, by solving for one
/// coupling at a time with the other fixed. Balanced, square loss, in double precision. Rows of one matrix may be images with concepts and of the other cells with genes: the feature
/// coupling then says which concepts go with which genes.
/// </summary>
/// <remarks>Features are compared by their values, so both matrices must be on one scale (standardised columns, say), and a sign that only one of them flips is not found.</remarks>
public static class CoOptimalTransport
{
    /// <summary>Solves.</summary>
    /// <param name="x">First data [n, d], finite.</param>
    /// <param name="y">Second data [m, e], in the same memory.</param>
    /// <param name="options">Parameters.</param>
    /// <param name="features">Coupling of the features to start from [d, e], or null for the product of the masses.</param>
    /// <param name="masses">Masses of samples and features, or null for uniform ones.</param>
    /// <param name="progress">Receives the change of the sample coupling.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    /// <exception cref="UsageException">A parameter has no meaning.</exception>
    /// <exception cref="DataException">A value is not finite or the start has the wrong shape.</exception>
    public static CoOptimalResult Solve(Matrix<double> x, Matrix<double> y, CoOptimalOptions options, Matrix<double>? features = null, CoOptimalMasses? masses = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options.Validate();
        if (!x.Device.IsHost || !y.Device.IsHost) throw new DeviceException("Co-optimal transport is computed on the host only; choose --device cpu.");
        InputChecks.RequireFinite(x, "first data");
        InputChecks.RequireFinite(y, "second data");
        if (features is not null) InputChecks.RequireCoupling(features, x.Columns, y.Columns, "initial coupling of the features");
        progress ??= SilentProgress.Instance;
        using Matrix<double> turnedX = Turned(x), turnedY = Turned(y);
        (double[] p, double[] q, double[] c, double[] d) = (masses ?? new CoOptimalMasses()).For(x, y);
        using Side samples = new(x, y, (p, q), (c, d), options.SampleEpsilon), columns = new(turnedX, turnedY, (c, d), (p, q), options.FeatureEpsilon);
        if (features is not null) features.Buffer.View.Host.CopyTo(columns.Coupling.Buffer.View.Host);
        List<double> objectives = [];
        int iteration = 0, missed = 0;
        bool converged = false;
        while (iteration < options.MaxIterations && !converged)
        {
            cancellation.ThrowIfCancellationRequested();
            double change = samples.Update(columns.Coupling, options.Inner, ref missed);
            columns.Update(samples.Coupling, options.Inner, ref missed);
            if (!double.IsFinite(change)) throw new ConvergenceException($"The coupling of the samples became non-finite at iteration {iteration}; raise epsilon or scale the data.");
            objectives.Add(columns.Loss() + options.SampleEpsilon * samples.Divergence() + options.FeatureEpsilon * columns.Divergence());
            progress.Report("coupling samples and features", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"change of the coupling {change:e3}"));
            converged = change <= options.Tolerance;
            iteration++;
        }
        return new CoOptimalResult
        {
            Samples = samples.Coupling.CopyOnHost(), Features = columns.Coupling.CopyOnHost(), Loss = columns.Loss(), Objectives = objectives, Converged = converged, Iterations = iteration, InnerNotConverged = missed,
            SampleError = samples.Error(), FeatureError = columns.Error(),
        };
    }

    /// <summary>The native memory of a solve.</summary>
    public static MemoryPlan Plan((int Rows, int Columns) x, (int Rows, int Columns) y)
    {
        long samples = (long)x.Rows * y.Rows, features = (long)x.Columns * y.Columns;
        return new MemoryPlan(
        [
            ("data and transposes", 16 * ((long)x.Rows * x.Columns + (long)y.Rows * y.Columns)),
            ("couplings and costs", 24 * (samples + features)),
            ("Sinkhorn kernels and support", 9 * (samples + features)),
            ("products", 8 * ((long)x.Rows * y.Columns + (long)x.Columns * y.Rows)),
        ]);
    }

    private static Matrix<double> Turned(Matrix<double> x)
    {
        Matrix<double> turned = x.Device.AllocateMatrix<double>(x.Columns, x.Rows);
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < x.Columns; j++) turned.Row(j)[i] = x.Row(i)[j];
        return turned;
    }

    /// <summary>The coupling of the rows of two matrices, for a given coupling of their columns.</summary>
    private sealed class Side : IDisposable
    {
        private readonly Matrix<double> _x, _y, _cost, _product;
        private readonly SinkhornWorkspace<double> _workspace;
        private readonly DeviceBuffer<double> _p, _q, _f, _g, _scratch;
        private readonly double[] _rowTerms, _columnTerms;
        private readonly double _epsilon, _massLogarithms;

        /// <param name="own">Masses of the rows of both.</param>
        /// <param name="others">Masses of the columns of both.</param>
        public Side(Matrix<double> x, Matrix<double> y, (double[] First, double[] Second) own, (double[] First, double[] Second) others, double epsilon)
        {
            ComputeDevice device = x.Device;
            (_x, _y, _epsilon) = (x, y, epsilon);
            (Coupling, _cost, _product) = (device.AllocateMatrix<double>(x.Rows, y.Rows), device.AllocateMatrix<double>(x.Rows, y.Rows), device.AllocateMatrix<double>(x.Rows, y.Columns));
            _workspace = new SinkhornWorkspace<double>(device, x.Rows, y.Rows);
            (_p, _f, _scratch, _q, _g) = (device.Allocate<double>(x.Rows), device.Allocate<double>(x.Rows), device.Allocate<double>(x.Rows), device.Allocate<double>(y.Rows), device.Allocate<double>(y.Rows));
            _p.CopyFrom(own.First);
            _q.CopyFrom(own.Second);
            _f.Clear();
            for (int i = 0; i < x.Rows; i++) TensorPrimitives.Multiply(own.Second, own.First[i], Coupling.Row(i));
            (_rowTerms, _columnTerms) = (MeanSquares(x, others.First), MeanSquares(y, others.Second));
            foreach (double mass in (ReadOnlySpan<double>)[.. own.First, .. own.Second]) _massLogarithms += mass * Math.Log(mass);
        }

        public Matrix<double> Coupling { get; }

        /// <summary>Solves for the coupling; returns its L1 change.</summary>
        public double Update(Matrix<double> columns, SinkhornOptions inner, ref int missed)
        {
            Gemm.Multiply(Transpose.No, Transpose.No, 1, _x.View, columns.View, 0, _product.View);
            Gemm.Multiply(Transpose.No, Transpose.Yes, -2, _product.View, _y.View, 0, _cost.View);
            for (int i = 0; i < _x.Rows; i++)
            {
                Span<double> row = _cost.Row(i);
                for (int j = 0; j < row.Length; j++) row[j] += _rowTerms[i] + _columnTerms[j];
            }
            if (!SinkhornScaling.Solve(_workspace, _cost.View, _p.View, _q.View, _epsilon, _f.View, _g.View, inner).Converged) missed++;
            double change = 0;
            Span<double> f = _f.View.Host, g = _g.View.Host;
            for (int i = 0; i < _x.Rows; i++)
            {
                Span<double> row = Coupling.Row(i), cost = _cost.Row(i);
                for (int j = 0; j < row.Length; j++)
                {
                    double next = Math.Exp((f[i] + g[j] - cost[j]) / _epsilon);
                    change += Math.Abs(next - row[j]);
                    row[j] = next;
                }
            }
            return change;
        }

        /// <summary>sum cost T for the coupling of the columns it was made for.</summary>
        public double Loss() => TensorPrimitives.Dot<double>(_cost.Buffer.View.Host, Coupling.Buffer.View.Host);

        /// <summary>KL(T | p qᵀ) of a coupling of mass 1.</summary>
        public double Divergence() => SinkhornScaling.SumLogarithms(Coupling.View, _scratch.View) - _massLogarithms;

        /// <summary>L1 distances of row and column sums from the masses.</summary>
        public (double Rows, double Columns) Error()
        {
            CouplingSums sums = CouplingSums.Of(Coupling);
            return (CouplingSums.Distance(sums.Rows, _p.View.Host.ToArray()), CouplingSums.Distance(sums.Columns, _q.View.Host.ToArray()));
        }

        public void Dispose()
        {
            foreach (IDisposable owned in (ReadOnlySpan<IDisposable>)[Coupling, _cost, _product, _workspace, _p, _q, _f, _g, _scratch]) owned.Dispose();
        }

        private static double[] MeanSquares(Matrix<double> x, double[] weights)
        {
            double[] squares = new double[x.Rows];
            for (int i = 0; i < x.Rows; i++)
            {
                ReadOnlySpan<double> row = x.Row(i);
                for (int k = 0; k < row.Length; k++) squares[i] += weights[k] * row[k] * row[k];
            }
            return squares;
        }
    }
}
