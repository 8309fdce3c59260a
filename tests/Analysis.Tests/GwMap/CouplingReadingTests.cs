using BioSup.Analysis.GwMap;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.GwMap;

public sealed class CouplingReadingTests : IDisposable
{
    private const int N = 24;
    private static readonly string[] s_labels = [.. Enumerable.Range(0, N).Select(i => i < N / 2 ? "a" : "b")];
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void A_permutation_is_read_as_itself()
    {
        int[] partner = [.. Enumerable.Range(0, N).Select(i => (i * 7 + 3) % N)];
        using Matrix<double> coupling = Coupling((i, j) => j == partner[i] ? 1.0 / N : 0);
        using Matrix<double> images = Line(i => i), cells = Line(j => Array.IndexOf(partner, j));
        string[] cellLabels = [.. Enumerable.Range(0, N).Select(j => s_labels[Array.IndexOf(partner, j)])];
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, cellLabels, images, cells, neighbours: 4);
        Assert.Equal(partner, reading.AssignedCell);
        Assert.Equal(partner, reading.LikeliestCell);
        Assert.Equal(1, reading.Assignment!.Accuracy);
        Assert.Equal([1, 0], reading.MeanProbability[0]);
        Assert.Equal([0, 1], reading.MeanProbability[1]);
        Assert.Equal(Math.Log(N), reading.Entropy, 12);
        Assert.Equal(0, reading.RelativeRowEntropy, 12);
        Assert.Equal(1, reading.NeighbourConsistency, 12);
        Assert.Equal(5.0 / N, reading.NeighbourChance, 12);
    }

    [Fact]
    public void The_product_of_the_masses_knows_nothing()
    {
        using Matrix<double> coupling = Coupling((_, _) => 1.0 / (N * N)), line = Line(i => i);
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, s_labels, line, line);
        Assert.Equal(2 * Math.Log(N), reading.Entropy, 12);
        Assert.Equal(1, reading.RelativeRowEntropy, 12);
        Assert.All(reading.MeanProbability, row => Assert.All(row, p => Assert.Equal(0.5, p, 12)));
    }

    [Fact]
    public void The_assignment_uses_every_cell_once_where_the_likeliest_cell_may_serve_many()
    {
        // Every image likes cell 0 best, and its own cell second best.
        using Matrix<double> coupling = Coupling((i, j) => j == 0 ? 3 : j == i ? 2 : 0.1), line = Line(i => i);
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, s_labels, line, line);
        Assert.All(reading.LikeliestCell, j => Assert.Equal(0, j));
        Assert.Equal(Enumerable.Range(0, N), reading.AssignedCell);
        Assert.Equal(1, reading.Assignment!.Accuracy);
    }

    [Fact]
    public void Of_equal_masses_the_first_is_likeliest_and_partners_that_are_the_same_cell_are_near()
    {
        using Matrix<double> coupling = Coupling((_, j) => j is 5 or 9 ? 1 : 0), line = Line(i => i);
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, s_labels, line, line, neighbours: 3);
        Assert.All(reading.LikeliestCell, j => Assert.Equal(5, j));
        Assert.Equal(1, reading.NeighbourConsistency);
    }

    [Fact]
    public void Shares_count_images_alike_and_entropies_do_not_depend_on_the_total()
    {
        // Image i carries i + 1 parts of mass; half of it on its own place, half on cell 0, which is in class a.
        using Matrix<double> coupling = Coupling((i, j) => (i + 1) * ((j == i ? 0.5 : 0) + (j == 0 ? 0.5 : 0))), line = Line(i => i);
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, s_labels, line, line);
        Assert.Equal([1, 0], reading.MeanProbability[0]);
        Assert.Equal(0.5, reading.MeanProbability[1][0], 12);
        Assert.Equal(0.5, reading.MeanProbability[1][1], 12);
        Assert.Equal((N - 1) * Math.Log(2) / (N * Math.Log(N)), reading.RelativeRowEntropy, 12);
        using Matrix<double> whole = Coupling((i, j) => coupling.Row(i)[j] / (N * (N + 1) / 2));
        double entropy = -Enumerable.Range(0, N * N).Select(k => whole.Row(k / N)[k % N]).Where(t => t > 0).Sum(t => t * Math.Log(t));
        Assert.Equal(entropy, reading.Entropy, 12);
        Assert.Equal(entropy, CouplingReading.Of(whole, s_labels, s_labels, line, line).Entropy, 12);
    }

    [Fact]
    public void An_image_without_mass_has_no_probability_and_is_no_error()
    {
        using Matrix<double> coupling = Coupling((i, j) => i == 0 ? 0 : j == i ? 1.0 / N : 0), line = Line(i => i);
        CouplingReading reading = CouplingReading.Of(coupling, s_labels, s_labels, line, line);
        Assert.Equal(11.0 / 12, reading.MeanProbability[0][0], 12);
        Assert.True(double.IsFinite(reading.Entropy) && double.IsFinite(reading.RelativeRowEntropy));
    }

    private Matrix<double> Coupling(Func<int, int, double> mass) => Matrix<double>.From(_device, N, N, [.. Enumerable.Range(0, N * N).Select(k => mass(k / N, k % N))]);

    private Matrix<double> Line(Func<int, double> place) => Matrix<double>.From(_device, N, 1, [.. Enumerable.Range(0, N).Select(place)]);
}
