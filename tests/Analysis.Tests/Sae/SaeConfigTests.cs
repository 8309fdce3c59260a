using BioSup.Analysis.Sae;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

public sealed class SaeConfigTests
{
    [Fact]
    public void Comments_and_trailing_commas_are_allowed()
    {
        SaeConfig config = SaeConfigFile.Parse("{ /* a */ \"preset\": \"paper\", \"d_sae\": 8192, \"betas\": [0.8, 0.95], // b\n \"ste\": \"windowed\", }", "c.json");
        Assert.Equal((8192, 0.8, 0.95, StraightThrough.Windowed, SparsityScale.Mean, true), (config.Latents, config.Beta1, config.Beta2, config.StraightThrough, config.SparsityScale, config.AuxDoubleBias));
    }

    [Theory]
    [InlineData("""{"d_sea": 5}""", "d_sea")]
    [InlineData("""{"lr": "fast"}""", "lr")]
    [InlineData("""{"lr": -1}""", "lr")]
    [InlineData("""{"preset": "papr"}""", "papr")]
    [InlineData("""{"architecture": "topk"}""", "topk")]
    [InlineData("""{"betas": [0.9]}""", "betas")]
    [InlineData("""{"betas": [0.9, 1]}""", "betas")]
    [InlineData("""{"batch": 0}""", "batch")]
    [InlineData("""{"batch": 5, "batch": 6}""", "batch")]
    [InlineData("""{"lr": null}""", "lr")]
    [InlineData("""{"lr_schedule": "step"}""", "lr_schedule")]
    [InlineData("""[1]""", "object")]
    [InlineData("""{"lr": """, "JSON")]
    public void Mistakes_are_named(string json, string named)
    {
        UsageException e = Assert.Throws<UsageException>(() => SaeConfigFile.Parse(json, "c.json"));
        Assert.Contains(named, e.Message, StringComparison.Ordinal);
        Assert.StartsWith("c.json", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_written_configuration_reads_back_equal()
    {
        foreach (SaeConfig config in new[] { SaeConfig.Paper, SaeConfig.Default with { Latents = 7, Batch = 3, LearningRate = 0.1 + 0.2, Centring = TokenCentring.Batch } })
            Assert.Equal(config, SaeConfigFile.Parse(SaeConfigFile.Write(config), "written"));
    }

    [Fact]
    public void Schedules_start_at_zero_warm_up_and_follow_the_cosine()
    {
        SaeConfig c = SaeConfig.Paper;
        Assert.Equal(0, c.LearningRateAt(0, 1000));
        Assert.Equal(1.5e-4, c.LearningRateAt(50, 1000), 1e-12);
        Assert.Equal(3e-4, c.LearningRateAt(100, 1000), 1e-12);
        Assert.Equal(1.5e-4, c.LearningRateAt(550, 1000), 1e-12);
        Assert.Equal(0, c.SparsityAt(99, 1000));
        Assert.Equal(400, c.SparsityAt(150, 1000), 1e-9);
        Assert.Equal(800, c.SparsityAt(999, 1000), 1e-9);
    }
}
