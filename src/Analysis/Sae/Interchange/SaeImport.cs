using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Reads autoencoders that other programs trained. Latents are those of the other program; what a format cannot say is refused, not guessed.</summary>
public static partial class SaeImport
{
    /// <param name="device">Where the parameters go.</param>
    /// <param name="format">Layout.</param>
    /// <param name="path">A folder for SAELens, dictionary_learning (or its ae.pt) and sparsify; a file for the others.</param>
    /// <exception cref="DataException">A file or tensor is missing, has another shape or holds a value that is not finite, or the architecture has no counterpart.</exception>
    public static SaeModel Read(ComputeDevice device, SaeFormat format, string path) => Read(device, format, path, out _);

    /// <inheritdoc cref="Read(ComputeDevice, SaeFormat, string)"/>
    /// <param name="origin">What the file says that the model was trained as; the model is that where it can be, else JumpReLU. Null where nothing is said.</param>
    public static SaeModel Read(ComputeDevice device, SaeFormat format, string path, out SaeOrigin? origin)
    {
        SaeWeights weights = format switch
        {
            SaeFormat.JumpRelu => ReadJumpRelu(path),
            SaeFormat.SaeLens => ReadSaeLens(path),
            SaeFormat.DictionaryLearning => ReadDictionaryLearning(path),
            SaeFormat.Sparsify => ReadSparsify(path),
            _ => ReadReference(path),
        };
        origin = weights.Origin;
        return (origin?.Restore(weights) ?? weights).ToModel(device);
    }

    private static SaeWeights ReadJumpRelu(string path)
    {
        using SaeTensorSource file = new(path);
        (int d, int latents) = file.Matrix("W_enc");
        TokenNormaliser normaliser = TokenNormaliser.None;
        SaeOrigin? origin = null;
        if (!SaeExport.IsTorchFile(path))
        {
            using SafetensorsFile raw = SafetensorsFile.Open(path);
            if (raw.Metadata.TryGetValue("normaliser", out string? text)) normaliser = TokenNormaliser.FromJson(new JsonObject { ["normaliser"] = ParseMetadata(text, "normaliser", path) }, path, d);
            if (raw.Metadata.TryGetValue(SaeOrigin.MetadataKey, out text)) origin = SaeOrigin.Read(ParseMetadata(text, SaeOrigin.MetadataKey, path) as JsonObject, path, latents);
        }
        return Plain(file, new SaeShape { Architecture = SaeArchitecture.JumpRelu, InputWidth = d, Latents = latents }) with { Normaliser = normaliser, Origin = origin };
    }

    private static JsonNode? ParseMetadata(string text, string key, string path)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException e)
        {
            throw new DataException(path, key, "is not valid JSON", e);
        }
    }

    private static SaeWeights ReadSparsify(string folder)
    {
        SaeFormatConfig config = SaeFormatConfig.Read(folder, "cfg.json", "sparsify");
        if (config.Text("activation") is not (null or "topk") and string other) throw config.Refuse("activation", $"is \"{other}\"; only \"topk\" has a counterpart");
        if (config.Flag("transcode", false)) throw config.Refuse("transcode", "is true: the folder holds a transcoder, whose output is not its input");
        foreach (string skip in (string[])["skip_connection", "embed_skip", "gram_lookup"])
            if (config.Flag(skip, false)) throw config.Refuse(skip, "is true, which has no counterpart");
        using SaeTensorSource file = new(Require(folder, "sae.safetensors", "sparsify"));
        (int latents, int d) = file.Matrix("encoder.weight");
        config.RequireWidth("d_in", d);
        int k = config.Count("k", latents) ?? throw config.Refuse("k", "is missing; the number of active latents was expected");
        return new SaeWeights
        {
            Shape = new SaeShape { Architecture = SaeArchitecture.TopK, InputWidth = d, Latents = latents, ActiveLatents = k, SubtractDecoderBias = true },
            Encoder = file.ReadTransposed("encoder.weight", latents, d),
            EncoderBias = file.Read("encoder.bias", latents),
            Decoder = file.Read("W_dec", latents, d),
            DecoderBias = file.Read("b_dec", d),
            Normaliser = config.Normaliser(d),
        };
    }

    /// <summary>The published state dictionary in a safetensors file, or the published checkpoint (.pt).</summary>
    private static SaeWeights ReadReference(string path)
    {
        using SaeTensorSource file = new(path, "sae");
        (int d, int latents) = file.Matrix("W_mag");
        bool tied = !file.Contains("W_gate");
        return new SaeWeights
        {
            Shape = SaeShape.Gated(d, latents, tied),
            Encoder = file.Read("W_mag", d, latents),
            Gate = tied ? null : file.Read("W_gate", d, latents),
            EncoderBias = file.Read("b_mag", latents),
            GateBias = file.Read("b_gate", latents),
            Decoder = file.Read("W_dec", latents, d),
            DecoderBias = file.Read("b_dec", d),
            Usage = file.Contains("usage_ema") ? file.Read("usage_ema", latents) : null,
        };
    }

    /// <summary>W_enc [d_in, d_sae], b_enc, W_dec, b_dec and, where the shape has one, the threshold.</summary>
    private static SaeWeights Plain(SaeTensorSource file, SaeShape shape) => new()
    {
        Shape = shape,
        Encoder = file.Read("W_enc", shape.InputWidth, shape.Latents),
        EncoderBias = file.Read("b_enc", shape.Latents),
        // A negative threshold lets everything above zero pass, as zero does.
        Threshold = shape.HasThreshold ? Array.ConvertAll(file.Read("threshold", shape.Latents), t => Math.Max(t, 0)) : null,
        Decoder = file.Read("W_dec", shape.Latents, shape.InputWidth),
        DecoderBias = file.Read("b_dec", shape.InputWidth),
    };

    private static string Require(string folder, string name, string format)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? path : throw new DataException(folder, null, $"has no {name}; a folder of {format} was expected");
    }
}
