using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Every architecture through every format that can hold it: other programs see our latents, and what comes back encodes the same.</summary>
public sealed class SaeExchangeTests : IDisposable
{
    private const int Width = 24, Latents = 96, Tokens = 300, Active = 7;
    private static readonly SaeFormat[] s_folders = [SaeFormat.SaeLens, SaeFormat.DictionaryLearning, SaeFormat.Sparsify];
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-exchange-").FullName;
    private readonly CpuDevice _device = new(2);

    public SaeExchangeTests()
    {
        using Matrix<float> tokens = _device.AllocateMatrix<float>(Tokens, Width);
        CounterRandom random = new(5);
        foreach (ref float v in tokens.Buffer.View.Host) v = (float)(0.3 + 0.5 * random.NextNormal());
        MatrixWriter.Write(At("x.npy"), tokens.View);
    }

    public void Dispose()
    {
        _device.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Which formats hold which architecture.</summary>
    private static SaeFormat[] FormatsOf(SaeArchitecture architecture) => architecture switch
    {
        SaeArchitecture.Gated => [SaeFormat.JumpRelu, SaeFormat.SaeLens, SaeFormat.DictionaryLearning, SaeFormat.Reference],
        SaeArchitecture.TopK => [SaeFormat.SaeLens, SaeFormat.DictionaryLearning, SaeFormat.Sparsify],
        _ => [SaeFormat.JumpRelu, SaeFormat.SaeLens, SaeFormat.DictionaryLearning],
    };

    public static TheoryData<SaeArchitecture, bool> Models
    {
        get
        {
            TheoryData<SaeArchitecture, bool> data = [];
            foreach (SaeArchitecture architecture in Enum.GetValues<SaeArchitecture>())
                foreach (bool subtracted in new[] { false, true }) data.Add(architecture, subtracted);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void What_comes_back_from_a_format_encodes_the_same(SaeArchitecture architecture, bool subtracted)
    {
        using SaeModel model = Model(architecture, subtracted, fixedMean: subtracted);
        float[] expected = Encode(model);
        Assert.InRange(expected.Count(v => v > 0), Tokens, Tokens * Latents * 3 / 4);
        foreach (SaeFormat format in FormatsOf(architecture))
        {
            string path = Export(model, format, $"{architecture}");
            using SaeModel back = SaeImport.Read(_device, format, path);
            Assert.Equal((Width, Latents), (back.InputWidth, back.Latents));
            // The published code keeps no normaliser: its scripts normalise tokens before.
            if (format == SaeFormat.Reference) back.Normaliser = model.Normaliser;
            Agree(expected, Encode(back), $"{architecture} by {format}");
            // A second journey changes nothing more than rounding.
            SaeExport.Write(back, format, path + "-again" + Path.GetExtension(path));
        }
    }

    /// <summary>AutoEncoder is loaded with unit rows in its decoder; the other classes report their latents whatever the lengths.</summary>
    [Theory]
    [InlineData(SaeArchitecture.Relu, "AutoEncoder", true)]
    [InlineData(SaeArchitecture.GatedOriginal, "GatedAutoEncoder", false)]
    [InlineData(SaeArchitecture.JumpRelu, "JumpReluAutoEncoder", false)]
    public void Decoder_lengths_that_a_loader_puts_into_latents_are_folded(SaeArchitecture architecture, string name, bool folded)
    {
        using SaeModel model = Model(architecture, architecture == SaeArchitecture.Relu, fixedMean: false);
        float[] lengths = [.. Enumerable.Range(0, Latents).Select(j => 0.5f + j % 5)];
        for (int j = 0; j < Latents; j++)
            foreach (ref float v in model.Decoder.Row(j)) v *= lengths[j];
        string path = Export(model, SaeFormat.DictionaryLearning, "long");
        Assert.Equal(name, (string)JsonNode.Parse(File.ReadAllText(Path.Combine(path, "config.json")))!["trainer"]!["dict_class"]!);
        using SaeModel back = SaeImport.Read(_device, SaeFormat.DictionaryLearning, path);
        Agree([.. Encode(model).Select((v, at) => folded ? v * lengths[at % Latents] : v)], Encode(back), name);
        for (int j = 0; j < Latents; j++) Assert.Equal(folded ? 1 : lengths[j], Math.Sqrt(back.Decoder.Row(j).ToArray().Sum(v => (double)v * v)), 1e-5);
    }

    [Fact]
    public void Saelens_topk_that_rescales_by_decoder_lengths_is_folded()
    {
        using SaeModel model = Model(SaeArchitecture.TopK, false, fixedMean: false);
        string path = Export(model, SaeFormat.SaeLens, "lens"), config = Path.Combine(path, "cfg.json");
        // Halving rows while doubling what precedes the choice is the same autoencoder under that option.
        SaeWeights w = SaeWeights.From(model);
        for (int i = 0; i < w.Decoder.Length; i++) w.Decoder[i] *= 2;
        for (int i = 0; i < w.Encoder.Length; i++) w.Encoder[i] *= 0.5f;
        for (int i = 0; i < Latents; i++) w.EncoderBias[i] *= 0.5f;
        using (SaeModel halved = w.ToModel(_device)) SaeExport.Write(halved, SaeFormat.SaeLens, path);
        JsonNode json = JsonNode.Parse(File.ReadAllText(config))!;
        json["rescale_acts_by_decoder_norm"] = true;
        File.WriteAllText(config, json.ToJsonString());
        using SaeModel back = SaeImport.Read(_device, SaeFormat.SaeLens, path);
        Agree(Encode(model), Encode(back), "rescaled");
    }

    [Fact]
    public void Nested_dictionaries_are_written_as_groups()
    {
        using SaeModel model = Model(SaeArchitecture.Matryoshka, true, fixedMean: false);
        SaeExport.Write(model, SaeFormat.DictionaryLearning, At("nested"), new SaeOrigin(SaeArchitecture.Matryoshka, Active, [12, 48, Latents]));
        using TorchFile file = TorchFile.Open(Path.Combine(At("nested"), "ae.pt"));
        Assert.Equal([12, 36, 48], file.ReadVector((TorchTensor)((Dictionary<string, object?>)file.Root!)["group_sizes"]!, "group_sizes", 3));
        File.Delete(Path.Combine(At("nested"), "config.json"));
        using SaeModel back = SaeImport.Read(_device, SaeFormat.DictionaryLearning, Path.Combine(At("nested"), "ae.pt"), out SaeOrigin? origin);
        Assert.Equal([12, 48, Latents], origin!.Prefixes!);
    }

    [Fact]
    public void What_a_format_rewrites_as_jumprelu_remembers_what_it_was()
    {
        foreach (SaeArchitecture architecture in Enum.GetValues<SaeArchitecture>().Where(a => a != SaeArchitecture.TopK))
            foreach (SaeFormat format in new[] { SaeFormat.JumpRelu, SaeFormat.SaeLens, SaeFormat.DictionaryLearning })
            {
                using SaeModel model = Model(architecture, false, fixedMean: false);
                SaeOrigin told = new(architecture, model.Shape.HasActiveLatents ? Active : null, architecture == SaeArchitecture.Matryoshka ? [12, 48, Latents] : null);
                string path = At($"{architecture}-{format}-origin") + (format == SaeFormat.JumpRelu ? ".safetensors" : "");
                SaeExport.Write(model, format, path, told);
                using SaeModel back = SaeImport.Read(_device, format, path, out SaeOrigin? origin);
                Assert.Equal(told.ToString(), origin!.ToString());
                // The two biases of a gate cannot be told apart again; all others become what they were.
                bool gate = architecture == SaeArchitecture.Gated || architecture == SaeArchitecture.GatedOriginal && format == SaeFormat.JumpRelu;
                Assert.Equal((gate ? SaeArchitecture.JumpRelu : architecture, told.ActiveLatents ?? 0), (back.Shape.Architecture, back.Shape.ActiveLatents));
            }
    }

    [Theory]
    [InlineData("""{ "trained_as": "batchtopk", "k": 97 }""", "1 to 96")]
    [InlineData("""{ "trained_as": "batchtopk", "k": "many" }""", "1 to 96")]
    [InlineData("""{ "trained_as": "matryoshka", "k": 3, "prefixes": [48, 12, 96] }""", "ascending")]
    [InlineData("""{ "trained_as": "tomorrow", "k": 3 }""", null)]
    [InlineData("[]", null)]
    public void Metadata_that_cannot_be_true_are_refused_and_unknown_ones_passed_over(string text, string? problem)
    {
        using SaeModel model = Model(SaeArchitecture.JumpRelu, false, fixedMean: false);
        SaeWeights w = SaeWeights.From(model);
        SafetensorsFile.Write(At("told.safetensors"), writer =>
        {
            writer.Add("W_enc", w.Encoder, Width, Latents);
            writer.Add("b_enc", w.EncoderBias);
            writer.Add("threshold", w.Threshold!);
            writer.Add("W_dec", w.Decoder, Latents, Width);
            writer.Add("b_dec", w.DecoderBias);
            writer.AddMetadata("origin", text);
        });
        if (problem is not null)
        {
            Assert.Contains(problem, Assert.Throws<DataException>(() => SaeImport.Read(_device, SaeFormat.JumpRelu, At("told.safetensors"))).Message, StringComparison.Ordinal);
            return;
        }
        using SaeModel back = SaeImport.Read(_device, SaeFormat.JumpRelu, At("told.safetensors"), out SaeOrigin? origin);
        Assert.Equal((SaeArchitecture.JumpRelu, null), (back.Shape.Architecture, origin));
    }

    [Fact]
    public void What_a_format_cannot_hold_is_refused_with_the_one_that_can()
    {
        using SaeModel topK = Model(SaeArchitecture.TopK, false, false), relu = Model(SaeArchitecture.Relu, false, false);
        using SaeModel untied = SaeModel.Create(_device, 8, 16, false, 0.02, 1);
        Assert.Contains("sae-lens", Refusal(topK, SaeFormat.JumpRelu), StringComparison.Ordinal);
        Assert.Contains("sparsify has TopK", Refusal(relu, SaeFormat.Sparsify), StringComparison.Ordinal);
        Assert.Contains("gated", Refusal(relu, SaeFormat.Reference), StringComparison.Ordinal);
        foreach (SaeFormat format in new[] { SaeFormat.JumpRelu, SaeFormat.SaeLens, SaeFormat.DictionaryLearning }) Assert.Contains("--format reference", Refusal(untied, format), StringComparison.Ordinal);
        using SaeModel batch = Model(SaeArchitecture.BatchTopK, false, false);
        batch.Parameters.Threshold.Host[3] += 1;
        Assert.Contains("one", Refusal(batch, SaeFormat.DictionaryLearning), StringComparison.Ordinal);

        string Refusal(SaeModel model, SaeFormat format) => Assert.Throws<UsageException>(() => SaeExport.Write(model, format, At("refused"))).Message;
    }

    [Fact]
    public void Rubbish_is_one_sentence_that_names_file_and_place()
    {
        using SaeModel model = Model(SaeArchitecture.JumpRelu, false, false), topK = Model(SaeArchitecture.TopK, false, false), gated = Model(SaeArchitecture.Gated, false, false);
        foreach (SaeFormat format in s_folders) Assert.Contains("no such folder", Error(format, At("nowhere")), StringComparison.Ordinal);
        Assert.Contains("does not exist", Error(SaeFormat.Reference, At("nowhere.pt")), StringComparison.Ordinal);
        string lens = Export(model, SaeFormat.SaeLens, "lens"), config = Path.Combine(lens, "cfg.json"), whole = File.ReadAllText(config);
        Assert.Contains("config.json", Error(SaeFormat.DictionaryLearning, lens), StringComparison.Ordinal);
        foreach ((string key, JsonNode value, string expected) in new (string, JsonNode, string)[]
        {
            ("d_in", 25, "is 25, but the weights have 24"), ("architecture", "temporal", "temporal"), ("architecture", "batchtopk", "checkpoint of training"), ("normalize_activations", "layer_norm", "layer_norm"),
            ("apply_b_dec_to_input", "yes", "true or false"), ("architecture", "topk", "the number of active latents"), ("activation_fn", "tanh-relu", "tanh-relu"),
        })
        {
            JsonNode json = JsonNode.Parse(whole)!;
            json[key] = value;
            File.WriteAllText(config, json.ToJsonString());
            Assert.Contains(expected, Error(SaeFormat.SaeLens, lens).Replace("'", "", StringComparison.Ordinal), StringComparison.Ordinal);
        }
        File.WriteAllText(config, "{ not json");
        Assert.Contains("not valid JSON", Error(SaeFormat.SaeLens, lens), StringComparison.Ordinal);
        File.WriteAllText(config, whole);
        File.Delete(Path.Combine(lens, "sae_weights.safetensors"));
        Assert.Contains("has no sae_weights.safetensors", Error(SaeFormat.SaeLens, lens), StringComparison.Ordinal);

        void Weights(Action<SafetensorsWriter> add) => SafetensorsFile.Write(Path.Combine(lens, "sae_weights.safetensors"), add);
        Weights(w => w.Add("W_enc", new float[Width * Latents], Width, Latents));
        Assert.Contains("b_enc", Error(SaeFormat.SaeLens, lens), StringComparison.Ordinal);
        Weights(w =>
        {
            w.Add("W_enc", new float[Width * Latents], Width, Latents);
            w.Add("b_enc", new float[Latents - 1]);
        });
        Assert.Contains("95", Error(SaeFormat.SaeLens, lens), StringComparison.Ordinal);
        float[] broken = new float[Width * Latents];
        broken[Latents + 2] = float.NaN;
        Weights(w => w.Add("W_enc", broken, Width, Latents));
        Assert.Contains("W_enc, row 1, column 2", Error(SaeFormat.SaeLens, lens), StringComparison.Ordinal);

        string torch = Export(topK, SaeFormat.DictionaryLearning, "dl"), file = Path.Combine(torch, "ae.pt");
        Assert.Contains("name the folder", Error(SaeFormat.DictionaryLearning, file), StringComparison.Ordinal);
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..5000]);
        Assert.Contains("ae.pt", Error(SaeFormat.DictionaryLearning, torch), StringComparison.Ordinal);
        TorchWriter.Write(file, new Dictionary<string, object> { ["encoder.weight"] = new NdArray(new float[6], 6) });
        Assert.Contains("a matrix was expected", Error(SaeFormat.DictionaryLearning, torch), StringComparison.Ordinal);
        string sparsify = Export(topK, SaeFormat.Sparsify, "eleuther");
        File.WriteAllText(Path.Combine(sparsify, "cfg.json"), """{ "activation": "groupmax", "k": 3, "d_in": 24 }""");
        Assert.Contains("groupmax", Error(SaeFormat.Sparsify, sparsify), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(sparsify, "cfg.json"), """{ "k": 97, "d_in": 24 }""");
        Assert.Contains("1 to 96", Error(SaeFormat.Sparsify, sparsify), StringComparison.Ordinal);
        string jump = Export(gated, SaeFormat.JumpRelu, "j");
        Assert.Contains("W_mag", Error(SaeFormat.Reference, jump), StringComparison.Ordinal);

        string Error(SaeFormat format, string path)
        {
            string message = Assert.Throws<DataException>(() => SaeImport.Read(_device, format, path).Dispose()).Message;
            Assert.DoesNotContain('\n', message);
            return message;
        }
    }

    /// <summary>scripts/check_sae_export.py runs every export as the other program documents it.</summary>
    [Fact]
    public void Other_programs_see_our_latents_to_five_digits()
    {
        string? python = Python.Find("import torch", out string reason);
        Assert.SkipWhen(python is null, reason);
        List<string> arguments = [Path.Combine(RepositoryRoot.Path, "scripts", "check_sae_export.py")];
        int exports = 0;
        foreach (SaeArchitecture architecture in Enum.GetValues<SaeArchitecture>())
            foreach (bool subtracted in new[] { false, true })
            {
                using SaeModel model = Model(architecture, subtracted, fixedMean: subtracted);
                string latents = At($"{architecture}-{subtracted}.npz");
                float[] encoded = Encode(model);
                NpzFile.Write(latents, writer => writer.Add("X", new NdArray(encoded, Tokens, Latents)));
                foreach (SaeFormat format in FormatsOf(architecture))
                {
                    // The published code's files do not say how tokens are normalised.
                    if (format == SaeFormat.Reference && subtracted) continue;
                    arguments.AddRange(["--case", At("x.npy"), latents, Export(model, format, $"{architecture}-{subtracted}")]);
                    exports++;
                }
                if (architecture != SaeArchitecture.Gated || subtracted) continue;
                SaeExport.Write(model, SaeFormat.Reference, At("published.pt"));
                arguments.AddRange(["--case", At("x.npy"), latents, At("published.pt")]);
                exports++;
            }
        using (SaeModel untied = SaeModel.Create(_device, Width, Latents, false, 0.1, 3))
        {
            float[] encoded = Encode(untied);
            NpzFile.Write(At("untied.npz"), writer => writer.Add("X", new NdArray(encoded, Tokens, Latents)));
            foreach (string file in new[] { "untied.pt", "untied.safetensors" })
            {
                SaeExport.Write(untied, SaeFormat.Reference, At(file));
                arguments.AddRange(["--case", At("x.npy"), At("untied.npz"), At(file)]);
                exports++;
                using SaeModel back = SaeImport.Read(_device, SaeFormat.Reference, At(file));
                Assert.Equal(encoded, Encode(back));
            }
        }
        string checks = Python.Run(python, [.. arguments]);
        Assert.Equal(exports, checks.Split('\n').Count(l => l.Contains("largest difference", StringComparison.Ordinal)));
        // A script that cannot fail proves nothing: the latents of another model.
        (int code, string output, string error) = Python.Invoke(python, [arguments[0], "--case", At("x.npy"), At("JumpRelu-False.npz"), At("Relu-False-SaeLens")]);
        Assert.True(code == 1 && output.Contains("DIFFERENT", StringComparison.Ordinal), output + error);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Export(SaeModel model, SaeFormat format, string name)
    {
        string path = At($"{name}-{format}") + (format is SaeFormat.JumpRelu or SaeFormat.Reference ? ".safetensors" : "");
        SaeExport.Write(model, format, path);
        return path;
    }

    private float[] Encode(SaeModel model)
    {
        using ITokenSource source = TokenSource.Open(_device, At("x.npy"));
        using Matrix<float> latents = SaeEncoder.EncodeAll(model, source);
        return latents.Buffer.View.Host.ToArray();
    }

    /// <summary>Biases that matter, thresholds and scales that differ, decoder rows of unit length.</summary>
    private SaeModel Model(SaeArchitecture architecture, bool subtracted, bool fixedMean)
    {
        SaeShape shape = new() { Architecture = architecture, InputWidth = Width, Latents = Latents, SubtractDecoderBias = subtracted };
        if (shape.HasActiveLatents) shape = shape with { ActiveLatents = Active };
        CounterRandom random = new((ulong)architecture + 1);
        float[] Draw(int count, double mean, double scale)
        {
            float[] values = new float[count];
            for (int i = 0; i < count; i++) values[i] = (float)(mean + scale * random.NextNormal());
            return values;
        }
        float[] decoder = Draw(Width * Latents, 0, 1);
        for (int j = 0; j < Latents; j++)
        {
            double norm = Math.Sqrt(decoder.Skip(j * Width).Take(Width).Sum(v => (double)v * v));
            for (int i = 0; i < Width; i++) decoder[j * Width + i] = (float)(decoder[j * Width + i] / norm);
        }
        float[]? thresholds = shape.HasThreshold ? [.. Draw(Latents, 0.05, architecture == SaeArchitecture.JumpRelu ? 0.02 : 0).Select(t => Math.Max(t, 0))] : null;
        SaeWeights weights = new()
        {
            Shape = shape,
            Encoder = Draw(Width * Latents, 0, 0.2),
            EncoderBias = Draw(Latents, 0.05, 0.05),
            GateBias = shape.HasGateBias ? Draw(Latents, -0.05, 0.1) : null,
            MagnitudeScale = shape.HasMagnitudeScale ? Draw(Latents, 0.1, 0.3) : null,
            Threshold = thresholds,
            Decoder = decoder,
            DecoderBias = Draw(Width, 0.1, 0.1),
            Usage = new float[Latents],
            Normaliser = fixedMean ? TokenNormaliser.ByMean(Draw(Width, 0.3, 0.05)) : TokenNormaliser.None,
        };
        return weights.ToModel(_device);
    }

    /// <summary>Equal to 1e-5; a few pairs at their threshold may be active on one side alone.</summary>
    private static void Agree(float[] expected, float[] actual, string name)
    {
        int apart = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (Math.Abs(expected[i] - actual[i]) <= 1e-5) continue;
            Assert.True(expected[i] == 0 != (actual[i] == 0), $"{name}: pair {i} is {actual[i]}, {expected[i]} was expected");
            apart++;
        }
        Assert.True(apart <= 1, $"{name}: {apart} pairs are active on one side only");
    }
}
