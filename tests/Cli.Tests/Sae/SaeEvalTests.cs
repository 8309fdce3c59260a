using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

/// <summary>`biosup sae eval` on tokens of three classes whose directions are known: files, probes on whole groups, and what is refused.</summary>
public sealed class SaeEvalTests : IDisposable
{
    private const int Images = 72, TokensPerImage = 5, Dimensions = 10;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-eval-").FullName;

    public SaeEvalTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(21);
        List<string> lines = ["class,plate,well"];
        using (TokenShardWriter writer = new(At("tokens"), Dimensions))
        {
            for (int i = 0; i < Images; i++)
            {
                using Matrix<float> image = device.AllocateMatrix<float>(TokensPerImage, Dimensions);
                for (int t = 0; t < TokensPerImage; t++)
                    for (int k = 0; k < Dimensions; k++) image.Row(t)[k] = (float)((k == i % 3 ? 1 : 0) + 0.3 * random.NextNormal());
                writer.AppendImage($"image {i}", image.View);
                lines.Add($"{"ABC"[i % 3]},{i % 4},{i / 12 % 3}");
            }
            writer.Complete();
        }
        File.WriteAllText(At("labels.csv"), string.Join('\n', lines) + "\n");
        File.WriteAllText(At("sae.json"), """{ "d_sae": 16, "batch": 60, "lr": 3e-3, "log_every": 50, "sparsity_coeff": 0.02 }""");
        Invoke(0, "train", "--tokens", At("tokens"), "--config", At("sae.json"), "--steps", "300", "--out", At("model"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_study_leaves_numbers_tables_and_figures()
    {
        JsonNode json = JsonNode.Parse(Invoke(0, "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--groups", At("labels.csv:plate"), At("labels.csv:well"), "--out", At("eval"), "--json"))!;
        json.AsObject().Remove("command");
        Assert.Equal(json.ToJsonString(), JsonNode.Parse(File.ReadAllText(At("eval/evaluation.json")))!.ToJsonString());
        Assert.Equal((72, 12, 4), ((int)json["probes"]!["rows"]!, (int)json["probes"]!["groups"]!, (int)json["probes"]!["folds"]!));
        Assert.InRange((double)json["probes"]!["raw"]!["accuracy"]!, 0.9, 1);
        double raw = (double)json["probes"]!["raw"]!["accuracy"]!, latentsAccuracy = (double)json["probes"]!["latents"]!["accuracy"]!, majority = (double)json["probes"]!["majority_accuracy"]!;
        Assert.InRange(latentsAccuracy, 2 * majority, 1);
        Assert.Equal((latentsAccuracy - majority) / (raw - majority), (double)json["probes"]!["recovered_by_latents"]!, 1e-12);
        Assert.InRange((double)json["representation"]!["cka_raw_reconstruction"]!, 0.8, 1);
        Assert.Equal(["A", "B", "C"], json["class_specific"]!.AsArray().Select(c => (string)c!["class"]!));
        Table latents = CsvFile.Read(At("eval/per_latent.csv"));
        Assert.Equal(16, latents.Rows);
        Assert.Equal((double)json["l0"]!, latents["firing_rate"].Numbers.Sum(), 1e-9);
        Assert.Contains("gini_impurity", latents.Columns.Select(c => c.Name));
        Assert.True(CsvFile.Read(At("eval/differential_latents.csv")).Rows > 0);
        foreach (string name in new[] { "feature_density", "decoder_coherence", "gini_impurity", "volcano_A" })
            Assert.True(File.Exists(At($"eval/figures/{name}.png")) && File.Exists(At($"eval/figures/{name}.svg")), name);
        Assert.True(File.Exists(At("eval/manifest.json")));
    }

    [Fact]
    public void Without_a_folder_the_figures_are_printed_and_probes_wait_to_be_asked_for()
    {
        JsonNode json = JsonNode.Parse(Invoke(0, "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--json"))!;
        Assert.Null(json["probes"]);
        Assert.NotNull(json["purity"]);
        Assert.Equal(360, (int)json["tokens"]!);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Invoke(2, "eval", "--model", At("model"), "--tokens", At("tokens"), "--groups", At("labels.csv:well"));
        Invoke(3, "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--probe", "--control", "D");
        File.WriteAllText(At("short.csv"), "class\nA\nB\n");
        Invoke(3, "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("short.csv:class"));
        Invoke(3, "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--groups", At("short.csv:class"));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static string Invoke(int expected, params string[] arguments)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(["sae", .. arguments, "--threads", "2", "--quiet"]);
        Assert.True(code == expected, string.Create(CultureInfo.InvariantCulture, $"exit code {code}: {output}{error}"));
        return output;
    }
}
