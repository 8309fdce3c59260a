using BioSup.Analysis.Modules;

namespace BioSup.Analysis.Tests.Modules;

public sealed class AdjustedRandIndexTests
{
    /// <summary>Beside scikit-learn's adjusted_rand_score.</summary>
    [Theory]
    [InlineData(new[] { 0, 0, 1, 1 }, new[] { 0, 0, 1, 2 }, 0.5714285714285714)]
    [InlineData(new[] { 0, 0, 1, 1 }, new[] { 0, 1, 0, 1 }, -0.5)]
    [InlineData(new[] { 0, 0, 0, 1, 1, 1, 2, 2, 2, 2 }, new[] { 5, 5, 3, 3, 3, 5, 7, 7, 7, 3 }, 0.20454545454545456)]
    [InlineData(new[] { 0, 1, 2 }, new[] { 4, 2, 0 }, 1)]
    [InlineData(new[] { 0, 0, 0 }, new[] { 1, 1, 1 }, 1)]
    [InlineData(new[] { 0, 0, 0 }, new[] { 0, 1, 2 }, 0)]
    [InlineData(new int[0], new int[0], 1)]
    public void It_is_that_of_another_program(int[] first, int[] second, double expected)
    {
        Assert.Equal(expected, AdjustedRandIndex.Of(first, second), 12);
        Assert.Equal(expected, AdjustedRandIndex.Of(second, first), 12);
    }

    [Fact]
    public void Groupings_of_different_things_are_refused() => Assert.Throws<ArgumentException>(() => AdjustedRandIndex.Of([0], [0, 1]));
}
