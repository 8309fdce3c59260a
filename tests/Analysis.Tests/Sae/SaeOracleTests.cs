using System.Text.Json;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Training against automatic differentiation in double precision (tests/golden/sae_oracle.py).</summary>
public sealed class SaeOracleTests
{
    public static TheoryData<string, int> Cases()
    {
        TheoryData<string, int> data = [];
        foreach (string file in new[] { "sae_oracle_64x256.json", "sae_oracle_512x1024.json" })
            for (int i = 0; i < 12; i++) data.Add(file, i);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Training_matches_automatic_differentiation(string file, int index)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", file)));
        JsonElement root = golden.RootElement, test = root.GetProperty("cases")[index];
        int d = root.GetProperty("d_in").GetInt32(), latents = root.GetProperty("d_sae").GetInt32(), batch = root.GetProperty("batch").GetInt32();
        bool tied = test.GetProperty("tied").GetBoolean();
        string weights = Path.Combine(Path.GetTempPath(), $"biosup-oracle-{Environment.ProcessId}-{latents}-{index}.safetensors");
        try
        {
            OracleRecipe.WriteWeights(weights, d, latents, tied, test.GetProperty("b_gate").GetSingle(), test.GetProperty("b_mag").GetSingle());
            using CpuDevice device = new(2);
            using Matrix<float> tokens = OracleRecipe.Tokens(device, 4 * batch, d);
            using SaeTrainingResult result = SaeTrainer.Train(device, tokens, new SaeTrainingOptions
            {
                InitialWeights = weights,
                Order = TokenOrder.Fixed,
                Steps = test.GetProperty("steps").GetInt32(),
                Config = SaeConfig.Paper with
                {
                    Latents = latents,
                    Tied = tied,
                    Batch = batch,
                    SparsityCoefficient = test.GetProperty("lambda").GetDouble(),
                    SparsityScale = test.GetProperty("per_token").GetBoolean() ? SparsityScale.PerToken : SparsityScale.Mean,
                    AuxDoubleBias = test.GetProperty("double_bias").GetBoolean(),
                    SparsityWarmupSteps = test.GetProperty("sparsity_warmup").GetInt32(),
                    LogEvery = 1,
                },
            });
            CompareCurves(result.Curves, test.GetProperty("rows"));
            CompareWeights(result.Model, test.GetProperty("final"), batch);
        }
        finally
        {
            File.Delete(weights);
        }
    }

    private static void CompareCurves(IReadOnlyList<SaeLogRow> curves, JsonElement rows)
    {
        Assert.Equal(rows.GetArrayLength(), curves.Count);
        string[] names = ["lr", "sparsity_coeff", "loss", "recon", "sparsity", "aux", "fvu"];
        for (int step = 0; step < curves.Count; step++)
        {
            SaeLogRow row = curves[step];
            double[] ours = [row.LearningRate, row.SparsityCoefficient, row.Loss, row.Reconstruction, row.Sparsity, row.Auxiliary, row.Fvu];
            for (int k = 0; k < ours.Length; k++)
            {
                double expected = rows[step][k].GetDouble();
                Assert.True(Math.Abs(ours[k] - expected) <= 1e-5 * Math.Abs(expected), $"step {step}: {names[k]} is {ours[k]}, expected {expected}");
            }
        }
    }

    private static void CompareWeights(SaeModel model, JsonElement final, int batch)
    {
        Dictionary<string, float[]> tensors = model.Arrays.Tensors().ToDictionary(t => t.Name, t => t.Buffer.View.Host.ToArray());
        tensors["usage_ema"] = model.Usage.View.Host.ToArray();
        foreach (JsonProperty property in final.EnumerateObject())
        {
            float[] values = tensors[property.Name];
            double norm = Math.Sqrt(values.Sum(v => (double)v * v)), projection = values.Select((v, i) => v * OracleRecipe.Uniform(i, 31)).Sum();
            double expectedNorm = property.Value.GetProperty("norm").GetDouble();
            Assert.Equal(expectedNorm, norm, 1e-4 * expectedNorm);
            Assert.Equal(property.Value.GetProperty("projection").GetDouble(), projection, 1e-4 * expectedNorm);
            int[] index = [.. property.Value.GetProperty("index").EnumerateArray().Select(v => v.GetInt32())];
            double[] sample = [.. property.Value.GetProperty("value").EnumerateArray().Select(v => v.GetDouble())];
            // The usage average counts decisions: one pair whose pre-activation rounds across zero moves it by 0.01 / batch.
            double tolerance = property.Name == "usage_ema" ? 2.5 * 0.01 / batch : 1e-4;
            for (int i = 0; i < index.Length; i++)
                Assert.True(Math.Abs(values[index[i]] - sample[i]) <= tolerance, $"{property.Name}[{index[i]}] is {values[index[i]]}, expected {sample[i]}");
        }
    }
}
