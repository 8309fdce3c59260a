using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>The sweep against its points computed one by one from the start, and the choice of the root.</summary>
public sealed class PseudotimeSweepTests
{
    private const int Controls = 60, Mutants = 70, Features = 24;

    private static readonly SweepOptions s_options = new() { Dimensions = [5, 12], Neighbours = [10, 15] };

    [Theory]
    [InlineData(SweepComponents.PerMutation)]
    [InlineData(SweepComponents.Union)]
    public void One_fit_and_one_search_give_what_a_fit_and_a_search_for_each_point_give(SweepComponents components)
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(device);
        using (x)
        {
            IReadOnlyList<SweepPoint> points = PseudotimeSweep.Run(device, x, control, mutations, value, s_options with { Components = components });
            Assert.Equal(2 * 2 * 2, points.Count);
            foreach (SweepPoint point in points)
            {
                MutationCells mutation = mutations.Single(m => m.Name == point.Mutation);
                int[] pair = [.. control, .. mutation.Cells];
                using Matrix<double> rows = Rows(device, x, pair), fitted = Rows(device, x, components == SweepComponents.Union ? [.. Enumerable.Range(0, x.Rows)] : pair);
                using Pca pca = Pca.Fit(fitted, point.Dimensions);
                using Matrix<double> scores = pca.Transform(rows);
                using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(NearestCells.Find(scores, point.Neighbours)));
                int root = map.Medoid([.. Enumerable.Range(0, Controls)]);
                double[] time = DiffusionPseudotime.Compute(map, root).Values, mutant = time[Controls..], measured = [.. mutation.Cells.Select(c => value[c])];
                int[] finite = [.. Enumerable.Range(0, mutant.Length).Where(i => double.IsFinite(measured[i]))];
                Assert.Equal(pair[root], point.Root);
                for (int i = 0; i < time.Length; i++) Assert.Equal(time[i], point.Time.Values[i], 1e-7);
                Assert.Equal(finite.Length, point.Evaluation.Cells);
                Assert.Equal(RankStatistics.Spearman([.. finite.Select(i => mutant[i])], [.. finite.Select(i => measured[i])]), point.Evaluation.Spearman, 1e-6);
                Assert.Equal(RankStatistics.Pearson([.. finite.Select(i => mutant[i])], [.. finite.Select(i => measured[i])]), point.Evaluation.Pearson, 1e-6);
                Assert.InRange(point.Evaluation.AdjustedRSquared, 0.3, 1);
            }
            // The value falls along the axis on which the mutants leave the control cells.
            Assert.All(points, p => Assert.InRange(p.Evaluation.Spearman, -1, -0.6));
        }
    }

    [Fact]
    public void Mutations_with_too_few_cells_are_passed_over()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(device);
        using (x)
            Assert.Equal(["far"], PseudotimeSweep.Run(device, x, control, [new MutationCells("few", mutations[0].Cells[..9]), mutations[1]], value, s_options with { Dimensions = [5], Neighbours = [10] }).Select(p => p.Mutation));
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(one);
        using (x)
        {
            IReadOnlyList<SweepPoint> a = PseudotimeSweep.Run(one, x, control, mutations, value, s_options), b = PseudotimeSweep.Run(three, x, control, mutations, value, s_options);
            for (int i = 0; i < a.Count; i++)
            {
                Assert.Equal(a[i].Time.Values, b[i].Time.Values);
                Assert.Equal((a[i].Root, a[i].Evaluation.Spearman, a[i].Evaluation.Pearson, a[i].Evaluation.AdjustedRSquared), (b[i].Root, b[i].Evaluation.Spearman, b[i].Evaluation.Pearson, b[i].Evaluation.AdjustedRSquared));
            }
        }
    }

    /// <summary>Components and distances come from the device, maps and times from the processor.</summary>
    [Theory]
    [InlineData(SweepComponents.PerMutation)]
    [InlineData(SweepComponents.Union)]
    public void On_a_device_the_points_are_the_processors(SweepComponents components)
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(cpu);
        using (x)
        {
            SweepOptions options = s_options with { Dimensions = [5], Components = components };
            IReadOnlyList<SweepPoint> expected = PseudotimeSweep.Run(cpu, x, control, mutations, value, options), actual = PseudotimeSweep.Run(gpu, x, control, mutations, value, options);
            Assert.Equal(2 * 2, actual.Count);
            foreach ((SweepPoint e, SweepPoint a) in expected.Zip(actual))
            {
                Assert.Equal((e.Mutation, e.Dimensions, e.Neighbours, e.Root), (a.Mutation, a.Dimensions, a.Neighbours, a.Root));
                for (int i = 0; i < e.Time.Values.Length; i++) Assert.Equal(e.Time.Values[i], a.Time.Values[i], 1e-7);
                Assert.Equal(e.Evaluation.Spearman, a.Evaluation.Spearman, 1e-6);
            }
        }
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    [Fact]
    public void Roots_near_the_mean_of_the_control_cells_give_nearly_the_same_order()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(device);
        using (x)
        {
            using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(NearestCells.Find(x, 15)));
            RootRobustness robust = RootRobustness.Compute(map, control, mutations[1].Cells, value);
            Assert.Equal(map.ByDistanceToMean(control)[..10], robust.Roots);
            Assert.Equal(map.Medoid(control), robust.Roots[0]);
            double[] rho = [.. robust.Roots.Select(r =>
            {
                double[] time = DiffusionPseudotime.Compute(map, r).Values;
                int[] finite = [.. mutations[1].Cells.Where(c => double.IsFinite(value[c]))];
                return RankStatistics.Spearman([.. finite.Select(c => time[c])], [.. finite.Select(c => value[c])]);
            })];
            Assert.Equal(rho, robust.Spearman);
            Assert.Equal(rho.Average(), robust.Mean, 1e-12);
            Assert.Equal(Math.Sqrt(rho.Average(r => Math.Pow(r - rho.Average(), 2))), robust.Deviation, 1e-12);
            Assert.InRange(robust.Mean, -1, -0.6);
            Assert.Equal(Controls, RootRobustness.Compute(map, control, mutations[0].Cells, value, roots: 1000).Roots.Length);
            Assert.Contains("1 is the fewest", Assert.Throws<UsageException>(() => RootRobustness.Compute(map, control, control, value, roots: 0)).Message);
        }
    }

    [Fact]
    public void A_map_that_was_kept_gives_the_same_pseudotime()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, int[] control, _, _) = Cells(device);
        using (x)
        {
            CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 15));
            using DiffusionMap map = DiffusionMap.Compute(device, graph);
            double[] kept = [.. Enumerable.Range(0, map.Cells).SelectMany(i => Enumerable.Range(0, 15).Select(k => map.Vectors.Row(k)[i]))];
            using DiffusionMap read = DiffusionMap.FromStored(device, graph, map.Eigenvalues, kept);
            Assert.Equal(map.Medoid(control), read.Medoid(control));
            Assert.Equal(DiffusionPseudotime.Compute(map, 4).Values, DiffusionPseudotime.Compute(read, 4).Values);
            Assert.Contains("needs 3000 coordinates", Assert.Throws<UsageException>(() => DiffusionMap.FromStored(device, graph, map.Eigenvalues, kept.AsSpan(1))).Message);
        }
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        using CpuDevice device = new(1);
        (Matrix<double> x, int[] control, MutationCells[] mutations, double[] value) = Cells(device);
        using (x)
        {
            Assert.Contains("there are none", Assert.Throws<UsageException>(() => PseudotimeSweep.Run(device, x, [], mutations, value)).Message);
            Assert.Contains("at least one number", Assert.Throws<UsageException>(() => PseudotimeSweep.Run(device, x, control, mutations, value, new SweepOptions { Dimensions = [] })).Message);
            Assert.Contains("2 are the fewest", Assert.Throws<UsageException>(() => PseudotimeSweep.Run(device, x, control, mutations, value, new SweepOptions { Neighbours = [1] })).Message);
        }
    }

    /// <summary>Control cells around a place, and two mutations that spread from it along an axis; the value falls along the axis and is unknown for every seventh cell.</summary>
    private static (Matrix<double> X, int[] Control, MutationCells[] Mutations, double[] Value) Cells(CpuDevice device)
    {
        CounterRandom random = new(21);
        int cells = Controls + 2 * Mutants;
        Matrix<double> x = device.AllocateMatrix<double>(cells, Features);
        double[] value = new double[cells];
        for (int i = 0; i < cells; i++)
        {
            double along = i < Controls ? random.NextDouble() : 8 * random.NextDouble();
            int axis = i < Controls + Mutants ? 0 : 1;
            for (int f = 0; f < Features; f++) x.Row(i)[f] = 0.3 * random.NextNormal() + (f % 2 == axis ? along : 0);
            value[i] = i % 7 == 3 ? double.NaN : -along + 0.5 * random.NextNormal();
        }
        return (x, [.. Enumerable.Range(0, Controls)], [new("near", [.. Enumerable.Range(Controls, Mutants)]), new("far", [.. Enumerable.Range(Controls + Mutants, Mutants)])], value);
    }

    private static Matrix<double> Rows(CpuDevice device, Matrix<double> x, int[] rows) => Matrix<double>.From(device, rows.Length, x.Columns, [.. rows.SelectMany(r => x.Row(r).ToArray())]);
}
