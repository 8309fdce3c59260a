using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>What is made of a trained model: latents, pooled latents, figures, exports.</summary>
public sealed class SaeOutputTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-sae-").FullName;
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<float> _tokens;
    private readonly SaeModel _model;

    public SaeOutputTests()
    {
        _tokens = OracleRecipe.Tokens(_device, 700, 20);
        SaeTrainer.Train(_device, _tokens, new SaeTrainingOptions
        {
            Config = SaeConfig.Default with { Latents = 60, Batch = 100, LearningRate = 5e-3, SparsityWarmupSteps = 5, SparsityCoefficient = 0.1, Normalisation = TokenNormalisation.Paper },
            Steps = 120, OutputFolder = _folder,
        }).Dispose();
        _model = SaeModel.Load(_device, _folder);
    }

    public void Dispose()
    {
        _model.Dispose();
        _tokens.Dispose();
        _device.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Latents_follow_the_formula_and_pooling_is_their_mean()
    {
        using ITokenSource source = new LentTokens(_tokens);
        using Matrix<float> latents = SaeEncoder.EncodeAll(_model, source);
        float[] mean = [.. _model.Normaliser.Mean!];
        for (int t = 0; t < 700; t += 97)
        {
            double[] x = [.. Enumerable.Range(0, 20).Select(i => (double)_tokens.Row(t)[i] - mean[i])];
            double norm = Math.Sqrt(x.Sum(v => v * v));
            for (int j = 0; j < 60; j++)
            {
                double z = Enumerable.Range(0, 20).Sum(i => x[i] / norm * _model.Parameters.Encoder.Row(i)[j]);
                double m = z + _model.Parameters.EncoderBias.Host[j], g = z + _model.Parameters.GateBias.Host[j];
                if (Math.Min(Math.Abs(m), Math.Abs(g)) > 1e-6) Assert.Equal(m > 0 && g > 0 ? m : 0, latents.Row(t)[j], 2e-6);
            }
        }
        int[] images = [0, 300, 1, 399, 0];
        using Matrix<float> pooled = SaeEncoder.EncodePooled(_model, source, images);
        int row = 0;
        for (int image = 0; image < images.Length; row += images[image++])
            for (int j = 0; j < 60; j++)
                Assert.Equal(images[image] == 0 ? 0 : Enumerable.Range(row, images[image]).Average(t => (double)latents.Row(t)[j]), pooled.Row(image)[j], 1e-6);
    }

    [Fact]
    public void Figures_agree_with_a_plain_computation()
    {
        using ITokenSource source = new LentTokens(_tokens);
        using Matrix<float> latents = SaeEncoder.EncodeAll(_model, source);
        string[] labels = [.. Enumerable.Range(0, 700).Select(t => t % 3 == 0 ? "a" : "b")];
        SaeEvaluation e = SaeEvaluation.Run(_model, source, null, labels);
        using Matrix<float> normalised = _device.AllocateMatrix<float>(700, 20);
        normalised.Buffer.CopyFrom(_tokens.Buffer.View.Host);
        _model.Normaliser.Apply(normalised.View);
        double sse = 0, sst = 0;
        double[] mean = [.. Enumerable.Range(0, 20).Select(i => Enumerable.Range(0, 700).Average(t => (double)normalised.Row(t)[i]))];
        int[] counts = new int[700];
        for (int t = 0; t < 700; t++)
            for (int i = 0; i < 20; i++)
            {
                double recon = _model.Parameters.DecoderBias.Host[i];
                for (int j = 0; j < 60; j++) recon += (double)latents.Row(t)[j] * _model.Decoder.Row(j)[i];
                sse += Math.Pow(recon - normalised.Row(t)[i], 2);
                sst += Math.Pow(normalised.Row(t)[i] - mean[i], 2);
            }
        for (int t = 0; t < 700; t++) counts[t] = latents.Row(t).ToArray().Count(v => v > 0);
        Assert.Equal(sse / sst, e.Fvu, 1e-6);
        Assert.Equal(counts.Average(), e.L0, 1e-9);
        int[] active = [.. counts.Where(c => c > 0).Order()];
        Assert.Equal(active.Average(), e.ConditionalL0, 1e-9);
        Assert.Equal(active.Max(), e.MaxConcepts);
        double gini = (2 * active.Select((c, i) => (i + 1.0) * c).Sum() - (active.Length + 1.0) * active.Sum()) / (active.Length * (double)active.Sum());
        Assert.Equal(gini, e.Gini, 1e-9);
        Assert.Equal(Math.Sqrt(active.Sum(c => Math.Pow(c - active.Average(), 2)) / (active.Length - 1)), e.ConceptDeviation, 1e-9);
        Assert.Equal(active.Count(c => c == 1) / (double)active.Length, e.SingleConceptShare, 1e-12);
        Assert.Equal(active.Length / 700.0, e.ActiveTokenRatio, 1e-12);
        // One chunk holds all tokens.
        Assert.Equal(e.Fvu, e.ChunkedFvu, 1e-9);
        long positive = 0;
        for (int t = 0; t < 700; t++)
            for (int j = 0; j < 60; j++)
                if (_model.Parameters.EncoderBias.Host[j] + Enumerable.Range(0, 20).Sum(i => (double)normalised.Row(t)[i] * _model.Parameters.Encoder.Row(i)[j]) > 0) positive++;
        Assert.True(positive > counts.Sum(), "no latent is closed by its gate alone: the two shares could not be told apart");
        Assert.Equal(positive / (700.0 * 60), e.MagnitudePositive, 2.0 / (700 * 60));
        double cosines = 0;
        int[] alive = [.. Enumerable.Range(0, 60).Where(j => _model.Usage.View.Host[j] >= 1e-5)];
        for (int a = 0; a < alive.Length; a++)
            for (int b = 0; b < a; b++) cosines += Math.Abs(Enumerable.Range(0, 20).Sum(i => (double)_model.Decoder.Row(alive[a])[i] * _model.Decoder.Row(alive[b])[i]));
        Assert.Equal(cosines / (alive.Length * (alive.Length - 1) / 2.0), e.MeanAbsoluteCosine, 1e-5);
        Assert.InRange(e.DecoderEffectiveRank, 10, 20.0001);
        double[] totals = [.. Enumerable.Range(0, 60).Select(j => Enumerable.Range(0, 700).Sum(t => (double)latents.Row(t)[j]))];
        Assert.Equal(totals.Count(v => v >= 5), e.Purity!.Latents);
        double[] shares = [.. Enumerable.Range(0, 60).Where(j => totals[j] >= 5).Select(j => Enumerable.Range(0, 700).Where(t => t % 3 == 0).Sum(t => (double)latents.Row(t)[j]) / totals[j])];
        Assert.Equal(shares.Average(p => Math.Max(p, 1 - p)), e.Purity.MeanPurity, 1e-6);
        // Bits: a latent that both classes share equally has an entropy of 1.
        double[] bits = [.. shares.Select(p => (p > 0 ? -p * Math.Log2(p) : 0) + (p < 1 ? -(1 - p) * Math.Log2(1 - p) : 0))];
        Assert.Equal(bits.Average(), e.Purity.MeanEntropy, 1e-6);
        Assert.Equal((shares.Count(p => Math.Max(p, 1 - p) > 0.9), bits.Count(b => b < 1), bits.Count(b => b < 0.5)), (e.Purity.PurityAbove09, e.Purity.EntropyBelow1, e.Purity.EntropyBelow05));
    }

    [Fact]
    public void The_jumprelu_export_gives_the_same_latents()
    {
        using ITokenSource source = new LentTokens(_tokens);
        using Matrix<float> latents = SaeEncoder.EncodeAll(_model, source);
        string path = Path.Combine(_folder, "export.safetensors");
        SaeExport.Write(_model, SaeFormat.JumpRelu, path);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        IsJumpReluOf(file, latents);
    }

    /// <summary>The names, shapes and fields that SAELens 6 reads (sae_lens/saes/sae.py and jumprelu_sae.py, loading/pretrained_sae_loaders.py).</summary>
    [Fact]
    public void The_saelens_export_is_a_jumprelu_folder_of_its_version_6()
    {
        using ITokenSource source = new LentTokens(_tokens);
        using Matrix<float> latents = SaeEncoder.EncodeAll(_model, source);
        string folder = Path.Combine(_folder, "lens");
        SaeExport.Write(_model, SaeFormat.SaeLens, folder);
        Assert.Equal(["cfg.json", "sae_weights.safetensors"], Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));

        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "cfg.json")))!.AsObject();
        // SAEConfig's fields and the architecture, which chooses the class; anything else would be dropped when it is loaded.
        Assert.Equal(["apply_b_dec_to_input", "architecture", "d_in", "d_sae", "device", "dtype", "metadata", "normalize_activations", "reshape_activations"], config.Select(p => p.Key).Order(StringComparer.Ordinal));
        Assert.Equal(("jumprelu", "float32", "cpu", "none", "none"), ((string?)config["architecture"], (string?)config["dtype"], (string?)config["device"], (string?)config["normalize_activations"], (string?)config["reshape_activations"]));
        Assert.Equal((20, 60, false), ((int)config["d_in"]!, (int)config["d_sae"]!, (bool)config["apply_b_dec_to_input"]!));
        // A configuration without a version from 6.0.0 on is converted as an old one, and its metadata are lost.
        Assert.True(Version.Parse((string)config["metadata"]!["sae_lens_version"]!) >= new Version(6, 0, 0));
        Assert.Equal(20, config["metadata"]!["normaliser"]!["mean"]!.AsArray().Count);

        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, "sae_weights.safetensors"));
        Dictionary<string, long[]> expected = new() { ["W_enc"] = [20, 60], ["b_enc"] = [60], ["threshold"] = [60], ["W_dec"] = [60, 20], ["b_dec"] = [20] };
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), file.Names.Order(StringComparer.Ordinal));
        Assert.All(expected, pair => Assert.Equal(pair.Value, file.Entry(pair.Key).Shape));
        Assert.All(file.Names, name => Assert.Equal("F32", file.Entry(name).TypeName));
        // JumpReLUSAE.encode is relu(p) (p > threshold); its thresholds are never negative.
        Assert.All(file.ReadVector("threshold", 60), t => Assert.True(t >= 0));
        Assert.Contains(file.ReadVector("threshold", 60), t => t > 0);
        IsJumpReluOf(file, latents);
        Assert.Equal(_model.Decoder.Row(7).ToArray(), file.ReadVector("W_dec", 60, 20)[(7 * 20)..(8 * 20)]);
    }

    [Fact]
    public void A_folder_without_a_model_and_tokens_of_another_width_are_named()
    {
        Assert.Contains("model.safetensors", Assert.Throws<DataException>(() => SaeModel.Load(_device, Path.GetTempPath())).Message, StringComparison.Ordinal);
        using Matrix<float> wide = _device.AllocateMatrix<float>(3, 21);
        using ITokenSource source = new LentTokens(wide);
        Assert.Contains("21", Assert.Throws<DataException>(() => SaeEncoder.EncodeAll(_model, source)).Message, StringComparison.Ordinal);
    }

    /// <summary>Latents are p · 1[p > threshold] with p = x W_enc + b_enc.</summary>
    private void IsJumpReluOf(SafetensorsFile file, Matrix<float> latents)
    {
        float[] weights = file.ReadVector("W_enc", 20, 60), bias = file.ReadVector("b_enc", 60), threshold = file.ReadVector("threshold", 60);
        using Matrix<float> x = _device.AllocateMatrix<float>(700, 20);
        x.Buffer.CopyFrom(_tokens.Buffer.View.Host);
        _model.Normaliser.Apply(x.View);
        for (int t = 0; t < 700; t += 13)
            for (int j = 0; j < 60; j++)
            {
                double p = bias[j];
                for (int i = 0; i < 20; i++) p += (double)x.Row(t)[i] * weights[i * 60 + j];
                if (Math.Abs(p - threshold[j]) > 1e-6) Assert.Equal(p > threshold[j] ? p : 0, latents.Row(t)[j], 2e-6);
            }
    }
}
