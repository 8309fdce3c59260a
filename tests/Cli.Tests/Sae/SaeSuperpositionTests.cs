using System.Text.Json.Nodes;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;

namespace BioSup.Cli.Tests.Sae;

public sealed class SaeSuperpositionTests
{
    [Fact]
    public void Numbers_table_and_figures_are_written_and_a_seed_gives_the_same_ones()
    {
        string folder = Directory.CreateTempSubdirectory("biosup-superposition-").FullName;
        try
        {
            string[] arguments = ["sae", "superposition", "--features", "20", "40", "--dimensions", "16", "--active", "2", "--tokens", "2000", "--steps", "60", "--threads", "2", "--quiet", "--json"];
            (int code, string output, string error) = CommandFrameTests.Invoke([.. arguments, "--out", Path.Combine(folder, "a")]);
            Assert.True(code == 0, error);
            Assert.Equal(0, CommandFrameTests.Invoke([.. arguments, "--out", Path.Combine(folder, "b")]).Code);
            JsonArray results = JsonNode.Parse(output)!["results"]!.AsArray();
            Assert.Equal([20.0, 40.0], results.Select(r => (double)r!["features"]!));
            Assert.All(results, r => Assert.True((double)r!["coherence"]! >= (double)r["rms_cosine"]! && (double)r["rms_cosine"]! >= (double)r["welch_bound"]!));
            Assert.Equal(2, CsvFile.Read(Path.Combine(folder, "a", "superposition.csv")).Rows);
            foreach (string name in new[] { "distance_distortion", "distance_ranks", "recovery", "coherence", "distances" })
                Assert.True(File.Exists(Path.Combine(folder, "a", "figures", name + ".png")) && File.Exists(Path.Combine(folder, "a", "figures", name + ".svg")), name);
            Assert.Equal(File.ReadAllText(Path.Combine(folder, "a", "superposition.csv")), File.ReadAllText(Path.Combine(folder, "b", "superposition.csv")));
            Assert.Equal(2, CommandFrameTests.Invoke(["sae", "superposition", "--features", "10", "--active", "9", "--out", Path.Combine(folder, "c"), "--quiet"]).Code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
