using System.Text.Json;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>
/// Twenty steps of every architecture against automatic differentiation and torch.optim.AdamW in double precision (tests/golden/sae_training_oracle.py): schedules, dead
/// latents that come and go, controller, annealing, projection, clipping and update as one.
/// </summary>
public sealed class SaeTrainingOracleTests
{
    private static readonly JsonElement s_oracle = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "sae_training_oracle.json"))).RootElement;

    public static TheoryData<int, string> Cases()
    {
        TheoryData<int, string> data = [];
        foreach ((int i, JsonElement test) in s_oracle.GetProperty("cases").EnumerateArray().Index()) data.Add(i, test.GetProperty("config").GetProperty("architecture").GetString()!);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_host_follows_double_precision(int index, string architecture)
    {
        using CpuDevice device = new(2);
        foreach (KernelVariant variant in KernelDispatch.All)
        {
            using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
            Follow(device, index, $"{architecture}, {variant}");
        }
    }

    internal static void Follow(ComputeDevice device, int index, string name)
    {
        JsonElement stored = s_oracle.GetProperty("cases")[index];
        int d = s_oracle.GetProperty("d_in").GetInt32(), batch = s_oracle.GetProperty("batch").GetInt32(), batches = s_oracle.GetProperty("batches").GetInt32();
        SaeConfig config = SaeConfigFile.Parse(stored.GetProperty("config").GetRawText(), "config");
        string weights = Path.Combine(Path.GetTempPath(), $"biosup-training-oracle-{Guid.NewGuid():N}.safetensors");
        try
        {
            WriteWeights(weights, config, d);
            using Matrix<float> tokens = device.Host.AllocateMatrix<float>(batches * batch, d);
            tokens.Buffer.CopyFrom(Recipe(batches * batch * d, 48, Math.Sqrt(12.0 / d), 0));
            using SaeTrainingResult result = SaeTrainer.Train(device, tokens,
                new SaeTrainingOptions { InitialWeights = weights, Order = TokenOrder.Fixed, Steps = s_oracle.GetProperty("steps").GetInt32(), Config = config });
            CompareRows(name, result.Curves, stored.GetProperty("rows"), [.. stored.GetProperty("float32").EnumerateArray().Select(v => v.GetDouble())]);
            Dictionary<string, float[]> tensors = result.Model.Arrays.Tensors().ToDictionary(t => t.Name, t => SaeCudaFixture.Host(t.Buffer));
            tensors["usage_ema"] = SaeCudaFixture.Host(result.Model.Usage);
            foreach (JsonProperty golden in stored.GetProperty("final").EnumerateObject())
                CompareTensor($"{name}: {golden.Name}", golden.Value, tensors[NameOf(golden.Name, config.Architecture)]);
        }
        finally
        {
            File.Delete(weights);
        }
    }

    /// <summary>Counts are equal; other figures stray at most twice as far as PyTorch's do in single precision, in units of the largest relative deviation over the steps.</summary>
    private static void CompareRows(string name, IReadOnlyList<SaeLogRow> curves, JsonElement rows, double[] single)
    {
        Assert.Equal(rows.GetArrayLength(), curves.Count);
        string[] columns = [.. s_oracle.GetProperty("columns").EnumerateArray().Select(v => v.GetString()!)];
        foreach ((int step, SaeLogRow row) in curves.Index())
        {
            double[] ours = [row.LearningRate, row.SparsityCoefficient, row.SparsityExponent, row.Loss, row.Reconstruction, row.Sparsity, row.Auxiliary, row.Fvu, row.GradientNorm, row.Active, row.DeadByTokens];
            for (int k = 0; k < ours.Length; k++)
            {
                // Stored with twelve digits.
                double expected = rows[step][k].GetDouble(), stray = Math.Abs(ours[k] - expected), allowed = columns[k] is "active" or "dead" ? 0 : (2 * single[k] + 1e-11) * Math.Abs(expected);
                Assert.True(stray <= allowed, $"{name}, step {step}: {columns[k]} is {ours[k]:R}, expected {expected:R}; {stray / Math.Abs(expected):E1} where PyTorch's float32 strays {single[k]:E1}");
            }
        }
    }

    private static void CompareTensor(string name, JsonElement golden, float[] values)
    {
        double largest = 2 * golden.GetProperty("float32_largest").GetDouble(), together = 2 * golden.GetProperty("float32_norm").GetDouble();
        double[] recipe = [.. values.Select((_, i) => OracleRecipe.Uniform(i, 31))], sample = [.. golden.GetProperty("value").EnumerateArray().Select(v => v.GetDouble())];
        foreach ((int at, int i) in golden.GetProperty("index").EnumerateArray().Select(v => v.GetInt32()).Index())
            Assert.True(Math.Abs(values[i] - sample[at]) <= largest, $"{name}[{i}] is {values[i]:R}, expected {sample[at]:R} within {largest:E1}");
        // Vectors no further apart than `together` have norms and projections no further apart than this.
        Assert.Equal(golden.GetProperty("norm").GetDouble(), Math.Sqrt(values.Sum(v => (double)v * v)), together);
        Assert.Equal(golden.GetProperty("projection").GetDouble(), values.Zip(recipe, (v, u) => v * u).Sum(), together * Math.Sqrt(recipe.Sum(u => u * u)));
    }

    private static string NameOf(string golden, SaeArchitecture architecture) => (golden, architecture) switch
    {
        ("W_enc", SaeArchitecture.Gated) => "W_mag",
        ("b_enc", SaeArchitecture.Gated or SaeArchitecture.GatedOriginal) => "b_mag",
        _ => golden,
    };

    /// <summary>`start` of the script.</summary>
    private static void WriteWeights(string path, SaeConfig config, int d)
    {
        int latents = config.Latents;
        SaeArchitecture architecture = config.Architecture;
        bool gates = architecture is SaeArchitecture.Gated or SaeArchitecture.GatedOriginal;
        float[] encoder = Recipe(d * latents, 41, 0.9, 0), decoder = new float[d * latents];
        for (int j = 0; j < latents; j++)
        {
            double squares = 0;
            for (int i = 0; i < d; i++) squares += (double)encoder[i * latents + j] * encoder[i * latents + j];
            for (int i = 0; i < d; i++) decoder[j * d + i] = (float)(encoder[i * latents + j] / Math.Sqrt(squares));
        }
        SafetensorsFile.Write(path, writer =>
        {
            writer.Add(NameOf("W_enc", architecture), encoder, d, latents);
            writer.Add("W_dec", decoder, latents, d);
            writer.Add("b_dec", Recipe(d, 42, 0.1, 0), d);
            if (gates) writer.Add("b_gate", Recipe(latents, 43, 0.8, -0.7), latents);
            writer.Add(NameOf("b_enc", architecture), gates ? Recipe(latents, 44, 0.1, -0.02) : Recipe(latents, 44, 0.8, architecture == SaeArchitecture.Relu ? -0.5 : -0.2), latents);
            if (!config.Tied) writer.Add("W_gate", Recipe(d * latents, 45, 0.9, 0), d, latents);
            if (architecture == SaeArchitecture.GatedOriginal) writer.Add("r_mag", Recipe(latents, 46, 1, 0), latents);
            if (architecture == SaeArchitecture.JumpRelu) writer.Add("threshold", Recipe(latents, 47, 0.6, 0.4), latents);
            if (architecture is SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka) writer.Add("threshold", new float[latents], latents);
        });
    }

    private static float[] Recipe(int count, ulong salt, double scale, double shift) => [.. Enumerable.Range(0, count).Select(i => (float)(scale * OracleRecipe.Uniform(i, salt) + shift))];
}
