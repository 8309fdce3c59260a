using BioSup.Analysis.Sae;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>The rule that steers λ, number by number: 1,000 steps make a time constant of 40 steps and a pull of 10 / 40.</summary>
public sealed class SparsityControllerTests
{
    private const double Gain = 1.5, Pull = 0.25;

    [Fact]
    public void Smoothed_error_and_its_change_move_the_logarithm()
    {
        SparsityController controller = new(8, 1000);
        controller.Add(16, ramping: false);
        double first = Math.Log(2), expected = Gain * first * Pull;
        Assert.Equal(expected, controller.LogFactor, 12);
        controller.Add(8, ramping: false);
        double second = 0.5 * first;
        expected += Gain * (second - first + second * Pull);
        Assert.Equal(expected, controller.LogFactor, 12);
        controller.Add(2, ramping: false);
        double third = second + 0.5 * (Math.Log(0.25) - second);
        expected += Gain * (third - second + third * Pull);
        Assert.Equal(expected, controller.LogFactor, 12);
    }

    [Fact]
    public void The_ramp_bounds_from_above_and_a_thousand_either_way()
    {
        SparsityController controller = new(8, 1000);
        controller.Add(64, ramping: true);
        Assert.Equal(0, controller.LogFactor);
        for (int i = 0; i < 100; i++) controller.Add(64, ramping: false);
        Assert.Equal(Math.Log(1000), controller.LogFactor, 12);
        for (int i = 0; i < 200; i++) controller.Add(0, ramping: false);
        Assert.Equal(-Math.Log(1000), controller.LogFactor, 12);
    }

    [Fact]
    public void What_is_saved_goes_on_as_if_nothing_had_happened()
    {
        SparsityController whole = new(8, 1000), resumed = new(8, 1000);
        whole.Add(30, ramping: false);
        whole.Add(20, ramping: false);
        resumed.Load(whole.Save());
        whole.Add(12, ramping: false);
        resumed.Add(12, ramping: false);
        Assert.Equal(whole.Save(), resumed.Save());
    }
}
