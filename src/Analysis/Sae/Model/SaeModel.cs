using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// A sparse autoencoder: its parameters, the moving average of latent usage, and how tokens are prepared for it. On disk a folder with
/// model.safetensors (for gated ones the reference's tensor names) and config.json, which says what the tensors' names leave open.
/// </summary>
public sealed class SaeModel : IDisposable
{
    public const string WeightsFile = "model.safetensors";
    public const string ConfigFile = "config.json";
    internal const float InitialGateBias = 0.1f;
    private const ulong MagnitudeStream = 0x5AE1, GateStream = 0x5AE2;

    private SaeModel(SaeArrays arrays, DeviceBuffer<float> usage, TokenNormaliser normaliser)
    {
        Arrays = arrays;
        Usage = usage;
        Normaliser = normaliser;
    }

    public ComputeDevice Device => Arrays.Device;
    public SaeShape Shape => Arrays.Shape;
    public int InputWidth => Shape.InputWidth;
    public int Latents => Shape.Latents;
    public bool Tied => Shape.Tied;

    /// <summary>Views for the kernels.</summary>
    public SaeParameters Parameters => Arrays.View;

    /// <summary>Moving average of the share of tokens on which a latent is active [d_sae]; starts at 0.</summary>
    public DeviceBuffer<float> Usage { get; }

    /// <summary>Decoder [d_sae, d_in]: one unit row per latent.</summary>
    public Matrix<float> Decoder => Arrays.Decoder;

    /// <summary>What is done to tokens before the encoder.</summary>
    public TokenNormaliser Normaliser { get; internal set; }

    internal SaeArrays Arrays { get; }

    /// <summary>A model whose parameters are all zero.</summary>
    public static SaeModel Allocate(ComputeDevice device, in SaeShape shape, TokenNormaliser? normaliser = null) =>
        new(new SaeArrays(device, shape), device.Allocate<float>(shape.Latents), normaliser ?? TokenNormaliser.None);

    /// <summary>W_mag ~ scale · N(0, 1), b_gate = 0.1, other biases 0, W_dec the transposed W_mag with unit rows; a pure function of the seed.</summary>
    public static SaeModel Create(ComputeDevice device, int inputWidth, int latents, bool tied, double scale, ulong seed) =>
        Create(device, new SaeConfig { Latents = latents, Tied = tied, InitialScale = scale }, inputWidth, seed);

    /// <summary>
    /// Encoder (of a gated model: of the magnitude) ~ scale · N(0, 1), decoder its transpose with unit rows, biases 0 except b_gate = 0.1 of the paper's
    /// gate, thresholds as configured, 0 where the tokens decide them; a pure function of the seed.
    /// </summary>
    /// <param name="device">Where the parameters go.</param>
    /// <param name="config">Architecture and start; d_sae must be known. Centroids take the place of these weights later (<see cref="CentroidStart"/>).</param>
    /// <param name="inputWidth">d_in.</param>
    /// <param name="seed">Of the weights.</param>
    public static SaeModel Create(ComputeDevice device, SaeConfig config, int inputWidth, ulong seed)
    {
        SaeModel model = Allocate(device, config.Shape(inputWidth));
        int latents = model.Latents;
        double scale = config.ScaleFor(inputWidth);
        float[] weights = Normal(MagnitudeStream);
        model.Arrays.Encoder.Buffer.CopyFrom(weights);
        model.Arrays.Gate?.Buffer.CopyFrom(Normal(GateStream));
        float[] decoder = new float[weights.Length];
        for (int j = 0; j < latents; j++)
        {
            double squares = 0;
            for (int i = 0; i < inputWidth; i++) squares += (double)weights[(long)i * latents + j] * weights[(long)i * latents + j];
            double norm = Math.Max(Math.Sqrt(squares), 1e-12);
            for (int i = 0; i < inputWidth; i++) decoder[(long)j * inputWidth + i] = (float)(weights[(long)i * latents + j] / norm);
        }
        model.Arrays.Decoder.Buffer.CopyFrom(decoder);
        if (config.Architecture == SaeArchitecture.Gated) model.Arrays.GateBias!.CopyFrom([.. Enumerable.Repeat(InitialGateBias, latents)]);
        if (config.Architecture == SaeArchitecture.JumpRelu) model.Arrays.Threshold!.CopyFrom([.. Enumerable.Repeat((float)(config.InitialThreshold ?? 0), latents)]);
        return model;

        float[] Normal(ulong stream)
        {
            CounterRandom random = new(seed, stream);
            float[] values = new float[(long)inputWidth * latents];
            for (int i = 0; i < values.Length; i++) values[i] = (float)(scale * random.NextNormal());
            return values;
        }
    }

    /// <summary>Reads weights; usage_ema may be absent, W_gate marks an untied model.</summary>
    /// <param name="device">Where the parameters go.</param>
    /// <param name="path">A safetensors file.</param>
    /// <param name="expected">What the autoencoder is, the widths left to the file; null goes by the names: W_mag gated, W_enc with r_mag the original
    /// gated, with a threshold JumpReLU, without one ReLU.</param>
    public static SaeModel LoadWeights(ComputeDevice device, string path, SaeShape? expected = null)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        SaeArchitecture architecture = expected?.Architecture ?? Guess(file);
        string encoder = architecture == SaeArchitecture.Gated ? "W_mag" : "W_enc";
        IReadOnlyList<long> extents = file.Entry(encoder).Shape;
        if (extents.Count != 2 || extents[0] < 1 || extents[1] < 1 || extents[0] > int.MaxValue || extents[1] > int.MaxValue)
            throw new DataException(path, encoder, $"has the shape [{string.Join(", ", extents)}]; [d_in, d_sae] was expected");
        SaeShape shape = (expected ?? new SaeShape { Architecture = architecture, InputWidth = 1, Latents = 1 }) with
        {
            InputWidth = (int)extents[0],
            Latents = (int)extents[1],
            Tied = architecture != SaeArchitecture.Gated || !file.Contains("W_gate"),
        };
        if (shape.HasActiveLatents && shape.ActiveLatents > shape.Latents) throw new DataException(path, encoder, $"has {shape.Latents} columns, fewer than k, {shape.ActiveLatents}");
        SaeModel model = Allocate(device, shape);
        try
        {
            foreach ((string name, DeviceBuffer<float> buffer, long[] size) in model.Arrays.Tensors()) buffer.CopyFrom(Finite(file.ReadVector(name, size), name, size, path));
            if (file.Contains("usage_ema")) model.Usage.CopyFrom(Finite(file.ReadVector("usage_ema", model.Latents), "usage_ema", [model.Latents], path));
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads a model folder.</summary>
    public static SaeModel Load(ComputeDevice device, string folder)
    {
        if (!Directory.Exists(folder)) throw new DataException(folder, null, "there is no such folder; the output folder of 'biosup sae train' was expected");
        string weights = Path.Combine(folder, WeightsFile);
        if (!File.Exists(weights)) throw new DataException(folder, null, $"the folder has no {WeightsFile}; training may not have finished");
        string config = Path.Combine(folder, ConfigFile);
        if (!File.Exists(config)) return LoadWeights(device, weights);
        JsonObject json = ReadObject(config);
        SaeModel model = LoadWeights(device, weights, ShapeOf(json, config));
        model.Normaliser = TokenNormaliser.FromJson(json, config, model.InputWidth);
        return model;
    }

    /// <summary>Writes model.safetensors and config.json.</summary>
    public void Save(string folder, JsonObject? training = null)
    {
        SafetensorsFile.Write(Path.Combine(folder, WeightsFile), writer =>
        {
            foreach ((string name, DeviceBuffer<float> buffer, long[] extents) in Arrays.Tensors()) writer.Add(name, buffer, extents);
            writer.Add("usage_ema", Usage, Latents);
        });
        JsonObject config = new()
        {
            ["format"] = Shape.Architecture == SaeArchitecture.Gated ? "biosup-gated-sae" : "biosup-sae",
            ["version"] = 1,
            ["architecture"] = SaeConfigFile.Name(Shape.Architecture),
            ["d_in"] = InputWidth,
            ["d_sae"] = Latents,
            ["tied"] = Tied,
        };
        if (Shape.HasActiveLatents) config["k"] = Shape.ActiveLatents;
        if (Shape.SubtractDecoderBias) config["subtract_decoder_bias"] = true;
        config["normaliser"] = Normaliser.ToJson();
        foreach ((string key, JsonNode? value) in training ?? []) config[key] = value?.DeepClone();
        AtomicFile.WriteAllText(Path.Combine(folder, ConfigFile), config.ToJsonString(s_indented) + "\n");
    }

    public void Dispose()
    {
        Arrays.Dispose();
        Usage.Dispose();
    }

    private static SaeArchitecture Guess(SafetensorsFile file) => file.Contains("W_mag") || !file.Contains("W_enc") ? SaeArchitecture.Gated
        : file.Contains("r_mag") ? SaeArchitecture.GatedOriginal : file.Contains("threshold") ? SaeArchitecture.JumpRelu : SaeArchitecture.Relu;

    /// <summary>What config.json says besides the widths; files of the first version say nothing and are gated.</summary>
    private static SaeShape ShapeOf(JsonObject json, string path)
    {
        try
        {
            string name = json["architecture"]?.GetValue<string>() ?? "gated";
            SaeArchitecture architecture = SaeConfigFile.ArchitectureOf(name) ?? throw new DataException(path, "architecture", $"is \"{name}\", which this version does not know");
            SaeShape shape = new()
            {
                Architecture = architecture,
                InputWidth = 1,
                Latents = 1,
                ActiveLatents = json["k"]?.GetValue<int>() ?? 0,
                SubtractDecoderBias = json["subtract_decoder_bias"]?.GetValue<bool>() ?? false,
            };
            if (shape.HasActiveLatents && shape.ActiveLatents < 1) throw new DataException(path, "k", "is missing; the number of active latents was expected");
            return shape;
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw new DataException(path, "architecture", "or 'k' or 'subtract_decoder_bias' is malformed", e);
        }
    }

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true, NewLine = "\n" };

    private static float[] Finite(float[] values, string name, long[] shape, string path)
    {
        int at = Array.FindIndex(values, v => !float.IsFinite(v));
        if (at < 0) return values;
        string where = shape.Length == 2 ? $"row {at / shape[1]}, column {at % shape[1]}" : $"element {at}";
        throw new DataException(path, $"{name}, {where}", $"is {values[at]}; weights must be finite");
    }

    private static JsonObject ReadObject(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new DataException(path, null, "is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new DataException(path, $"line {e.LineNumber + 1}", "is not valid JSON", e);
        }
    }
}
