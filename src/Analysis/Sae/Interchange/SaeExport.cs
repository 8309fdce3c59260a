using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Layouts in which other programs keep autoencoders. What each keeps and loses: docs/interchange.md.</summary>
public enum SaeFormat
{
    /// <summary>W_enc, b_enc, threshold, W_dec, b_dec in one safetensors file: a = (x W_enc + b_enc) · 1[x W_enc + b_enc &gt; threshold].</summary>
    JumpRelu,

    /// <summary>A folder of SAELens 6: sae_weights.safetensors and cfg.json.</summary>
    SaeLens,

    /// <summary>A folder of dictionary_learning: ae.pt and config.json.</summary>
    DictionaryLearning,

    /// <summary>A folder of EleutherAI's sparsify: sae.safetensors and cfg.json; TopK only.</summary>
    Sparsify,

    /// <summary>The published code of the paper: its tensor names in a safetensors file, or its checkpoint in a .pt file; gated only.</summary>
    Reference,
}

/// <summary>
/// Writes trained models for other programs. A tied gated autoencoder is a JumpReLU autoencoder: g − m = b_gate − b_mag is a constant of the latent,
/// so both conditions of the gate say m &gt; max(b_mag − b_gate, 0), and nothing is lost.
/// </summary>
public static partial class SaeExport
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="model">A trained model.</param>
    /// <param name="format">Layout.</param>
    /// <param name="path">A file for <see cref="SaeFormat.JumpRelu"/> and <see cref="SaeFormat.Reference"/>, a folder for the others.</param>
    /// <param name="origin">What the model was trained as, with the widths of nested dictionaries (<see cref="OriginOf"/>); null takes it from the model, which does not
    /// know those widths and is then one group.</param>
    /// <exception cref="UsageException">The layout cannot hold this architecture; the message says which can.</exception>
    public static void Write(SaeModel model, SaeFormat format, string path, SaeOrigin? origin = null)
    {
        SaeWeights weights = SaeWeights.From(model) with { Origin = origin ?? SaeOrigin.Of(model.Shape, null) };
        switch (format)
        {
            case SaeFormat.JumpRelu: WriteJumpRelu(weights, path); break;
            case SaeFormat.SaeLens: WriteSaeLens(weights, path); break;
            case SaeFormat.DictionaryLearning: WriteDictionaryLearning(weights, path); break;
            case SaeFormat.Sparsify: WriteSparsify(weights, path); break;
            default: WriteReference(weights, path); break;
        }
    }

    /// <summary>The activation threshold of every latent: max(b_mag − b_gate, 0) of a tied gate, 0 of ReLU.</summary>
    public static float[] Thresholds(SaeModel model) => SaeWeights.From(model).ToJumpRelu().Threshold!;

    /// <summary>What the model of a folder was trained as: by its config.json what an import says of it, else what it is, with the nested dictionaries of Matryoshka.</summary>
    public static SaeOrigin OriginOf(string folder, SaeModel model)
    {
        string path = Path.Combine(folder, SaeModel.ConfigFile);
        JsonObject? config = File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path)) as JsonObject : null;
        return SaeOrigin.Read(config?[SaeOrigin.MetadataKey] as JsonObject, path, model.Latents) ?? SaeOrigin.Of(model.Shape, PrefixesOf(config, path, model));
    }

    private static int[]? PrefixesOf(JsonObject? config, string path, SaeModel model)
    {
        if (model.Shape.Architecture != SaeArchitecture.Matryoshka || config?["training"]?["prefixes"] is not JsonArray widths) return null;
        try
        {
            int[] prefixes = [.. widths.Select(w => w!.GetValue<int>())];
            bool ascending = prefixes.Length > 0 && prefixes.Zip(prefixes.Prepend(0)).All(p => p.First > p.Second);
            return ascending && prefixes[^1] == model.Latents ? prefixes : throw new DataException(path, "training.prefixes", $"is {widths.ToJsonString()}; ascending widths up to {model.Latents} were expected");
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or NullReferenceException)
        {
            throw new DataException(path, "training.prefixes", "is not a list of whole numbers", e);
        }
    }

    internal static bool IsTorchFile(string path) => Path.GetExtension(path) is ".pt" or ".pth";

    private static void WriteJumpRelu(SaeWeights weights, string path)
    {
        SaeWeights w = weights.ToJumpRelu().WithInputBias(false);
        SafetensorsFile.Write(path, writer =>
        {
            AddEncoder(writer, w);
            writer.Add("threshold", w.Threshold!);
            writer.AddMetadata(SaeOrigin.MetadataKey, weights.Origin!.ToJson().ToJsonString());
            if (w.Normaliser.Normalisation != TokenNormalisation.None) writer.AddMetadata("normaliser", w.Normaliser.ToJson().ToJsonString());
        });
    }

    private static void WriteSparsify(SaeWeights weights, string folder)
    {
        if (weights.Shape.Architecture != SaeArchitecture.TopK) throw new UsageException($"sparsify has TopK autoencoders only, and this one is {SaeConfigFile.Name(weights.Shape.Architecture)}; export it with --format sae-lens or dictionary-learning.");
        SaeWeights w = weights.WithInputBias(true);
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        SafetensorsFile.Write(Path.Combine(folder, "sae.safetensors"), writer =>
        {
            writer.Add("encoder.weight", SaeWeights.Transpose(w.Encoder, d, latents), latents, d);
            writer.Add("encoder.bias", w.EncoderBias);
            writer.Add("W_dec", w.Decoder, latents, d);
            writer.Add("b_dec", w.DecoderBias);
        });
        WriteJson(Path.Combine(folder, "cfg.json"), new JsonObject
        {
            ["activation"] = "topk",
            ["expansion_factor"] = Math.Max(1, latents / d),
            ["normalize_decoder"] = true,
            ["num_latents"] = latents,
            ["k"] = w.Shape.ActiveLatents,
            ["multi_topk"] = false,
            ["skip_connection"] = false,
            ["transcode"] = false,
            ["d_in"] = d,
            ["normaliser"] = w.Normaliser.ToJson(),
        });
    }

    /// <summary>The state dictionary of the published GatedSAE; in a .pt file as its training script saves it.</summary>
    private static void WriteReference(SaeWeights weights, string path)
    {
        if (weights.Shape.Architecture != SaeArchitecture.Gated) throw new UsageException($"The published code has the paper's gated autoencoder only, and this one is {SaeConfigFile.Name(weights.Shape.Architecture)}; export it with --format sae-lens or dictionary-learning.");
        SaeWeights w = weights.WithInputBias(false);
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        List<(string Name, NdArray Array)> state = [("W_mag", new NdArray(w.Encoder, d, latents)), ("b_mag", NdArray.Vector(w.EncoderBias))];
        if (w.Gate is not null) state.Add(("W_gate", new NdArray(w.Gate, d, latents)));
        state.AddRange([("b_gate", NdArray.Vector(w.GateBias!)), ("W_dec", new NdArray(w.Decoder, latents, d)), ("b_dec", NdArray.Vector(w.DecoderBias)), ("usage_ema", NdArray.Vector(w.Usage!))]);
        // The buffer by which the published code marks tied weights; an untied model has none.
        if (w.Shape.Tied) state.Add(("_tied_weights_flag", NdArray.Scalar(1L)));
        if (IsTorchFile(path))
        {
            Dictionary<string, object> args = new() { ["d_in"] = d, ["d_sae"] = latents, ["tie_gate_weights"] = w.Shape.Tied, ["aux_k"] = 32 };
            TorchWriter.Write(path, new Dictionary<string, object> { ["args"] = args, ["sae"] = state.ToDictionary(s => s.Name, object (s) => s.Array) });
            return;
        }
        SafetensorsFile.Write(path, writer =>
        {
            foreach ((string name, NdArray array) in state) writer.Add(name, array);
        });
    }

    /// <summary>W_enc [d_in, d_sae], b_enc, W_dec [d_sae, d_in], b_dec.</summary>
    private static void AddEncoder(SafetensorsWriter writer, SaeWeights w)
    {
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        writer.Add("W_enc", w.Encoder, d, latents);
        writer.Add("b_enc", w.EncoderBias);
        writer.Add("W_dec", w.Decoder, latents, d);
        writer.Add("b_dec", w.DecoderBias);
    }

    private static void WriteJson(string path, JsonObject json) => AtomicFile.WriteAllText(path, json.ToJsonString(s_json) + "\n");
}
