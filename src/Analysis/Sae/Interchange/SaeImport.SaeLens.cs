using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

public static partial class SaeImport
{
    private const string Lens = "SAELens";

    /// <summary>
    /// SAELens 6 and, where they say the same, folders from before: standard (with the activation TopK: topk), topk, jumprelu, gated. Decoder lengths that
    /// rescale_acts_by_decoder_norm puts into the choice and the latents are folded into encoder and decoder.
    /// </summary>
    private static SaeWeights ReadSaeLens(string folder)
    {
        SaeFormatConfig config = SaeFormatConfig.Read(folder, SaeExport.SaeLensConfig, Lens);
        string? activation = config.Text("activation_fn") ?? config.Text("activation_fn_str");
        string architecture = config.Text("architecture") ?? "standard";
        if (architecture == "standard" && activation == "topk") architecture = "topk";
        else if (activation is not (null or "relu") && architecture != "topk") throw config.Refuse("activation_fn", $"is \"{activation}\"; only \"relu\" and \"topk\" have a counterpart");
        if (config.Text("normalize_activations") is not (null or "none") and string scaling)
            throw config.Refuse("normalize_activations", $"is \"{scaling}\": the scale of the inputs is not in the folder, or differs from token to token; fold it into the weights first");
        if (config.Flag("finetuning_scaling_factor", false)) throw config.Refuse("finetuning_scaling_factor", "is true, which has no counterpart");

        using SaeTensorSource file = new(Require(folder, SaeExport.SaeLensWeights, Lens));
        (int d, int latents) = file.Matrix("W_enc");
        config.RequireWidth("d_in", d);
        config.RequireWidth("d_sae", latents);
        if (file.Contains("scaling_factor") && Array.Exists(file.Read("scaling_factor", latents), f => f != 1)) throw config.Refuse("scaling_factor", "is not 1 for every latent, which has no counterpart");
        SaeShape shape = new()
        {
            Architecture = architecture switch
            {
                "standard" => SaeArchitecture.Relu,
                "topk" => SaeArchitecture.TopK,
                "jumprelu" => SaeArchitecture.JumpRelu,
                "gated" => SaeArchitecture.GatedOriginal,
                "batchtopk" or "matryoshka_batchtopk" => throw config.Refuse("architecture", $"is \"{architecture}\", which a checkpoint of training has; SAELens saves the finished model as \"jumprelu\""),
                _ => throw config.Refuse("architecture", $"is \"{architecture}\"; \"standard\", \"topk\", \"jumprelu\" and \"gated\" have counterparts"),
            },
            InputWidth = d,
            Latents = latents,
            SubtractDecoderBias = config.Flag("apply_b_dec_to_input", true),
        };
        if (shape.Architecture == SaeArchitecture.TopK)
            shape = shape with { ActiveLatents = config.Count("k", latents) ?? config.OptionalSection("activation_fn_kwargs")?.Count("k", latents) ?? throw config.Refuse("k", "is missing; the number of active latents was expected") };
        SaeWeights weights = shape.Architecture == SaeArchitecture.GatedOriginal
            ? new SaeWeights
            {
                Shape = shape,
                Encoder = file.Read("W_enc", d, latents),
                GateBias = file.Read("b_gate", latents),
                EncoderBias = file.Read("b_mag", latents),
                MagnitudeScale = file.Read("r_mag", latents),
                Decoder = file.Read("W_dec", latents, d),
                DecoderBias = file.Read("b_dec", d),
            }
            : Plain(file, shape);
        if (config.Flag("rescale_acts_by_decoder_norm", false)) weights = weights.WithLengthsInLatents();
        SaeFormatConfig? metadata = config.OptionalSection("metadata");
        return weights with { Normaliser = metadata?.Normaliser(d) ?? TokenNormaliser.None, Origin = metadata?.Origin(latents) };
    }
}
