using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

public static partial class SaeExport
{
    internal const string SaeLensWeights = "sae_weights.safetensors", SaeLensConfig = "cfg.json";

    /// <summary>
    /// Inference architectures of SAELens: ReLU is "standard"; the original gate is "gated"; everything with a threshold per latent, the TopK family that
    /// selects from a batch among it, is "jumprelu", as SAELens itself saves those.
    /// </summary>
    private static void WriteSaeLens(SaeWeights weights, string folder)
    {
        SaeArchitecture architecture = weights.Shape.Architecture;
        if (!weights.Shape.Tied) throw new UsageException("An untied model has a gate of its own, which SAELens cannot hold; export it with --format reference.");
        string name = architecture switch
        {
            SaeArchitecture.Relu => "standard",
            SaeArchitecture.TopK => "topk",
            SaeArchitecture.GatedOriginal => "gated",
            _ => "jumprelu",
        };
        SaeWeights w = name == "jumprelu" ? weights.ToJumpRelu() : weights;
        SafetensorsFile.Write(Path.Combine(folder, SaeLensWeights), writer =>
        {
            if (name != "gated")
            {
                AddEncoder(writer, w);
                if (w.Threshold is not null) writer.Add("threshold", w.Threshold);
                return;
            }
            writer.Add("W_enc", w.Encoder, w.Shape.InputWidth, w.Shape.Latents);
            writer.Add("b_gate", w.GateBias!);
            writer.Add("b_mag", w.EncoderBias);
            writer.Add("r_mag", w.MagnitudeScale!);
            writer.Add("W_dec", w.Decoder, w.Shape.Latents, w.Shape.InputWidth);
            writer.Add("b_dec", w.DecoderBias);
        });
        JsonObject config = new()
        {
            ["architecture"] = name,
            ["d_in"] = w.Shape.InputWidth,
            ["d_sae"] = w.Shape.Latents,
            ["dtype"] = "float32",
            ["device"] = "cpu",
            ["apply_b_dec_to_input"] = w.Shape.SubtractDecoderBias,
            ["normalize_activations"] = "none",
            ["reshape_activations"] = "none",
            // Without its version a configuration is taken for one from before SAELens 6, which knew no metadata, and loses them.
            ["metadata"] = new JsonObject { ["sae_lens_version"] = "6.0.0", [SaeOrigin.MetadataKey] = weights.Origin!.ToJson(), ["normaliser"] = w.Normaliser.ToJson() },
        };
        if (name == "topk")
        {
            config["k"] = w.Shape.ActiveLatents;
            config["rescale_acts_by_decoder_norm"] = false;
        }
        WriteJson(Path.Combine(folder, SaeLensConfig), config);
    }
}
