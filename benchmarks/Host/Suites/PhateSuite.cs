using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>The parts of exact PHATE on 2000 and 5000 cells in 50 coordinates along five branches, beside dense NumPy and scikit-learn. A further argument n replaces the sizes.</summary>
internal static class PhateSuite
{
    private const int Coordinates = 50, Time = 20, PeerSteps = 5;

    public static void Run(SuiteOptions options)
    {
        int[] sizes = options.Rest.Count > 0 ? [int.Parse(options.Rest[0], CultureInfo.InvariantCulture)] : options.Quick ? [500] : [2000, 5000];
        using CpuDevice device = new();
        ResultTable table = new("PHATE, exact",
            $"knn 5, decay 40, t {Time}, {Coordinates} coordinates, one run of each after a small one, double precision. Peer: benchmarks/peers/numpy_phate.py (scikit-learn's neighbours, NumPy's matrix_power of the dense walk, "
                + $"singular values up to 2000 cells, scikit-learn's SMACOF, mean of {PeerSteps} steps). The floor of our walk is its multiply-adds; the dense power needs {DenseProducts(Time)} products of n³.");
        table.Header("part", "cells", "ours, s", "peer, s", "ratio", "what it did");
        Compare(device, 300, null);
        foreach (int n in sizes) Compare(device, n, table);
        table.Write(options.Output);
    }

    private static void Compare(CpuDevice device, int n, ResultTable? table)
    {
        using Matrix<double> x = Branches(device, n);
        PhateOptions settings = new();
        (double graphSeconds, PhateKernel kernel) = Timed(() => PhateKernel.Build(x, settings.Knn, settings.Decay));
        (double walkSeconds, Matrix<double> walk) = Timed(() => kernel.Walk(device, Time));
        walk.Dispose();
        using Phate phate = Phate.Fit(x, settings);
        (double bothSeconds, Matrix<double> distances) = Timed(() => phate.Distances(Time));
        (double entropySeconds, _) = Timed(() => phate.Entropy());
        (double classicSeconds, Matrix<double> classic) = Timed(() => MetricScaling.Classic(distances, 2));
        (double scalingSeconds, (Matrix<double> layout, double stress, int steps)) = Timed(() => MetricScaling.Smacof(distances, classic));
        using (distances) using (classic) layout.Dispose();
        if (table is null) return;
        using JsonDocument peer = Peer(x, phate, out double error);
        double flops = 2.0 * Time * kernel.Entries * n;
        Row("affinities", graphSeconds, "graph", $"{(double)kernel.Entries / n:F1} a cell, all pairs looked at; the peer searches a tree");
        Row("power of the walk", walkSeconds, "power", $"{flops / 1e9:F1} GFLOP at {flops / walkSeconds / 1e9:F1} GFLOP/s, {DenseProducts(Time) * 2.0 * n * n * n / 1e9:F0} GFLOP if dense; potential differs by {error:e1}");
        Row("distances of the potential", bothSeconds - walkSeconds, "distances", "logarithms and all pairs");
        Row("entropy", entropySeconds, n <= 2000 ? "singular" : null, phate.EntropyIsEstimate ? "estimated: the 100 largest singular values, and 32 random vectors for the rest" : "eigenvalues of P Pᵀ for singular values");
        Row("classical solution", classicSeconds, null, "two eigenvectors by Lanczos iteration");
        Row("a step of majorisation", scalingSeconds / steps, "step", $"{steps} steps in {scalingSeconds:F1} s, {scalingSeconds / steps / n / n * 1e9:F2} ns a pair; stress {stress:F0}");

        void Row(string part, double ours, string? member, string what)
        {
            string F(double value) => value.ToString(value < 0.1 ? "F4" : "F2", CultureInfo.InvariantCulture);
            double? theirs = member is null ? null : peer.RootElement.GetProperty(member).GetDouble();
            table.Row(part, $"{n}", F(ours), theirs is { } t ? F(t) : "–", theirs is { } s ? (s / ours).ToString("F1", CultureInfo.InvariantCulture) : "–", what);
        }
    }

    private static JsonDocument Peer(Matrix<double> x, Phate phate, out double error)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-phate-");
        try
        {
            string input = Path.Combine(folder.FullName, "x.npy"), output = Path.Combine(folder.FullName, "u.npy");
            NpyFile.Write(input, x.View);
            JsonDocument said = PythonPeer.Run("numpy_phate.py", input, "5", "40", $"{Time}", $"{PeerSteps}", output);
            using Matrix<double> potential = phate.Potential(Time);
            double[] theirs = NpyFile.Read(output).ToDoubles();
            double constant = -Math.Log(1e-7);
            error = 0;
            for (int i = 0; i < potential.Rows; i++)
                for (int j = 0; j < potential.Columns; j++) error = Math.Max(error, Math.Abs(constant - potential.Row(i)[j] - theirs[(long)i * potential.Columns + j]));
            return said;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>As many products as repeated squaring takes.</summary>
    private static int DenseProducts(int t) => System.Numerics.BitOperations.Log2((uint)t) + System.Numerics.BitOperations.PopCount((uint)t) - 1;

    private static (double Seconds, T Result) Timed<T>(Func<T> run)
    {
        long start = Stopwatch.GetTimestamp();
        T result = run();
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, result);
    }

    private static Matrix<double> Branches(ComputeDevice device, int n)
    {
        CounterRandom random = new(11);
        double[] values = new double[n * Coordinates];
        for (int i = 0; i < n; i++)
        {
            double along = 12 * random.NextDouble();
            for (int d = 0; d < Coordinates; d++) values[i * Coordinates + d] = 0.4 * random.NextNormal() + (d == i % 5 ? along : 0);
        }
        return Matrix<double>.From(device, n, Coordinates, values);
    }
}
