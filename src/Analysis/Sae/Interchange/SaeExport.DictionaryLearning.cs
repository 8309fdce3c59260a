using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

public static partial class SaeExport
{
    internal const string DictionaryWeights = "ae.pt", DictionaryConfig = "config.json";

    /// <summary>
    /// The state dictionary of the class that fits: AutoEncoderNew or AutoEncoder (ReLU without and with the bias taken from the input), GatedAutoEncoder,
    /// JumpReluAutoEncoder, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE. Its linear layers hold transposed matrices, [out, in].
    /// </summary>
    private static void WriteDictionaryLearning(SaeWeights weights, string folder)
    {
        if (!weights.Shape.Tied) throw new UsageException("An untied model has a gate of its own, which dictionary_learning cannot hold; export it with --format reference.");
        (string name, Dictionary<string, object> state) = weights.Shape.Architecture switch
        {
            SaeArchitecture.Relu => weights.Shape.SubtractDecoderBias
                ? ("AutoEncoder", Linear(weights, "bias"))
                : ("AutoEncoderNew", Linear(weights, "decoder.bias")),
            SaeArchitecture.GatedOriginal => ("GatedAutoEncoder", Gated(weights.WithInputBias(true))),
            SaeArchitecture.TopK => ("AutoEncoderTopK", Linear(weights.WithInputBias(true), "b_dec", selected: true)),
            SaeArchitecture.BatchTopK => ("BatchTopKSAE", Linear(weights.WithInputBias(true), "b_dec", selected: true)),
            SaeArchitecture.Matryoshka => ("MatryoshkaBatchTopKSAE", Matryoshka(weights.WithInputBias(true))),
            _ => ("JumpReluAutoEncoder", Plain(weights.ToJumpRelu().WithInputBias(false))),
        };
        TorchWriter.Write(Path.Combine(folder, DictionaryWeights), state);
        JsonObject trainer = new() { ["dict_class"] = name, ["activation_dim"] = weights.Shape.InputWidth, ["dict_size"] = weights.Shape.Latents };
        if (weights.Shape.HasActiveLatents) trainer["k"] = weights.Shape.ActiveLatents;
        WriteJson(Path.Combine(folder, DictionaryConfig), new JsonObject { ["trainer"] = trainer, [SaeOrigin.MetadataKey] = weights.Origin!.ToJson(), ["normaliser"] = weights.Normaliser.ToJson() });
    }

    private static Dictionary<string, object> Linear(SaeWeights w, string biasName, bool selected = false)
    {
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        Dictionary<string, object> state = selected ? Selection(w) : [];
        state["encoder.weight"] = new NdArray(SaeWeights.Transpose(w.Encoder, d, latents), latents, d);
        state["encoder.bias"] = NdArray.Vector(w.EncoderBias);
        state["decoder.weight"] = new NdArray(SaeWeights.Transpose(w.Decoder, latents, d), d, latents);
        state[biasName] = NdArray.Vector(w.DecoderBias);
        return state;
    }

    private static Dictionary<string, object> Gated(SaeWeights w)
    {
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        return new()
        {
            ["decoder_bias"] = NdArray.Vector(w.DecoderBias),
            ["r_mag"] = NdArray.Vector(w.MagnitudeScale!),
            ["gate_bias"] = NdArray.Vector(w.GateBias!),
            ["mag_bias"] = NdArray.Vector(w.EncoderBias),
            ["encoder.weight"] = new NdArray(SaeWeights.Transpose(w.Encoder, d, latents), latents, d),
            ["decoder.weight"] = new NdArray(SaeWeights.Transpose(w.Decoder, latents, d), d, latents),
        };
    }

    private static Dictionary<string, object> Plain(SaeWeights w)
    {
        int d = w.Shape.InputWidth, latents = w.Shape.Latents;
        Dictionary<string, object> state = new()
        {
            ["W_enc"] = new NdArray(w.Encoder, d, latents),
            ["b_enc"] = NdArray.Vector(w.EncoderBias),
            ["W_dec"] = new NdArray(w.Decoder, latents, d),
            ["b_dec"] = NdArray.Vector(w.DecoderBias),
        };
        if (w.Shape.Architecture == SaeArchitecture.JumpRelu) state["threshold"] = NdArray.Vector(w.Threshold!);
        return state;
    }

    private static Dictionary<string, object> Matryoshka(SaeWeights w)
    {
        IReadOnlyList<int> prefixes = w.Origin?.Prefixes ?? [w.Shape.Latents];
        Dictionary<string, object> state = Selection(w);
        state["group_sizes"] = NdArray.Vector([.. prefixes.Select((p, i) => (long)(p - (i > 0 ? prefixes[i - 1] : 0)))]);
        foreach ((string key, object value) in Plain(w)) state[key] = value;
        return state;
    }

    /// <summary>k and the threshold of inference: one for all latents; −1 where there is none.</summary>
    private static Dictionary<string, object> Selection(SaeWeights w)
    {
        float threshold = w.Threshold is null ? -1 : w.Threshold[0];
        if (w.Threshold is not null && !Array.TrueForAll(w.Threshold, t => t == threshold))
            throw new UsageException($"The thresholds of this {SaeConfigFile.Name(w.Shape.Architecture)} model differ from latent to latent, and {DictionaryWeights} holds one; export it with --format sae-lens.");
        return new() { ["k"] = NdArray.Scalar(w.Shape.ActiveLatents), ["threshold"] = NdArray.Scalar(threshold) };
    }
}
