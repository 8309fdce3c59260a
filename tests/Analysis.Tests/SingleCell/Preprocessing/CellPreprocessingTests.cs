using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell;

public sealed class CellPreprocessingTests
{
    private readonly CpuDevice _device = new(1);

    [Fact]
    public void NormaliseTotal_takes_the_median_of_positive_totals()
    {
        using Matrix<float> counts = Matrix<float>.From(_device, 4, 2, [1, 1, 2, 4, 0, 0, 10, 0]);
        Assert.Equal(6, CellPreprocessing.NormaliseTotal(counts));
        Assert.Equal([3f, 3f], counts.Row(0).ToArray());
        Assert.Equal([2f, 4f], counts.Row(1).ToArray());
        Assert.Equal([0f, 0f], counts.Row(2).ToArray());
        Assert.Equal([6f, 0f], counts.Row(3).ToArray());
    }

    [Fact]
    public void Log1p_clips_negative_values_and_keeps_small_ones()
    {
        using Matrix<float> values = Matrix<float>.From(_device, 1, 3, [-2, 1e-8f, 1]);
        CellPreprocessing.Log1p(values);
        Assert.Equal([0f, 1e-8f, MathF.Log(2)], values.Row(0).ToArray());
    }

    [Fact]
    public void Standardise_gives_zero_mean_and_unit_population_deviation_and_zero_for_constants()
    {
        using Matrix<float> values = Matrix<float>.From(_device, 3, 2, [1, 7.7f, 2, 7.7f, 6, 7.7f]);
        CellPreprocessing.Standardise(values);
        double sd = Math.Sqrt(14 / 3.0);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal((new[] { 1, 2, 6 }[i] - 3) / sd, values.Row(i)[0], 1e-6);
            Assert.Equal(0f, values.Row(i)[1]);
        }
    }

    [Fact]
    public void NormaliseRows_gives_unit_rows()
    {
        using Matrix<float> values = Matrix<float>.From(_device, 2, 2, [3, 4, 0, 0]);
        CellPreprocessing.NormaliseRows(values);
        Assert.Equal([0.6f, 0.8f], values.Row(0).ToArray());
        Assert.Equal([0f, 0f], values.Row(1).ToArray());
    }
}
