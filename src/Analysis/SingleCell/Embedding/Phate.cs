using System.Globalization;
using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Settings of PHATE, by default those of its authors' program.</summary>
public sealed record PhateOptions
{
    /// <summary>Coordinates of the layout.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>The other cell at whose distance a cell's kernel ends, the cell itself not counted.</summary>
    public int Knn { get; init; } = 5;

    /// <summary>How steeply the kernel falls there, above 0.</summary>
    public double Decay { get; init; } = 40;

    /// <summary>Groups of cells that walk in their place where there are more cells than that; null walks cell by cell up to <see cref="Phate.ExactCells"/> and takes 2000 groups beyond.</summary>
    public int? Landmarks { get; init; }

    /// <summary>Decides the groups; the exact method has nothing random.</summary>
    public ulong Seed { get; init; }
}

/// <summary>A layout of cells.</summary>
/// <param name="Coordinates">[cells, dimensions] on the host.</param>
/// <param name="Time">Steps of the walk.</param>
/// <param name="Stress">Σ over pairs of squared differences between distances of potentials and in the layout before its scale was fixed, as a share of the sum of the former squared.</param>
/// <param name="Steps">Of the majorisation.</param>
public sealed record PhateLayout(Matrix<double> Coordinates, int Time, double Stress, int Steps) : IDisposable
{
    public void Dispose() => Coordinates.Dispose();
}

/// <summary>
/// PHATE (Moon et al., Nature Biotechnology 2019), with the conventions of its program 1.0.11 on graphtools 2.1: affinities of <see cref="PhateKernel"/>, a random walk of t steps, distances between −ln(Pᵗ + 10⁻⁷) of
/// the cells, and their metric scaling in a few dimensions. Up to <see cref="ExactCells"/> cells the walk is between cells, without landmarks. The graph and the entropy are computed once and serve any t.
/// Double precision: an error of single precision in Pᵗ would pass 10⁻⁶ in the logarithms.
/// </summary>
public sealed class Phate : IDisposable
{
    /// <summary>Up to here every cell walks for itself, unless landmarks are asked for.</summary>
    public const int ExactCells = 20_000;

    /// <summary>Up to here the entropy is that of all singular values, to 10⁻⁶; beyond they would take a minute and, for 20,000 cells, an hour.</summary>
    public const int ExactEntropyCells = 4000;

    /// <summary>Landmarks beyond, as the program takes.</summary>
    public const int UsualLandmarks = 2000;

    /// <summary>Powers among which t is chosen.</summary>
    public const int MostEntropies = 100;

    /// <summary>Longest walk that can be asked for.</summary>
    public const int LongestWalk = 10_000;

    private const double Floor = 1e-7, UsableShare = 0.8;

    private readonly ComputeDevice _device;
    private readonly PhateOptions _options;
    private readonly PhateKernel _kernel;
    private readonly PhateLandmarks? _landmarks;
    private double[]? _entropy;

    private Phate(ComputeDevice device, PhateOptions options, PhateKernel kernel, PhateLandmarks? landmarks, int parts)
    {
        (_device, _options, _kernel, _landmarks, Parts) = (device, options, kernel, landmarks, parts);
    }

    public int Cells => _kernel.Cells;

    /// <summary>Cells, or groups of them, that walk.</summary>
    public int Points => _landmarks?.Walk.Rows ?? Cells;

    /// <summary>True when there are no landmarks.</summary>
    public bool IsExact => _landmarks is null;

    /// <summary>True when <see cref="Entropy"/> is estimated: its error is about 0.01, and the knee lies where that of all singular values does, or a step beside.</summary>
    public bool EntropyIsEstimate => IsExact && Cells > ExactEntropyCells;

    /// <summary>Connected parts of the graph: between them the potential is as large as it gets, and the places of parts to each other mean nothing.</summary>
    public int Parts { get; }

    /// <summary>Cells that have k others at their own place: their affinity is 1 to those and, seen from them, 0 to all others.</summary>
    public int Crowded => _kernel.Crowded;

    /// <summary>Affinities for each cell on average, its own included.</summary>
    public double MeanAffinities => (double)_kernel.Entries / Cells;

    /// <summary>What a layout holds in memory at most.</summary>
    /// <param name="device">A host walks without a copy of the step; another device squares it, and hands the distances to its host.</param>
    /// <param name="cells">Their number.</param>
    /// <param name="options">Settings.</param>
    public static MemoryPlan Plan(ComputeDevice device, int cells, PhateOptions options)
    {
        int? landmarks = LandmarksOf(cells, options);
        long n = landmarks ?? cells, square = 8 * n * n;
        (string, long) host = ($"two matrices of {n} x {n} doubles", 2 * square), powers = ($"three matrices of {n} x {n} doubles", 3 * square);
        MemoryPlan plan = !device.IsHost ? new MemoryPlan([("distances", square)]) { OnDevice = [powers] } : new MemoryPlan([landmarks is null ? host : powers]);
        // Vectors, the basis that they are searched in and its copy.
        return landmarks is null ? plan : plan with { Items = [.. plan.Items, ("singular vectors of the cells", 8L * cells * (2 * PhateLandmarks.Axes + 2 * 240))] };
    }

    /// <summary>Builds the graph.</summary>
    /// <param name="x">[cells, coordinates]: 50 or 100 principal components, as a rule. On a GPU distances and products are made there.</param>
    /// <param name="options">Settings.</param>
    /// <param name="progress">Hears of the slow parts.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="UsageException">A setting is out of its range, a value is not finite, or memory will not do.</exception>
    public static Phate Fit(Matrix<double> x, PhateOptions options, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        Check(x, options);
        PhateKernel kernel = PhateKernel.Build(x, options.Knn, options.Decay, progress, cancel);
        int[] part = kernel.Components(out int parts);
        PhateLandmarks? landmarks = LandmarksOf(x.Rows, options) is { } count ? PhateLandmarks.Build(x.Device, kernel, part, parts, count, options.Seed, cancel) : null;
        return new Phate(x.Device, options, kernel, landmarks, parts);
    }

    /// <summary>
    /// Von Neumann entropy of the walk after 1, 2, …, 100 steps, computed by the first call: from all singular values up to <see cref="ExactEntropyCells"/> cells and of landmarks, as many multiplications as
    /// their number cubed; of more cells that walk for themselves from an estimate of sums over the singular values (<see cref="PhateSpectrum"/>).
    /// </summary>
    /// <param name="progress">Hears that it begins, and of the steps of the estimate.</param>
    /// <param name="cancel">Ends the work.</param>
    public IReadOnlyList<double> Entropy(IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        if (_entropy is not null) return _entropy;
        if (EntropyIsEstimate)
        {
            (double[] values, double[] weights) = PhateSpectrum.Estimate(_device.Host, _kernel, progress, cancel);
            return _entropy = VonNeumannEntropy.Of(values, weights, MostEntropies);
        }
        progress?.Report(PhateSpectrum.Stage, 0, 0);
        using Matrix<double>? p = _landmarks is null ? _kernel.Transitions(_device) : null;
        return _entropy = VonNeumannEntropy.Of(VonNeumannEntropy.Singular(p ?? _landmarks!.Walk), null, MostEntropies);
    }

    /// <summary>The knee of <see cref="Entropy"/>. As in the program the first value counts as t = 0, so that t is one less than the power at the knee.</summary>
    public int ChooseTime(IProgressReporter? progress = null, CancellationToken cancel = default) => VonNeumannEntropy.Knee([.. Entropy(progress, cancel)]);

    /// <summary>
    /// [points, points] ln(1 + 10⁷ Pᵗ), on the device: the constant 7 ln 10 less PHATE's potential −ln(Pᵗ + 10⁻⁷), so that distances between its rows are the same.
    /// </summary>
    /// <param name="time">t, 1 … <see cref="LongestWalk"/>.</param>
    /// <param name="cancel">Ends the work.</param>
    public Matrix<double> Potential(int time, CancellationToken cancel = default)
    {
        if (time is < 1 or > LongestWalk) throw new UsageException($"PHATE cannot walk {time} steps; 1 to {LongestWalk} were expected.");
        Matrix<double> power = Power(time, cancel);
        Elementwise.Divide(power.View, Floor, power.View);
        Elementwise.LogOnePlus(power.View, power.View);
        return power;
    }

    /// <summary>Lays the cells out.</summary>
    /// <param name="time">t; null chooses it by <see cref="ChooseTime"/>.</param>
    /// <param name="progress">Hears of the slow parts.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="UsageException">t is out of its range, or all potentials are one: the walk has forgotten where it began, or all cells lie at one place.</exception>
    public PhateLayout Embed(int? time = null, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        int t = time ?? ChooseTime(progress, cancel);
        using Matrix<double> distances = Distances(t, progress, cancel);
        using Matrix<double> classic = MetricScaling.Classic(distances, _options.Dimensions, cancel);
        (Matrix<double> coordinates, double stress, int steps) = MetricScaling.Smacof(distances, classic, progress, cancel);
        using (coordinates)
        {
            using Matrix<double> turned = MetricScaling.Procrustes(classic, coordinates);
            using Matrix<double>? interpolated = _landmarks?.Interpolate(turned);
            double all = 0;
            for (int i = 0; i < distances.Rows; i++) all += 0.5 * TensorPrimitives.SumOfSquares(distances.Row(i));
            return new PhateLayout(Transposed(interpolated ?? turned), t, stress / all, steps);
        }
    }

    public void Dispose() => _landmarks?.Dispose();

    /// <summary>[points, points] distances between potentials, on the host.</summary>
    internal Matrix<double> Distances(int t, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        progress?.Report($"walking {t.ToString(CultureInfo.InvariantCulture)} steps (PHATE)", 0, 0);
        using Matrix<double> potential = Potential(t, cancel);
        Matrix<double> distances = _device.AllocateMatrix<double>(Points, Points);
        if (_device.IsHost) PhateDistances.Compute(potential, distances, cancel);
        else PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, potential.View, distances.View);
        // A potential of 7 ln 10 in every element: distances so far below it are rounding.
        double noise = 1e-6 * -Math.Log(Floor) * Math.Sqrt(Points), largest = MatrixElements.Summarise(distances.View).Largest;
        if (largest > noise) return distances.MoveToHost();
        distances.Dispose();
        throw new UsageException($"After {t} steps PHATE's walk is everywhere alike, so that there is nothing to lay out: take fewer steps, unless all cells are the same.");
    }

    private Matrix<double> Power(int t, CancellationToken cancel)
    {
        if (_landmarks is not null) return Power(_landmarks.Walk, t, cancel);
        // Products with the few entries of P cost t times their number for each column, and no memory; squaring costs the cells cubed, which is for a GPU.
        if (_device.IsHost) return _kernel.Walk(_device.Host, t, cancel);
        using Matrix<double> p = _kernel.Transitions(_device);
        return Power(p, t, cancel);
    }

    /// <summary>Pᵗ by repeated squaring from the leading bit of t on.</summary>
    private static Matrix<double> Power(Matrix<double> p, int t, CancellationToken cancel)
    {
        Matrix<double> power = p.CopyAt(p.Device), next = p.Device.AllocateMatrix<double>(p.Rows, p.Rows);
        for (int bit = BitOperations.Log2((uint)t) - 1; bit >= 0; bit--)
        {
            cancel.ThrowIfCancellationRequested();
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, power.View, power.View, 0.0, next.View);
            (power, next) = (next, power);
            if ((t >> bit & 1) == 0) continue;
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, power.View, p.View, 0.0, next.View);
            (power, next) = (next, power);
        }
        next.Dispose();
        return power;
    }

    private static Matrix<double> Transposed(Matrix<double> axes)
    {
        Matrix<double> rows = axes.Device.AllocateMatrix<double>(axes.Columns, axes.Rows);
        for (int a = 0; a < axes.Rows; a++)
            for (int i = 0; i < axes.Columns; i++) rows.Row(i)[a] = axes.Row(a)[i];
        return rows;
    }

    private static int? LandmarksOf(int cells, PhateOptions options)
    {
        int? wanted = options.Landmarks ?? (cells > ExactCells ? UsualLandmarks : null);
        return wanted < cells ? wanted : null;
    }

    private static void Check(Matrix<double> x, PhateOptions options)
    {
        if (options.Dimensions is < 1 or > 100) throw new UsageException($"A PHATE layout of {options.Dimensions} dimensions was asked for; 1 to 100 were expected.");
        if (options.Knn < 1) throw new UsageException($"PHATE's kernel cannot reach to neighbour {options.Knn}; 1 is the first.");
        if (!(options.Decay > 0) || !double.IsFinite(options.Decay)) throw new UsageException($"PHATE's decay is {options.Decay}; a finite number above 0 was expected.");
        if (options.Landmarks <= options.Dimensions + 1) throw new UsageException($"PHATE in {options.Dimensions} dimensions needs more than {options.Dimensions + 1} landmarks; {options.Landmarks} were asked for.");
        int least = Math.Max(options.Knn, options.Dimensions + 1) + 1;
        if (x.Rows < least) throw new UsageException($"PHATE with {options.Knn} neighbours in {options.Dimensions} dimensions needs at least {least} cells; there are {x.Rows}.");
        if (MatrixElements.Summarise(x.View) is { NotFinite: > 0 } summary) throw new UsageException($"{summary.NotFinite} of the values that PHATE was given are not finite; numbers were expected.");
        MemoryPlan plan = Plan(x.Device, x.Rows, options);
        long needed = x.Device.IsHost ? plan.TotalBytes : plan.DeviceBytes, there = (long)(UsableShare * (x.Device is CudaDevice gpu ? gpu.Info.MemoryBytes : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes));
        if (needed > there)
            throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"PHATE of {x.Rows} cells needs {needed / 1e9:F1} GB, of which {there / 1e9:F1} can be used: take landmarks (n_landmark, 2000 as a rule)."));
    }
}
