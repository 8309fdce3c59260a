using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Embedding;

/// <summary>PHATE against its definition in dense NumPy, scikit-learn's SMACOF from the same start, and data whose answer is known.</summary>
public sealed class PhateTests
{
    private const double Constant = 16.11809565095832;

    [Theory]
    [InlineData(260, 5, 40, 0)]
    [InlineData(220, 5, 120, 20)]
    [InlineData(150, 8, 2, 7)]
    public void Potential_entropy_and_layout_are_those_of_the_definition(int cells, int knn, double decay, int time)
    {
        string? python = Python.Find("import sklearn, scipy", out string reason);
        Assert.SkipWhen(python is null, reason);
        using CpuDevice device = new(2);
        using Matrix<double> x = Branches(device, cells);
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string input = Path.Combine(folder, "x.npy"), output = Path.Combine(folder, "out.npz");
            NpyFile.Write(input, x.View);
            string script = Path.Combine(RepositoryRoot.Path, "tests", "golden", "phate", "phate_reference.py");
            string[] said = Python.Run(python!, script, input, Text(knn), Text(decay), Text(time), output).Split(' ');
            int t = int.Parse(said[0], CultureInfo.InvariantCulture);
            double theirStress = double.Parse(said[1], CultureInfo.InvariantCulture), theirRank = double.Parse(said[2], CultureInfo.InvariantCulture);
            using Phate phate = Phate.Fit(x, new PhateOptions { Knn = knn, Decay = decay });
            Assert.True(phate.IsExact);
            using NpzFile reference = NpzFile.Open(output);
            double[] theirs = reference.Read("potential").ToDoubles();
            using (Matrix<double> potential = phate.Potential(t))
                for (int i = 0; i < theirs.Length; i++) Assert.InRange(Constant - potential.Row(i / cells)[i % cells] - theirs[i], -1e-6, 1e-6);
            double[] entropy = reference.Read("entropy").ToDoubles();
            for (int i = 0; i < entropy.Length; i++) Assert.Equal(entropy[i], phate.Entropy()[i], 1e-6);
            if (time == 0) Assert.Equal(t, phate.ChooseTime());
            using PhateLayout layout = phate.Embed(time == 0 ? null : time);
            Assert.Equal(t, layout.Time);
            Assert.InRange(layout.Stress, 0, 1.02 * theirStress);
            using Matrix<double> wanted = phate.Distances(t);
            Assert.InRange(RankStatistics.Spearman(Pairs(wanted), Pairs(layout.Coordinates, cells)), theirRank - 0.01, 1);
            // Procrustes turns both towards the same classical solution, so that even coordinates can be compared where the minimum is the same.
            double[] coordinates = reference.Read("layout").ToDoubles(), ours = layout.Coordinates.ToArray();
            double sign = Math.Sign(ours.Zip(coordinates, (a, b) => a * b).Where((_, i) => i % 2 == 0).Sum()), other = Math.Sign(ours.Zip(coordinates, (a, b) => a * b).Where((_, i) => i % 2 == 1).Sum());
            if (Math.Abs(layout.Stress - theirStress) < 1e-5 * theirStress)
                for (int i = 0; i < ours.Length; i++) Assert.InRange(ours[i] * (i % 2 == 0 ? sign : other) - coordinates[i], -5e-3, 5e-3);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_knee_is_where_two_lines_meet()
    {
        double[] bent = [.. Enumerable.Range(0, 40).Select(i => i < 13 ? 100.0 - 7 * i : 16 - 0.1 * (i - 12))];
        Assert.Equal(12, VonNeumannEntropy.Knee(bent));
    }

    [Fact]
    public void Entropy_falls_to_that_of_the_parts_which_no_walk_leaves()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Branches(device, 120, apart: 1000);
        using Phate phate = Phate.Fit(x, new PhateOptions());
        Assert.Equal(3, phate.Parts);
        IReadOnlyList<double> entropy = phate.Entropy();
        for (int t = 1; t < entropy.Count; t++) Assert.True(entropy[t] <= entropy[t - 1] + 1e-9);
        using PhateLayout layout = phate.Embed(10);
        Assert.All(layout.Coordinates.ToArray(), value => Assert.True(double.IsFinite(value)));
        // Cells of one part lie nearer to each other than to any other part.
        double within = 0, between = double.PositiveInfinity;
        for (int i = 0; i < 120; i++)
            for (int j = 0; j < i; j++)
            {
                double d = Math.Sqrt(Square(layout.Coordinates, i, j));
                if (i % 3 == j % 3) within = Math.Max(within, d);
                else between = Math.Min(between, d);
            }
        Assert.True(within < between, $"{within} within, {between} between");
    }

    /// <summary>Of many cells only the largest singular values are found, and sums over the rest estimated.</summary>
    [Theory]
    [InlineData(900, 0)]
    [InlineData(700, 1000)]
    public void An_estimated_entropy_has_the_knee_of_the_exact_one(int cells, double apart)
    {
        using CpuDevice one = new(1), three = new(3);
        using Matrix<double> x = Branches(one, cells, apart);
        PhateKernel kernel = PhateKernel.Build(x, 5, 40);
        using Matrix<double> p = kernel.Transitions(one);
        double[] exact = VonNeumannEntropy.Of(VonNeumannEntropy.Singular(p), null, Phate.MostEntropies);
        (double[] values, double[] weights) = PhateSpectrum.Estimate(one, kernel);
        (double[] same, double[] sameWeights) = PhateSpectrum.Estimate(three, kernel);
        Assert.Equal(values, same);
        Assert.Equal(weights, sameWeights);
        // The weights stand for all values, but for the chance of the random signs.
        Assert.InRange(weights.Sum() / cells, 0.98, 1.02);
        double[] estimate = VonNeumannEntropy.Of(values, weights, Phate.MostEntropies);
        TestContext.Current.TestOutputHelper?.WriteLine($"largest error {exact.Zip(estimate, (a, b) => Math.Abs(a - b)).Max():e2}, knees {VonNeumannEntropy.Knee(exact)} and {VonNeumannEntropy.Knee(estimate)}");
        for (int t = 0; t < exact.Length; t++) Assert.Equal(exact[t], estimate[t], 0.03);
        Assert.InRange(VonNeumannEntropy.Knee(estimate) - VonNeumannEntropy.Knee(exact), -1, 1);
    }

    [Fact]
    public void A_walk_over_few_entries_is_the_power_of_the_dense_matrix()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Branches(device, 70);
        PhateKernel kernel = PhateKernel.Build(x, 4, 15);
        using Matrix<double> p = kernel.Transitions(device), walk = kernel.Walk(device, 11), power = device.AllocateMatrix<double>(70, 70), next = device.AllocateMatrix<double>(70, 70);
        device.Copy(p.Buffer.View, power.Buffer.View);
        for (int step = 1; step < 11; step++)
        {
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, power.View, p.View, 0.0, next.View);
            device.Copy(next.Buffer.View, power.Buffer.View);
        }
        double[] ours = walk.ToArray(), expected = power.ToArray();
        for (int i = 0; i < ours.Length; i++) Assert.Equal(expected[i], ours[i], 1e-13);
        for (int i = 0; i < 70; i++) Assert.Equal(1, walk.Row(i).ToArray().Sum(), 1e-12);
    }

    [Fact]
    public void Landmarks_keep_the_order_of_the_exact_layout()
    {
        using CpuDevice device = new(2);
        const int Cells = 300;
        using Matrix<double> x = Branches(device, Cells);
        using Phate exact = Phate.Fit(x, new PhateOptions()), some = Phate.Fit(x, new PhateOptions { Landmarks = 120, Seed = 3 });
        Assert.Equal((true, Cells, false, 120), (exact.IsExact, exact.Points, some.IsExact, some.Points));
        // A step between landmarks goes there and back.
        using PhateLayout first = exact.Embed(16), second = some.Embed(8);
        Assert.Equal((Cells, 2), (second.Coordinates.Rows, second.Coordinates.Columns));
        Assert.InRange(RankStatistics.Spearman(Pairs(first.Coordinates, Cells), Pairs(second.Coordinates, Cells)), 0.9, 1);
    }

    [Fact]
    public void One_landmark_for_each_cell_is_a_walk_there_and_back()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Branches(device, 40);
        PhateKernel kernel = PhateKernel.Build(x, 4, 15);
        using PhateLandmarks landmarks = PhateLandmarks.Build(device, kernel, kernel.Components(out int parts), parts, 40, 0);
        using Matrix<double> twice = kernel.Walk(device, 2);
        Assert.Equal(40, landmarks.Walk.Rows);
        // Groups are numbered by their first cell, so that a group for each cell has its number.
        double[] ours = landmarks.Walk.ToArray(), expected = twice.ToArray();
        for (int i = 0; i < ours.Length; i++) Assert.Equal(expected[i], ours[i], 1e-13);
    }

    [Fact]
    public void Cells_at_one_place_share_their_place_in_the_layout()
    {
        using CpuDevice device = new(1);
        using Matrix<double> once = Branches(device, 60);
        double[] values = once.ToArray();
        using Matrix<double> x = Matrix<double>.From(device, 68, 8, [.. values, .. Enumerable.Range(0, 8).SelectMany(_ => values[..8])]);
        using Phate phate = Phate.Fit(x, new PhateOptions());
        Assert.Equal(9, phate.Crowded);
        using PhateLayout layout = phate.Embed(5);
        for (int i = 60; i < 68; i++) Assert.InRange(Square(layout.Coordinates, 0, i), 0, 1e-5);
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        foreach (int? landmarks in new int?[] { null, 60 })
        {
            using Matrix<double> x = Branches(one, 200), y = Branches(three, 200);
            using Phate a = Phate.Fit(x, new PhateOptions { Landmarks = landmarks }), b = Phate.Fit(y, new PhateOptions { Landmarks = landmarks });
            using PhateLayout first = a.Embed(), second = b.Embed();
            Assert.Equal((first.Time, first.Stress, first.Steps), (second.Time, second.Stress, second.Steps));
            Assert.Equal(first.Coordinates.ToArray(), second.Coordinates.ToArray());
        }
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Branches(device, 30), few = Branches(device, 5), same = Matrix<double>.From(device, 10, 1, new double[10]);
        static string Refusal(Action run) => Assert.Throws<UsageException>(run).Message;
        Assert.Contains("at least 6 cells; there are 5", Refusal(() => Phate.Fit(few, new PhateOptions())));
        Assert.Contains("decay is 0", Refusal(() => Phate.Fit(x, new PhateOptions { Decay = 0 })));
        Assert.Contains("neighbour 0", Refusal(() => Phate.Fit(x, new PhateOptions { Knn = 0 })));
        Assert.Contains("3 were asked for", Refusal(() => Phate.Fit(x, new PhateOptions { Landmarks = 3 })));
        using Phate phate = Phate.Fit(x, new PhateOptions()), alike = Phate.Fit(same, new PhateOptions());
        Assert.Contains("0 steps", Refusal(() => phate.Potential(0)));
        Assert.Contains("everywhere alike", Refusal(() => alike.Embed(3)));
        x.Row(3)[2] = double.NaN;
        Assert.Contains("1 of the values", Refusal(() => Phate.Fit(x, new PhateOptions())));
    }

    [Fact]
    public void Distances_of_long_rows_are_those_of_coordinate_differences()
    {
        using CpuDevice device = new(2);
        const int Rows = 90, Columns = 700;
        using Matrix<double> x = device.AllocateMatrix<double>(Rows, Columns), ours = device.AllocateMatrix<double>(Rows, Rows), direct = device.AllocateMatrix<double>(Rows, Rows);
        CounterRandom random = new(5);
        for (int i = 0; i < Rows; i++)
            for (int j = 0; j < Columns; j++)
                // Rows 0 to 9 are one, 10 to 19 nearly so.
                x.Row(i)[j] = i is > 0 and < 20 ? x.Row(0)[j] + (i < 10 ? 0 : 1e-6 * random.NextNormal()) : 12 + random.NextNormal();
        PhateDistances.Compute(x, ours);
        PairwiseDistance.ComputeSelf(DistanceMetric.Euclidean, x.View, direct.View, DistanceForm.Direct);
        for (int i = 0; i < Rows; i++)
            for (int j = 0; j < Rows; j++)
            {
                Assert.Equal(ours.Row(j)[i], ours.Row(i)[j]);
                Assert.InRange(Math.Abs(ours.Row(i)[j] - direct.Row(i)[j]), 0, 1e-9 * direct.Row(i)[j]);
            }
    }

    [Fact]
    public void Memory_is_known_beforehand()
    {
        using CpuDevice device = new(1);
        Assert.Equal(2L * 8 * 20_000 * 20_000, Phate.Plan(device, 20_000, new PhateOptions()).TotalBytes);
        Assert.InRange(Phate.Plan(device, 20_001, new PhateOptions()).TotalBytes, 1, 300_000_000);
    }

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    private static double Square(Matrix<double> y, int i, int j) => Enumerable.Range(0, y.Columns).Sum(d => Math.Pow(y.Row(i)[d] - y.Row(j)[d], 2));

    private static double[] Pairs(Matrix<double> distances) => [.. Enumerable.Range(0, distances.Rows).SelectMany(i => distances.Row(i)[..i].ToArray())];

    private static double[] Pairs(Matrix<double> layout, int cells) => [.. Enumerable.Range(0, cells).SelectMany(i => Enumerable.Range(0, i).Select(j => Math.Sqrt(Square(layout, i, j))))];

    /// <summary>Cells along three branches from one origin in eight dimensions, cell i on branch i mod 3; or three clouds apart.</summary>
    private static Matrix<double> Branches(ComputeDevice device, int cells, double apart = 0)
    {
        CounterRandom random = new(23);
        double[] values = new double[cells * 8];
        for (int i = 0; i < cells; i++)
        {
            double along = 10 * random.NextDouble();
            for (int d = 0; d < 8; d++) values[i * 8 + d] = 0.5 * random.NextNormal() + (d == i % 3 ? along + apart : 0);
        }
        return Matrix<double>.From(device, cells, 8, values);
    }
}
