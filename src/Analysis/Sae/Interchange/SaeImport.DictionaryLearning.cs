using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

public static partial class SaeImport
{
    private const string Dictionaries = "dictionary_learning";

    /// <summary>
    /// The classes of dictionary_learning, by dict_class of its config.json, or by the tensors where ae.pt alone is named. AutoEncoder is loaded there with its
    /// decoder brought to unit rows: lengths other than 1 are folded into the encoder. Every other class is taken as it is.
    /// </summary>
    private static SaeWeights ReadDictionaryLearning(string path)
    {
        bool alone = File.Exists(path);
        SaeFormatConfig? config = alone ? null : SaeFormatConfig.Read(path, SaeExport.DictionaryConfig, Dictionaries);
        string weights = alone ? path : Require(path, SaeExport.DictionaryWeights, Dictionaries);
        using SaeTensorSource file = new(weights);
        string name = config?.Section("trainer").Text("dict_class") ?? Guess(file, weights);
        SaeWeights result = name switch
        {
            "AutoEncoder" => Linear(file, SaeArchitecture.Relu, "bias", subtracted: true).WithLengthsInLatents(),
            "AutoEncoderNew" => Linear(file, SaeArchitecture.Relu, "decoder.bias", subtracted: false),
            "GatedAutoEncoder" => Gated(file),
            "JumpReluAutoEncoder" => Plain(file, Extents(file, SaeArchitecture.JumpRelu)),
            "AutoEncoderTopK" => Linear(file, SaeArchitecture.TopK, "b_dec", subtracted: true),
            "BatchTopKSAE" => Linear(file, SaeArchitecture.BatchTopK, "b_dec", subtracted: true),
            "MatryoshkaBatchTopKSAE" => Matryoshka(file),
            _ => throw new DataException(path, "dict_class", $"is \"{name}\"; AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder, AutoEncoderTopK, BatchTopKSAE and MatryoshkaBatchTopKSAE have counterparts"),
        };
        config?.Section("trainer").RequireWidth("activation_dim", result.Shape.InputWidth);
        config?.Section("trainer").RequireWidth("dict_size", result.Shape.Latents);
        return config is null ? result : result with { Normaliser = config.Normaliser(result.Shape.InputWidth), Origin = config.Origin(result.Shape.Latents) ?? result.Origin };
    }

    private static string Guess(SaeTensorSource file, string path)
    {
        if (file.Contains("group_sizes")) return "MatryoshkaBatchTopKSAE";
        if (file.Contains("r_mag")) return "GatedAutoEncoder";
        if (file.Contains("W_enc")) return "JumpReluAutoEncoder";
        if (file.Contains("decoder.bias")) return "AutoEncoderNew";
        if (file.Contains("bias")) return "AutoEncoder";
        throw new DataException(path, null, file.Contains("k")
            ? "could be AutoEncoderTopK or BatchTopKSAE; name the folder with its config.json, which says which"
            : $"holds none of the classes of {Dictionaries}; it has {string.Join(", ", file.Names.Take(20))}");
    }

    private static SaeShape Extents(SaeTensorSource file, SaeArchitecture architecture)
    {
        (int d, int latents) = file.Matrix("W_enc");
        return new SaeShape { Architecture = architecture, InputWidth = d, Latents = latents };
    }

    private static SaeWeights Linear(SaeTensorSource file, SaeArchitecture architecture, string biasName, bool subtracted)
    {
        (int latents, int d) = file.Matrix("encoder.weight");
        SaeShape shape = new() { Architecture = architecture, InputWidth = d, Latents = latents, SubtractDecoderBias = subtracted };
        if (shape.HasActiveLatents) shape = shape with { ActiveLatents = ActiveLatents(file, latents) };
        return new SaeWeights
        {
            Shape = shape,
            Encoder = file.ReadTransposed("encoder.weight", latents, d),
            EncoderBias = file.Read("encoder.bias", latents),
            Threshold = shape.HasThreshold ? Threshold(file, latents) : null,
            Decoder = file.ReadTransposed("decoder.weight", d, latents),
            DecoderBias = file.Read(biasName, d),
        };
    }

    private static SaeWeights Gated(SaeTensorSource file)
    {
        (int latents, int d) = file.Matrix("encoder.weight");
        return new SaeWeights
        {
            Shape = new SaeShape { Architecture = SaeArchitecture.GatedOriginal, InputWidth = d, Latents = latents, SubtractDecoderBias = true },
            Encoder = file.ReadTransposed("encoder.weight", latents, d),
            EncoderBias = file.Read("mag_bias", latents),
            GateBias = file.Read("gate_bias", latents),
            MagnitudeScale = file.Read("r_mag", latents),
            Decoder = file.ReadTransposed("decoder.weight", d, latents),
            DecoderBias = file.Read("decoder_bias", d),
        };
    }

    private static SaeWeights Matryoshka(SaeTensorSource file)
    {
        SaeShape shape = Extents(file, SaeArchitecture.Matryoshka) with { SubtractDecoderBias = true };
        shape = shape with { ActiveLatents = ActiveLatents(file, shape.Latents) };
        return new SaeWeights
        {
            Shape = shape,
            Encoder = file.Read("W_enc", shape.InputWidth, shape.Latents),
            EncoderBias = file.Read("b_enc", shape.Latents),
            Threshold = Threshold(file, shape.Latents),
            Decoder = file.Read("W_dec", shape.Latents, shape.InputWidth),
            DecoderBias = file.Read("b_dec", shape.InputWidth),
            Origin = SaeOrigin.Of(shape, Groups(file, shape.Latents)),
        };
    }

    /// <summary>The nested widths: sums of the sizes of the groups. Null where there is one group only.</summary>
    private static int[]? Groups(SaeTensorSource file, int latents)
    {
        if (!file.Contains("group_sizes")) return null;
        float[] sizes = file.ReadVector("group_sizes");
        int[] widths = new int[sizes.Length];
        double sum = 0;
        for (int i = 0; i < widths.Length; i++) widths[i] = sizes[i] >= 1 && (sum += sizes[i]) <= latents ? (int)sum : throw file.Refuse("group_sizes", $"does not divide {latents} latents");
        return sum == latents ? widths.Length > 1 ? widths : null : throw file.Refuse("group_sizes", $"adds up to {sum}; {latents} was expected");
    }

    /// <summary>One threshold for all latents; −1 before training has set it, which lets everything above zero pass.</summary>
    private static float[] Threshold(SaeTensorSource file, int latents)
    {
        float[] thresholds = new float[latents];
        Array.Fill(thresholds, Math.Max(file.Read("threshold")[0], 0));
        return thresholds;
    }

    private static int ActiveLatents(SaeTensorSource file, int latents)
    {
        float k = file.Read("k")[0];
        return k >= 1 && k <= latents ? (int)k : throw file.Refuse("k", $"is {k}; 1 to {latents} was expected");
    }
}
