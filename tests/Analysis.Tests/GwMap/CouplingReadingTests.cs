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
