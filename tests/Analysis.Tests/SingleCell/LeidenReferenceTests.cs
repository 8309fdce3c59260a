using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell;

public sealed class LeidenReferenceTests
{
    [Theory]
    [InlineData(40, 0.15, 1, 0.01, 6)]
    [InlineData(40, 0.15, 1, 1, 6)]
    [InlineData(30, 0.1, 0.4, 0.3, 8)]
    [InlineData(30, 0.3, 2, 0.1, 8)]
    [InlineData(10, 0.2, 0.7, 100, 200)]
    [InlineData(14, 0.4, 3, 0.5, 60)]
    [InlineData(24, 0.3, 1.5, 100, 40)]
    [InlineData(9, 0.3, 0.3, 1000, 100)]
    [InlineData(7, 0.4, 0.6, 1000, 95)]
    public void Partitions_are_those_of_the_algorithm_as_it_is_written_down(int nodes, double density, double resolution, double randomness, int graphs)
    {
        int unrefined = 0;
        for (int number = 0; number < graphs; number++)
        {
            LeidenGraph graph = WholeWeights(nodes, density, 1000 + (ulong)number);
            LeidenOptions options = new() { Resolution = resolution, Randomness = randomness, Seed = (ulong)number };
            int[] expected = PlainLeiden.Run(graph, options, out int passes, out PlainLeiden search);
            LeidenResult result = Leiden.Run(graph, options);
            Assert.Equal(expected, result.Community);
            Assert.Equal(passes, result.Iterations);
            unrefined += search.Unrefined;
        }
        // Small graphs and much randomness reach levels at which no node is merged.
        if (graphs > 100) Assert.True(unrefined > graphs / 5, $"{unrefined} levels without a merger");
    }

    [Fact]
    public void Runs_differ_and_the_best_one_is_kept()
    {
        LeidenGraph graph = WholeWeights(60, 0.1, 7);
        int better = 0;
        for (ulong seed = 0; seed < 6; seed++)
        {
            double one = Leiden.Run(graph, new LeidenOptions { Seed = seed, Iterations = 1 }).Modularity, ten = Leiden.Run(graph, new LeidenOptions { Seed = seed, Iterations = 1, Runs = 10 }).Modularity;
            Assert.True(ten >= one);
            if (ten > one) better++;
        }
        Assert.True(better >= 4, $"{better} of 6 searches found something better in ten runs");
    }

    private static LeidenGraph WholeWeights(int nodes, double density, ulong seed)
    {
        CounterRandom random = new(seed);
        List<(int From, int To, double Weight)> edges = [(0, 1, 1)];
        for (int i = 0; i < nodes; i++)
            for (int j = i + 1; j < nodes; j++)
                if (random.NextDouble() < density && (i, j) != (0, 1)) edges.Add((i, j, 1 + random.NextInt32(3)));
        return new EdgeList(nodes, edges).Graph;
    }
}
