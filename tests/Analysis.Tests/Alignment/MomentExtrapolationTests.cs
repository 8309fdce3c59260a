using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>The extrapolation of the outer iteration on maps whose merit is known.</summary>
public sealed class MomentExtrapolationTests
{
    private static readonly GromovOptions s_options = new() { Epsilon = 8, Convention = EpsilonConvention.Pot };

    [Fact]
    public void A_slow_linear_map_is_solved_in_a_few_steps()
    {
        // x -> A x with rates up to 0.99; plain steps need hundreds. With |x|² as the first part of the merit, the dual stays zero.
        double[] rates = [0.99, 0.9, 0.5, 0.1], point = [1, -2, 3, 1], image = new double[4];
        using CpuDevice device = new(1);
        using MomentExtrapolation extrapolation = new(device, 4, s_options);
        int steps = 0;
        for (; steps < 100 && point.Max(Math.Abs) > 1e-10; steps++)
        {
            for (int c = 0; c < 4; c++) image[c] = rates[c] * point[c];
            extrapolation.Next(point, image, 0, allowed: true);
            image.CopyTo(point, 0);
        }
        Assert.InRange(steps, 1, 40);
    }

    [Fact]
    public void A_step_that_raises_the_objective_is_taken_back_and_a_plain_one_can_be_asked_for()
    {
        using CpuDevice device = new(1);
        using MomentExtrapolation extrapolation = new(device, 1, s_options);
        double[] image = [0.5];
        Assert.False(extrapolation.Next([1.0], image, 0, allowed: true));
        image = [0.3];
        Assert.True(extrapolation.Next([0.5], image, 0, allowed: true));
        Assert.NotEqual(0.3, image[0]);
        // The merit at the extrapolated point is far above that of the point before: on from the plain image.
        double[] worse = [0.2];
        Assert.True(extrapolation.Next(image, worse, 1000, allowed: true));
        Assert.Equal(0.3, worse[0]);
        Assert.Equal(1, extrapolation.TakenBack);
        double[] next = [0.25];
        Assert.False(extrapolation.Next([0.3], next, 0, allowed: false));
        Assert.Equal(0.25, next[0]);
    }
}
