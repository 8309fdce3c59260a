using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>
/// What the loaders of other programs ask for, name by name. Their state dictionaries are strict: a tensor too many or too few, or of another shape, is refused.
/// Read from SAELens 6.49.2 (sae_lens/loading/pretrained_sae_loaders.py, saes/*.py), dictionary_learning at a711efe (dictionary.py, trainers/*.py,
/// utils.load_dictionary) and sparsify at 001d98e (sparse_coder.py, config.py).
/// </summary>
public sealed class SaeExportLayoutTests : IDisposable
{
    private const int Width = 6, Latents = 10;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-layouts-").FullName;
    private readonly CpuDevice _device = new(1);

    public void Dispose()
    {
        _device.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Shapes: d is d_in, D is d_sae; i32 and i64 are types, float32 goes without saying.</summary>
    [Theory]
    [InlineData("relu", "standard", "W_enc:d,D b_enc:D W_dec:D,d b_dec:d")]
    [InlineData("topk", "topk", "W_enc:d,D b_enc:D W_dec:D,d b_dec:d")]
    [InlineData("jumprelu", "jumprelu", "W_enc:d,D b_enc:D threshold:D W_dec:D,d b_dec:d")]
    [InlineData("gated", "jumprelu", "W_enc:d,D b_enc:D threshold:D W_dec:D,d b_dec:d")]
    [InlineData("batchtopk", "jumprelu", "W_enc:d,D b_enc:D threshold:D W_dec:D,d b_dec:d")]
    [InlineData("matryoshka", "jumprelu", "W_enc:d,D b_enc:D threshold:D W_dec:D,d b_dec:d")]
    [InlineData("gated-original", "gated", "W_enc:d,D b_gate:D b_mag:D r_mag:D W_dec:D,d b_dec:d")]
    public void SaeLens(string ours, string theirs, string tensors)
    {
        using SaeModel model = Export(ours, SaeFormat.SaeLens);
        JsonObject cfg = Json("cfg.json");
        string selection = theirs == "topk" ? " k:Number rescale_acts_by_decoder_norm:False" : "";
        Assert.Equal(Sorted("architecture:String d_in:Number d_sae:Number dtype:String device:String apply_b_dec_to_input:" + model.Shape.SubtractDecoderBias
            + " normalize_activations:String reshape_activations:String metadata:Object" + selection), Kinds(cfg));
        Assert.Equal((theirs, Width, Latents), ((string)cfg["architecture"]!, (int)cfg["d_in"]!, (int)cfg["d_sae"]!));
        Assert.Equal(("float32", "cpu", "none", "none"), ((string)cfg["dtype"]!, (string)cfg["device"]!, (string)cfg["normalize_activations"]!, (string)cfg["reshape_activations"]!));
        // Without a version from 6.0.0 on the loader rebuilds the configuration from keys of older releases.
        Assert.True(Version.Parse((string)cfg["metadata"]!["sae_lens_version"]!).Major >= 6);
        Assert.Equal(Sorted(tensors), Safetensors("sae_weights.safetensors"));
    }

    [Theory]
    [InlineData("relu", "AutoEncoder", "encoder.weight:D,d encoder.bias:D decoder.weight:d,D bias:d")]
    [InlineData("relu-without", "AutoEncoderNew", "encoder.weight:D,d encoder.bias:D decoder.weight:d,D decoder.bias:d")]
    [InlineData("topk", "AutoEncoderTopK", "encoder.weight:D,d encoder.bias:D decoder.weight:d,D b_dec:d k:i32 threshold:")]
    [InlineData("batchtopk", "BatchTopKSAE", "encoder.weight:D,d encoder.bias:D decoder.weight:d,D b_dec:d k:i32 threshold:")]
    [InlineData("matryoshka", "MatryoshkaBatchTopKSAE", "W_enc:d,D b_enc:D W_dec:D,d b_dec:d k:i32 threshold: group_sizes:i642")]
    [InlineData("jumprelu", "JumpReluAutoEncoder", "W_enc:d,D b_enc:D W_dec:D,d b_dec:d threshold:D")]
    [InlineData("gated", "JumpReluAutoEncoder", "W_enc:d,D b_enc:D W_dec:D,d b_dec:d threshold:D")]
    [InlineData("gated-original", "GatedAutoEncoder", "encoder.weight:D,d decoder.weight:d,D decoder_bias:d r_mag:D gate_bias:D mag_bias:D")]
    public void DictionaryLearning(string ours, string theirs, string tensors)
    {
        using SaeModel model = Export(ours, SaeFormat.DictionaryLearning);
        JsonObject config = Json("config.json"), trainer = config["trainer"]!.AsObject();
        Assert.Equal(Sorted("trainer:Object normaliser:Object origin:Object"), Kinds(config));
        Assert.Equal(Sorted("dict_class:String activation_dim:Number dict_size:Number" + (model.Shape.HasActiveLatents ? " k:Number" : "")), Kinds(trainer));
        Assert.Equal((theirs, Width, Latents), ((string)trainer["dict_class"]!, (int)trainer["activation_dim"]!, (int)trainer["dict_size"]!));
        using TorchFile file = TorchFile.Open(Path.Combine(_folder, "ae.pt"));
        Dictionary<string, object?> state = Assert.IsType<Dictionary<string, object?>>(file.Root);
        Assert.Equal(Sorted(tensors), state.Select(t => Describe(t.Key, ((TorchTensor)t.Value!).Type, ((TorchTensor)t.Value!).Shape)).Order(StringComparer.Ordinal));
        // from_pretrained is given k of the configuration and refuses another one in the file.
        if (model.Shape.HasActiveLatents) Assert.Equal((int)trainer["k"]!, file.ReadVector((TorchTensor)state["k"]!, "k")[0]);
    }

    [Fact]
    public void Sparsify()
    {
        using SaeModel model = Export("topk", SaeFormat.Sparsify);
        JsonObject cfg = Json("cfg.json");
        // normaliser is ours: the loader drops keys that its configuration does not have.
        Assert.Equal(Sorted("activation:String expansion_factor:Number normalize_decoder:True num_latents:Number k:Number multi_topk:False skip_connection:False transcode:False d_in:Number normaliser:Object"), Kinds(cfg));
        Assert.Equal(("topk", Latents, Width, model.Shape.ActiveLatents), ((string)cfg["activation"]!, (int)cfg["num_latents"]!, (int)cfg["d_in"]!, (int)cfg["k"]!));
        Assert.Equal(Sorted("encoder.weight:D,d encoder.bias:D W_dec:D,d b_dec:d"), Safetensors("sae.safetensors"));
    }

    private SaeModel Export(string name, SaeFormat format)
    {
        SaeConfig config = SaeConfigFile.Parse($$"""{ "architecture": "{{name.Replace("-without", "", StringComparison.Ordinal)}}" }""", "test") with { Latents = Latents };
        if (config.HasActiveLatents) config = config with { ActiveLatents = 3 };
        if (name.EndsWith("-without", StringComparison.Ordinal)) config = config with { SubtractDecoderBias = false };
        SaeModel model = SaeModel.Create(_device, config, Width, 1);
        SaeExport.Write(model, format, _folder, config.Architecture == SaeArchitecture.Matryoshka ? new SaeOrigin(SaeArchitecture.Matryoshka, 3, [4, Latents]) : null);
        return model;
    }

    private JsonObject Json(string name) => JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, name)))!.AsObject();

    private static string[] Sorted(string names) => [.. names.Split(' ').Order(StringComparer.Ordinal)];

    private static string[] Kinds(JsonObject json) => [.. json.Select(p => $"{p.Key}:{(p.Value is null ? JsonValueKind.Null : p.Value.GetValueKind())}").Order(StringComparer.Ordinal)];

    private string[] Safetensors(string name)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(_folder, name));
        return [.. file.Names.Select(n => Describe(n, file.Entry(n).Type, file.Entry(n).Shape)).Order(StringComparer.Ordinal)];
    }

    private static string Describe(string name, ElementType? type, IReadOnlyList<long> shape)
    {
        string prefix = type switch { ElementType.Float32 => "", ElementType.Int32 => "i32", ElementType.Int64 => "i64", _ => $"{type} " };
        return $"{name}:{prefix}{string.Join(',', shape.Select(n => n == Width ? "d" : n == Latents ? "D" : $"{n}"))}";
    }
}
