using BioSup.Analysis.Alignment;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>When the outer iteration ends: POT's change of the coupling, OTT's relative change of the cost.</summary>
public sealed class OuterStopTests
{
    [Fact]
    public void Ott_looks_from_the_fifth_cost_on_and_leaves_out_the_first_solve()
    {
        OuterStop stop = OuterStop.Of(new GromovOptions { Stop = StoppingRule.Ott, Tolerance = 1e-3 });
        for (int iteration = 0; iteration <= 4; iteration++)
        {
            stop.Observe(iteration, 0, 2, true);
            Assert.False(stop.Met);
        }
        stop.Observe(5, 0, 2, true);
        Assert.True(stop.Met);
        Assert.Equal(5, stop.Costs.Count);
        stop.Observe(6, 0, 2.003, true);
        Assert.False(stop.Met);
        stop.Observe(7, 0, 2.0049, true);
        Assert.True(stop.Met);
    }

    /// <summary>jnp.isclose has an absolute term beside the relative one, so that costs near zero can settle.</summary>
    [Theory]
    [InlineData(0, 0.9e-8, true)]
    [InlineData(0, 1.1e-8, false)]
    [InlineData(2, 1.9e-6, true)]
    [InlineData(2, 2.1e-6, false)]
    public void Ott_takes_changes_of_a_hundred_millionth_for_none(double cost, double change, bool met)
    {
        OuterStop stop = OuterStop.Of(new GromovOptions { Stop = StoppingRule.Ott, Tolerance = 1e-6 });
        for (int iteration = 0; iteration <= 4; iteration++) stop.Observe(iteration, 0, cost, true);
        stop.Observe(5, 0, cost + change, true);
        Assert.Equal(met, stop.Met);
    }

    [Fact]
    public void Pot_looks_at_every_tenth_change()
    {
        OuterStop stop = OuterStop.Of(new GromovOptions { Tolerance = 1e-6, CheckEvery = 10 });
        for (int iteration = 1; iteration < 10; iteration++) stop.Observe(iteration, 0, 0, true);
        Assert.False(stop.Met);
        stop.Observe(10, 1e-6, 0, true);
        Assert.True(stop.Met);
        stop.Observe(20, 2e-6, 0, true);
        Assert.False(stop.Met);
    }

    [Fact]
    public void A_small_change_between_couplings_not_solved_for_in_full_ends_nothing()
    {
        OuterStop stop = OuterStop.Of(new GromovOptions { Tolerance = 1e-6, CheckEvery = 10 });
        stop.Observe(10, 1e-7, 0, false);
        Assert.False(stop.Met);
        stop.Observe(20, 1e-7, 0, true);
        Assert.True(stop.Met);
    }
}
