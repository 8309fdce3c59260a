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
    [InlineData("""{"architecture": "topq"}""", "topq")]
    [InlineData("""{"architecture": "relu", "k": 4}""", "'k'")]
    [InlineData("""{"architecture": "topk", "k": 9, "d_sae": 8}""", "'k'")]
    [InlineData("""{"architecture": "topk", "sparsity_coeff": 0.1}""", "sparsity_coeff")]
    [InlineData("""{"architecture": "batchtopk", "target_l0": 9}""", "target_l0")]
    [InlineData("""{"target_l0": 0}""", "target_l0")]
    [InlineData("""{"target_l0": 20, "sparsity_coeff": 0}""", "target_l0")]
    [InlineData("""{"architecture": "jumprelu", "jumprelu_loss": "quadratic_l0"}""", "target_l0")]
    [InlineData("""{"architecture": "jumprelu", "tanh_scale": 3}""", "tanh_scale")]
    [InlineData("""{"architecture": "jumprelu", "ste_bandwidth": 0}""", "ste_bandwidth")]
    [InlineData("""{"architecture": "relu", "jumprelu_loss": "l0"}""", "jumprelu_loss")]
    [InlineData("""{"architecture": "relu", "p_end": 1.5}""", "p_end")]
    [InlineData("""{"p_end": 0.5}""", "p_end")]
    [InlineData("""{"architecture": "relu", "tied": false}""", "tied")]
    [InlineData("""{"architecture": "relu", "ste": "windowed"}""", "ste")]
    [InlineData("""{"architecture": "relu", "aux_kind": "closed_gate"}""", "aux_kind")]
    [InlineData("""{"architecture": "gated-original", "aux_kind": "dead"}""", "aux_kind")]
    [InlineData("""{"architecture": "topk", "aux_double_bias": true}""", "aux_double_bias")]
    [InlineData("""{"architecture": "matryoshka", "prefixes": [4, 4]}""", "prefixes")]
    [InlineData("""{"architecture": "matryoshka", "d_sae": 16, "prefixes": [4, 8], "k": 2}""", "prefixes")]
    [InlineData("""{"architecture": "topk", "prefixes": [4, 8]}""", "prefixes")]
    [InlineData("""{"preset": "paper", "architecture": "topk"}""", "paper")]
    [InlineData("""{"dead_after_tokens": 0}""", "dead_after_tokens")]
    [InlineData("""{"resample_every": -1}""", "resample_every")]
    [InlineData("""{"decoder_norm": "one"}""", "decoder_norm")]
    [InlineData("""{"init": "zeros"}""", "init")]
    [InlineData("""{"optimiser": "sgd"}""", "optimiser")]
    [InlineData("""{"lr_decay_fraction": 0.3}""", "lr_decay_fraction")]
    [InlineData("""{"lr_schedule": "wsd", "lr_decay_fraction": 0.95}""", "lr_decay_fraction")]
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

    [Theory]
    [InlineData("""{"architecture": "gated-original", "target_l0": 12.5, "init": "centroids", "d_sae": 24}""")]
    [InlineData("""{"architecture": "relu", "p_end": 0.5, "decoder_norm": "free", "optimiser": "muon", "subtract_decoder_bias": false}""")]
    [InlineData("""{"architecture": "topk", "k": 7, "lr_schedule": "wsd", "lr_decay_fraction": 0.3, "resample_every": 40, "dead_after_tokens": 5000}""")]
    [InlineData("""{"architecture": "batchtopk", "d_sae": 16}""")]
    [InlineData("""{"architecture": "matryoshka", "d_sae": 64, "prefixes": [4, 16, 64]}""")]
    [InlineData("""{"architecture": "jumprelu", "jumprelu_loss": "tanh", "tanh_scale": 3, "pre_act_coeff": 0.1, "threshold_init": 0.2, "ste_bandwidth": 0.1}""")]
    [InlineData("""{"architecture": "jumprelu", "jumprelu_loss": "quadratic_l0", "target_l0": 20}""")]
    [InlineData("""{"aux_kind": "dead", "subtract_decoder_bias": true}""")]
    public void Every_architecture_reads_back_equal(string json)
    {
        SaeConfig config = SaeConfigFile.Parse(json, "c.json");
        Assert.Equal(config, SaeConfigFile.Parse(SaeConfigFile.Write(config), "written"));
    }

    /// <summary>Checkpoints and manifests of earlier runs hold this text: it must stay what it was.</summary>
    [Fact]
    public void The_text_of_a_gated_configuration_has_no_keys_of_other_architectures()
    {
        string text = SaeConfigFile.Write(SaeConfig.Paper);
        foreach (string key in new[] { "\"k\"", "decoder_norm", "optimiser", "aux_kind", "init\"", "target_l0", "p_end" }) Assert.DoesNotContain(key, text, StringComparison.Ordinal);
    }

    [Fact]
    public void Stable_rates_decay_at_the_end_and_exponents_fall_over_the_second_half()
    {
        SaeConfig c = SaeConfig.Default with { Schedule = LearningRateSchedule.Wsd, DecayFraction = 0.25, LearningRate = 1, SparsityExponentEnd = 0.5 };
        Assert.Equal([0.5, 1, 1, 0.5], new long[] { 50, 100, 750, 875 }.Select(step => c.LearningRateAt(step, 1000)));
        Assert.Equal([1, 1, 0.75, 0.5], new long[] { 0, 500, 750, 1000 }.Select(step => Math.Round(c.SparsityExponentAt(step, 1000), 12)));
        Assert.Equal(51, Enumerable.Range(0, 1001).Select(step => c.SparsityExponentAt(step, 1000)).Distinct().Count());
    }

    /// <summary>What a configuration leaves to width and tokens is absent from its text, and explicit once it is known.</summary>
    [Fact]
    public void Rate_window_and_thresholds_follow_width_and_tokens()
    {
        SaeConfig jump = SaeConfigFile.Parse("""{ "architecture": "jumprelu", "d_sae": 4096 }""", "c.json"), windowed = SaeConfigFile.Parse("""{ "ste": "windowed" }""", "c.json");
        Assert.Equal((null, null, null), (jump.LearningRate, jump.Bandwidth, jump.InitialThreshold));
        Assert.Equal(4e-4, (jump with { WarmupFraction = 0 }).LearningRateAt(0, 1000), 1e-12);
        Assert.True(jump.NeedsDeviation && windowed.NeedsDeviation && !SaeConfig.Default.NeedsDeviation && !SaeConfig.Paper.NeedsDeviation);
        SaeConfig known = jump.WithDeviation(0.05), given = (jump with { Bandwidth = 0.3 }).WithDeviation(0.05);
        Assert.Equal((0.1, 0.1), (known.Bandwidth!.Value, known.InitialThreshold!.Value));
        Assert.Equal((0.3, 0.1), (given.Bandwidth!.Value, given.InitialThreshold!.Value));
        Assert.False(known.NeedsDeviation);
        Assert.Equal([0.01, 0.02, 0.3], new[] { "l0", "tanh", "quadratic_l0" }.Select(loss => SaeConfigFile.Parse($$"""{ "architecture": "jumprelu", "jumprelu_loss": "{{loss}}", "target_l0": 9 }""", "c").SparsityCoefficient));
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
