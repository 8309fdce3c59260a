using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Tests.Sae;

/// <summary>`biosup sae encode` and `eval` from images: the latents of the tokens that `biosup tokens` writes, the centre of the training, and pages with pictures.</summary>
public sealed partial class SaeImageInputTests(SaeImageInputTests.Trained trained) : IClassFixture<SaeImageInputTests.Trained>
{
    private readonly string[] _encoder = ["--encoder", trained.At("tokens/dictionary.safetensors"), "--patch", "48"];

    [Fact]
    public void Images_give_the_latents_of_their_tokens_with_and_without_a_cache()
    {
        Invoke(0, "sae", "encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("tokens.npz"));
        Invoke(0, ["sae", "encode", "--model", At("model"), "--tokens", At("images"), "--out", At("images.npz"), .. _encoder]);
        Invoke(0, ["sae", "encode", "--model", At("model"), "--tokens", At("images"), "--out", At("cached.npz"), "--cache", At("cache"), .. _encoder]);
        Invoke(0, ["sae", "encode", "--model", At("model"), "--tokens", At("images"), "--out", At("cached.npz"), "--cache", At("cache"), .. _encoder]);
        float[] expected = NpzFile.Read(At("tokens.npz"), "X").As<float>();
        Assert.Contains(expected, v => v > 0);
        Assert.Equal(expected, NpzFile.Read(At("images.npz"), "X").As<float>());
        Assert.Equal(expected, NpzFile.Read(At("cached.npz"), "X").As<float>());
        Assert.Equal(NpzFile.Read(At("tokens.npz"), "ids").As<string>(), NpzFile.Read(At("images.npz"), "ids").As<string>());
    }

    [Fact]
    public void Other_images_are_centred_as_those_of_the_training()
    {
        string[] encode = ["sae", "encode", "--model", At("model"), "--tokens", At("others"), .. _encoder];
        string error = Invoke(0, [.. encode, "--out", At("own.npz")]);
        Assert.DoesNotContain("warning", error, StringComparison.Ordinal);
        Invoke(0, [.. encode, "--centre", At("tokens/centre.npy"), "--out", At("given.npz")]);
        Assert.Equal(NpzFile.Read(At("given.npz"), "X").As<float>(), NpzFile.Read(At("own.npz"), "X").As<float>());
        Directory.CreateDirectory(At("bare"));
        foreach (string file in new[] { "model.safetensors", "config.json" }) File.Copy(At($"model/{file}"), At($"bare/{file}"));
        Assert.Contains("--centre", Invoke(0, ["sae", "encode", "--model", At("bare"), "--tokens", At("others"), .. _encoder, "--out", At("estimated.npz")]), StringComparison.Ordinal);
        Assert.NotEqual(NpzFile.Read(At("own.npz"), "X").As<float>(), NpzFile.Read(At("estimated.npz"), "X").As<float>());
    }

    [Fact]
    public void The_report_has_a_page_for_each_latent_with_pictures_and_links_that_lead_somewhere()
    {
        Invoke(0, ["sae", "eval", "--model", At("model"), "--tokens", At("images"), "--labels", At("labels.csv:class"), "--latents", "3,0", "--out", At("eval"), .. _encoder]);
        Invoke(0, "sae", "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--latents", "3,0", "--out", At("again"));
        string page = File.ReadAllText(At("eval/report.html"));
        string[] ids = [.. Id().Matches(page).Select(m => m.Groups[1].Value)];
        Assert.Equal(["latent-3", "latent-0"], ids.Where(id => id.StartsWith("latent-", StringComparison.Ordinal)).Take(2));
        Assert.All(Link().Matches(page), m => Assert.Contains(m.Groups[1].Value, ids));
        Table pages = CsvFile.Read(At("eval/latent_pages.csv"));
        Assert.Equal(File.ReadAllText(At("eval/latent_pages.csv")), File.ReadAllText(At("again/latent_pages.csv")));
        int active = Enumerable.Range(0, pages.Rows).First(i => pages["firing_rate"].Numbers[i] > 0);
        Assert.InRange(pages["background_if_even"].Numbers[active], 0.3, 1);
        Assert.True(File.Exists(At($"eval/figures/latent_{pages["latent"].Text[active]}_patches.png")));
        JsonNode json = JsonNode.Parse(File.ReadAllText(At("eval/evaluation.json")))!["representation"]!;
        Assert.InRange((double)json["effective_rank_raw_pca"]!, 1, (double)json["effective_rank_raw"]! + 1e-9);
    }

    /// <summary>Masks that call everything background, nothing, and the very squares that are drawn.</summary>
    [Fact]
    public void Masks_say_what_is_background_and_one_is_needed_for_every_image()
    {
        foreach ((string name, Func<int, int, bool> inside) in new (string, Func<int, int, bool>)[] { ("nothing", (_, _) => false), ("all", (_, _) => true) })
            for (int image = 0; image < 24; image++)
                TiffWriter.Write(At($"masks-{name}/{image:00}_mask.tif"), new ImageStack("m", 1, 48, 48, [.. Enumerable.Range(0, 48 * 48).Select(i => inside(i / 48, i % 48) ? 255f : 0)], 65535));
        string[] eval = ["sae", "eval", "--model", At("model"), "--tokens", At("tokens"), "--labels", At("labels.csv:class"), "--out", At("masked")];
        foreach ((string name, double expected) in new[] { ("nothing", 1.0), ("all", 0.0) })
        {
            Invoke(0, [.. eval, "--masks", At("masks-" + name)]);
            Table pages = CsvFile.Read(At("masked/latent_pages.csv"));
            Assert.All(pages["background_share"].Numbers.Where(double.IsFinite), v => Assert.Equal(expected, v, 1e-9));
            Assert.Contains(pages["background_share"].Numbers, double.IsFinite);
        }
        Assert.Contains("2 masks have the parts", Invoke(3, [.. eval, "--masks", At("masks-all"), At("masks-nothing")]), StringComparison.Ordinal);
        File.Delete(At("masks-all/07_mask.tif"));
        Assert.Contains("no mask has the parts", Invoke(3, [.. eval, "--masks", At("masks-all")]), StringComparison.Ordinal);
    }

    [Fact]
    public void Tokens_alone_have_pages_that_say_why_there_are_no_pictures()
    {
        using (CpuDevice device = new(1))
        using (Matrix<float> tokens = MatrixReader.ReadSingle(device, At("tokens")))
            MatrixWriter.Write(At("plain.npy"), tokens.View);
        Invoke(0, "sae", "eval", "--model", At("model"), "--tokens", At("plain.npy"), "--out", At("plain"));
        string page = File.ReadAllText(At("plain/report.html"));
        Assert.Contains("There are no pictures of patches: the tokens were given as numbers alone.", page, StringComparison.Ordinal);
        Assert.Contains("id=\"latent-", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "--out asks for", "--latents", "3")]
    [InlineData(2, "numbered from 0", "--latents", "24", "--out", "o")]
    [InlineData(2, "is no number of a latent", "--latents", "3;4", "--out", "o")]
    [InlineData(2, "goes with --encoder", "--patch", "48")]
    [InlineData(2, "at least 1", "--pca", "0", "--probe")]
    [InlineData(2, "--masks are for the report", "--masks", "m")]
    public void Bad_requests_are_one_sentence(int exitCode, string message, params string[] options)
    {
        string error = Invoke(exitCode, ["sae", "eval", "--model", At("model"), "--tokens", At("tokens"), .. options.Select(o => o == "o" ? At("o") : o)]);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("o")));
    }

    private string At(string name) => trained.At(name);

    private static string Invoke(int expected, params string[] arguments)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke([.. arguments, "--threads", "2", "--quiet"]);
        Assert.True(code == expected, $"exit code {code}: {output}{error}");
        return error;
    }

    [GeneratedRegex(" id=\"([^\"]+)\"")]
    private static partial Regex Id();

    [GeneratedRegex("<a [^>]*href=\"#([^\"]+)\"")]
    private static partial Regex Link();

    /// <summary>Images of two classes, tokens of them, and a model trained on the images as they are encoded.</summary>
    public sealed class Trained : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("biosup-images-").FullName;

        public Trained()
        {
            CounterRandom random = new(3);
            List<string> lines = ["class"];
            for (int image = 0; image < 24; image++)
            {
                // A bright square, large in one class and small in the other, on dark ground.
                int half = image % 2 == 0 ? 12 : 5;
                float[] pixels = new float[48 * 48];
                for (int i = 0; i < pixels.Length; i++) pixels[i] = 300 + random.NextInt32(200) + (Math.Abs(i / 48 - 24) <= half && Math.Abs(i % 48 - 24) <= half ? 20_000 + random.NextInt32(9000) : 0);
                TiffWriter.Write(At($"images/{image:00}.tif"), new ImageStack($"{image}", 1, 48, 48, pixels, 65535));
                if (image < 8) TiffWriter.Write(At($"others/{image:00}.tif"), new ImageStack($"{image}", 1, 48, 48, [.. pixels.Select((v, i) => i % 48 < 20 ? v / 3 : v)], 65535));
                lines.Add(image % 2 == 0 ? "large" : "small");
            }
            File.WriteAllLines(At("labels.csv"), lines);
            File.WriteAllText(At("sae.json"), """{ "d_sae": 24, "batch": 64, "log_every": 20, "sparsity_coeff": 0.02, "lr": 2e-3 }""");
            Invoke(0, "tokens", "--images", At("images"), "--encoder", "dictionary", "--atoms", "8", "--window", "6", "--cell", "8", "--patch", "48", "--out", At("tokens"));
            Invoke(0, "sae", "train", "--tokens", At("images"), "--config", At("sae.json"), "--steps", "200", "--out", At("model"), "--encoder", At("tokens/dictionary.safetensors"), "--patch", "48");
        }

        public string At(string name) => Path.Combine(_folder, name);

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}
