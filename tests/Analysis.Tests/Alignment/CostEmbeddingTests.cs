using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Costs that are the squared distances of embedded points: exact where they can be, and with an error that is the one reported.</summary>
public sealed class CostEmbeddingTests
{
    [Theory]
    [InlineData(DomainCost.SquaredEuclidean, 3)]
    [InlineData(DomainCost.Cosine, 3)]
    [InlineData(DomainCost.Correlation, 2)]
    [InlineData(DomainCost.Euclidean, 49)]
    public void Conditionally_negative_costs_are_recovered_at_full_rank(DomainCost cost, int rank)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 50, 3, 5);
        DomainCostOptions options = Options(cost);
        using DomainCostResult exact = DomainCosts.Build(x, options), embedded = DomainCosts.Build(x, options with { EmbeddingRank = rank });
        Assert.Equal(rank, embedded.Embedding!.Rank);
        Assert.Equal(50, embedded.Embedding.Landmarks);
        Assert.InRange(embedded.Embedding.RelativeError, 0, 1e-10);
        Assert.InRange(embedded.Embedding.NegativeShare, 0, 1e-10);
        Assert.Equal(exact.Divisor, embedded.Divisor, 1e-9 * exact.Divisor);
        for (int i = 0; i < 50; i++)
            for (int j = 0; j < 50; j++) Assert.Equal(exact.Cost.Row(i)[j], embedded.Cost.Row(i)[j], 1e-9);
    }

    [Theory]
    [InlineData(DomainCost.Euclidean)]
    [InlineData(DomainCost.Geodesic)]
    public void The_error_is_that_of_the_cost_and_falls_with_the_rank_to_what_the_negative_spectrum_leaves(DomainCost cost)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 3, 6);
        DomainCostOptions options = Options(cost) with { Scale = CostScale.None };
        using DomainCostResult exact = DomainCosts.Build(x, options);
        double before = double.PositiveInfinity, error = 0, negative = 0;
        foreach (int rank in (int[])[2, 8, 59])
        {
            using DomainCostResult embedded = DomainCosts.Build(x, options with { EmbeddingRank = rank });
            double difference = 0, norm = 0;
            for (int i = 0; i < 60; i++)
                for (int j = 0; j < 60; j++)
                {
                    difference += Math.Pow(embedded.Cost.Row(i)[j] - exact.Cost.Row(i)[j], 2);
                    norm += Math.Pow(exact.Cost.Row(i)[j], 2);
                }
            (error, negative) = (embedded.Embedding!.RelativeError, embedded.Embedding.NegativeShare);
            Assert.Equal(Math.Sqrt(difference / norm), error, 1e-9);
            if (cost == DomainCost.Euclidean) Assert.True(error < before);
            before = error;
        }
        if (cost == DomainCost.Euclidean) Assert.InRange(error, 0, 1e-9);
        else Assert.True(error > 1e-3 && negative > 1e-3, $"hop counts are no squared distances: error {error}, negative share {negative}");
    }

    [Fact]
    public void The_loss_comes_to_that_of_the_cost_as_the_rank_grows()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 2, 7), y = Clouds.Normal(device, 35, 3, 8);
        AlignmentOptions options = new() { FirstCost = Options(DomainCost.Euclidean), SecondCost = Options(DomainCost.Euclidean), Gromov = new GromovOptions { Epsilon = 0.05, MaxIterations = 500 } };
        using AlignmentResult dense = GromovAlignment.Align(x, y, options);
        double before = double.PositiveInfinity;
        foreach (int rank in (int[])[1, 4, 39])
        {
            DomainCostOptions cost = options.FirstCost with { EmbeddingRank = rank };
            using AlignmentResult embedded = GromovAlignment.Align(x, y, options with { FirstCost = cost, SecondCost = cost, Coupling = CouplingForm.Implicit });
            double difference = Math.Abs(embedded.Gromov.Loss - dense.Gromov.Loss);
            Assert.True(difference < before, $"rank {rank}: {difference} after {before}");
            before = difference;
            Assert.Equal(Math.Min(rank, 34), embedded.Embeddings.Second!.Rank);
            Assert.Contains(embedded.Warnings, warning => warning.Contains("embedded coordinates: relative error", StringComparison.Ordinal));
        }
        Assert.InRange(before, 0, 1e-7);
    }

    [Fact]
    public void Points_that_are_no_landmarks_are_placed_by_their_costs_to_these()
    {
        using CpuDevice device = new(2);
        int n = CostEmbedding.MostLandmarks + 60;
        using Matrix<double> x = Clouds.Normal(device, n, 2, 9);
        int[] landmarks = [.. CostEmbedding.Landmarks(n).Take(40)];
        void Costs(int first, Matrix<double> block)
        {
            for (int r = 0; r < block.Rows; r++)
                for (int l = 0; l < landmarks.Length; l++) block.Row(r)[l] = Square(x.Row(first + r), x.Row(landmarks[l]));
        }
        (Matrix<double> points, EmbeddingReport report, double largest, double mean) = CostEmbedding.Embed(device, n, 2, landmarks, Costs, "x", default);
        using (points)
        {
            Assert.Equal(CostEmbedding.MostLandmarks, CostEmbedding.Landmarks(n).Distinct().Count());
            Assert.Equal(40, report.Landmarks);
            Assert.InRange(report.RelativeError, 0, 1e-10);
            Assert.InRange(mean, 0, largest);
            for (int i = 0; i < n; i += 37)
                for (int j = 0; j < n; j += 41) Assert.Equal(Square(x.Row(i), x.Row(j)), Square(points.Row(i), points.Row(j)), 1e-8);
        }
    }

    [Fact]
    public void Landmarks_are_drawn_and_stand_in_ascending_order()
    {
        int[] landmarks = CostEmbedding.Landmarks(3000);
        Assert.Equal(landmarks.Order(), landmarks);
        Assert.Equal(CostEmbedding.MostLandmarks, landmarks.Distinct().Count());
        Assert.InRange(landmarks.Average(), 1400, 1600);
        Assert.Equal(Enumerable.Range(0, CostEmbedding.MostLandmarks), CostEmbedding.Landmarks(CostEmbedding.MostLandmarks));
    }

    [Fact]
    public void The_negative_share_is_that_of_the_spectrum()
    {
        // A circulant cost (0, 1, 4, 1): the centred matrix has eigenvalues 2, 2, 0 and -1.
        using CpuDevice device = new(1);
        double[] circle = [0, 1, 4, 1];
        (Matrix<double> points, EmbeddingReport report, double largest, double mean) = CostEmbedding.Embed(device, 4, 3, CostEmbedding.Landmarks(4), (first, block) =>
        {
            for (int i = 0; i < block.Rows; i++)
                for (int j = 0; j < 4; j++) block.Row(i)[j] = circle[(first + i - j + 4) % 4];
        }, "x", default);
        using (points)
        {
            Assert.Equal((2, 4), (report.Rank, report.Landmarks));
            Assert.Equal(0.2, report.NegativeShare, 12);
            Assert.Equal((4, 1.5), (largest, mean));
            // The two coordinates make a square of sides √2: squared distances 2 and 4.
            Assert.Equal(Math.Sqrt(8 / 72.0), report.RelativeError, 12);
        }
    }

    [Fact]
    public void What_cannot_be_embedded_is_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 10, 2, 9), same = device.AllocateMatrix<double>(6, 2);
        same.Buffer.Clear();
        DomainCostOptions options = Options(DomainCost.Euclidean) with { EmbeddingRank = 2 };
        Assert.Contains("median", Assert.Throws<UsageException>(() => DomainCosts.Build(x, options with { Scale = CostScale.Median })).Message, StringComparison.Ordinal);
        Assert.Contains("no eigenvalue", Assert.Throws<DataException>(() => DomainCosts.Build(same, options)).Message, StringComparison.Ordinal);
        using Matrix<double> square = device.AllocateMatrix<double>(6, 6);
        square.Buffer.Clear();
        Assert.Contains("precomputed", Assert.Throws<UsageException>(() => DomainCosts.Build(square, options with { Cost = DomainCost.Precomputed })).Message, StringComparison.Ordinal);
    }

    private static double Square(ReadOnlySpan<double> one, ReadOnlySpan<double> other)
    {
        double sum = 0;
        for (int c = 0; c < one.Length; c++) sum += (one[c] - other[c]) * (one[c] - other[c]);
        return sum;
    }

    private static DomainCostOptions Options(DomainCost cost) => new()
    {
        Cost = cost, Neighbours = 8, GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean,
    };
}
