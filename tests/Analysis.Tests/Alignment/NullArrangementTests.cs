using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>The arrangements that nulls are made of: rearranged clusters, turned targets, cells drawn anew.</summary>
public sealed class NullArrangementTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void A_decoy_leaves_at_most_one_cluster_in_its_place()
    {
        // Eight clusters of three points; every pair of clusters is at a distance that no other pair has.
        const int K = 8, N = 24;
        Dictionary<double, (int A, int B)> pairAt = [];
        using Matrix<double> cost = _device.AllocateMatrix<double>(N, N);
        for (int a = 0; a < K; a++)
            for (int b = 0; b < a; b++) pairAt.Add(40 + pairAt.Count, (a, b));
        double[,] between = new double[K, K];
        foreach ((double distance, (int a, int b)) in pairAt) between[a, b] = between[b, a] = distance;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) cost.Row(i)[j] = i == j ? 0 : i / 3 == j / 3 ? 0.1 : between[i / 3, j / 3];
        HashSet<int> stayed = [];
        for (int number = 0; number < 60; number++)
        {
            using Matrix<double> decoy = DecoyTargets.ClusterPermuted(cost, 5, number);
            int[] now = new int[K];
            for (int a = 0; a < K; a++)
            {
                // The cluster whose distances these are now is in all of the pairs.
                IEnumerable<int> shared = [.. Enumerable.Range(0, K)];
                for (int b = 0; b < K; b++)
                {
                    if (b == a) continue;
                    (int c, int d) = pairAt[Math.Round(decoy.Row(3 * a)[3 * b])];
                    shared = shared.Where(g => g == c || g == d);
                }
                now[a] = shared.Single();
            }
            Assert.Equal(Enumerable.Range(0, K), now.Order());
            stayed.Add(now.Where((to, from) => to == from).Count());
            Assert.Equal(0.1, decoy.Row(0)[1]);
        }
        Assert.Equal([0, 1], stayed.Order());
    }

    [Fact]
    public void Targets_are_turned_by_an_eighth_at_least_and_every_other_one_is_mirrored()
    {
        const int N = 80;
        CounterRandom random = new(7);
        double[][] plane = [.. Enumerable.Range(0, 2).Select(_ => Enumerable.Range(0, N).Select(_ => random.NextNormal()).ToArray())];
        List<double> angles = [];
        for (int number = 0; number < 12; number++)
        {
            int[] image = SmoothnessNulls.Turn(plane, 3, number);
            Assert.Equal(Enumerable.Range(0, N), image.Order());
            // Moments of the cells and of those that take their place: those of a turn have a positive determinant, those of a mirror image a negative one.
            double[,] m = new double[2, 2];
            for (int i = 0; i < N; i++)
                for (int a = 0; a < 2; a++)
                    for (int b = 0; b < 2; b++) m[a, b] += plane[a][image[i]] * plane[b][i] / N;
            double determinant = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0];
            Assert.True(number % 2 == 0 ? determinant > 0.3 : determinant < -0.3, $"target {number}: determinant {determinant}");
            if (number % 2 == 0) angles.Add(Math.Atan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1]));
        }
        // Sampling moves the fitted angle a little.
        Assert.All(angles, angle => Assert.InRange(Math.Abs(angle), 0.25 * Math.PI - 0.15, Math.PI));
        Assert.Contains(angles, angle => angle > 0);
        Assert.Contains(angles, angle => angle < 0);
    }

    [Fact]
    public void Labels_that_a_rotated_target_gets_as_well_speak_against_the_alignment()
    {
        using Matrix<double> coupling = _device.AllocateMatrix<double>(20, 20);
        for (int i = 0; i < 20; i++) coupling.Row(i)[i < 19 ? i : 0] = 1.0 / 20;
        string[] labels = [.. Enumerable.Range(0, 20).Select(i => i < 10 ? "a" : "b")];
        LabelTransferResult transfer = LabelTransfer.Evaluate(coupling, labels, labels);
        Assert.Equal(0.95, transfer.Barycentric.Accuracy, 12);
        AlignmentVerdict Judge(double rotated) => AlignmentSearchTests.Verdict(coupling, [], null, transfer,
            new SmoothnessNulls(new RotatedTargets([0.1, 0.2], [0.4, rotated], [0, 0]), null, new PermutedSoftTargets(0.5, 0, 1, 0.01, 99), []));
        foreach (double rotated in new[] { transfer.Barycentric.Accuracy, 1 })
            Assert.Contains("onto a rotated target transfers labels as well", string.Join(" ", Judge(rotated).Against));
        Assert.Empty(Judge(0.949).Against);
        Assert.Contains("better than through all 2 rotated targets (highest 0.949)", string.Join(" ", Judge(0.949).For));
    }

    [Fact]
    public void A_replicate_starts_from_the_coupling_as_often_as_its_cells_were_drawn()
    {
        using Matrix<double> coupling = _device.AllocateMatrix<double>(4, 3);
        CounterRandom random = new(8);
        foreach (ref double t in coupling.Buffer.View.Host[..12]) t = random.NextDouble();
        (int[] Cells, double[] Mass) rows = ([0, 2, 3], [0.5, 0.25, 0.25]), columns = ([0, 2], [2 / 3.0, 1 / 3.0]);
        // The same cells one by one: cell 0 of the first domain twice, cell 0 of the second twice.
        int[] first = [0, 0, 2, 3], second = [0, 0, 2];
        double sum = first.Sum(i => second.Sum(j => coupling.Row(i)[j]));
        using Matrix<double> start = CellStability.Start(_device, coupling, rows, columns);
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 2; b++)
            {
                double expected = first.Count(i => i == rows.Cells[a]) * second.Count(j => j == columns.Cells[b]) * coupling.Row(rows.Cells[a])[columns.Cells[b]] / sum;
                Assert.Equal(expected, start.Row(a)[b], 14);
            }
        // Cells without mass between them start from the product of the masses.
        coupling.Buffer.Clear();
        using Matrix<double> product = CellStability.Start(_device, coupling, rows, columns);
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 2; b++) Assert.Equal(rows.Mass[a] * columns.Mass[b], product.Row(a)[b]);
    }
}
