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
            stop.Observe(iteration, 0, 2);
            Assert.False(stop.Met);
        }
        stop.Observe(5, 0, 2);
        Assert.True(stop.Met);
        Assert.Equal(5, stop.Costs.Count);
        stop.Observe(6, 0, 2.003);
        Assert.False(stop.Met);
        stop.Observe(7, 0, 2.0049);
        Assert.True(stop.Met);
    }

    [Fact]
    public void Pot_looks_at_every_tenth_change()
    {
        OuterStop stop = OuterStop.Of(new GromovOptions { Tolerance = 1e-6, CheckEvery = 10 });
        for (int iteration = 1; iteration < 10; iteration++) stop.Observe(iteration, 0, 0);
        Assert.False(stop.Met);
        stop.Observe(10, 1e-6, 0);
        Assert.True(stop.Met);
        stop.Observe(20, 2e-6, 0);
        Assert.False(stop.Met);
    }
}
