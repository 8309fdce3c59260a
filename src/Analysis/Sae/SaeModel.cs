using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// A gated sparse autoencoder: its parameters, the moving average of latent usage, and how tokens are prepared for it. On disk a folder with
/// model.safetensors (the reference's tensor names) and config.json.
/// </summary>
public sealed class SaeModel : IDisposable
{
    public const string WeightsFile = "model.safetensors";
    public const string ConfigFile = "config.json";
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

    /// <summary>W_mag ~ scale · N(0, 1), b_gate = 0.1, other biases 0, W_dec the transposed W_mag with unit rows; a pure function of the seed.</summary>
    public static SaeModel Create(ComputeDevice device, int inputWidth, int latents, bool tied, double scale, ulong seed)
    {
        SaeModel model = new(new SaeArrays(device, SaeShape.Gated(inputWidth, latents, tied)), device.Allocate<float>(latents), TokenNormaliser.None);
        float[] weights = Normal(seed, MagnitudeStream);
        model.Arrays.Encoder.Buffer.CopyFrom(weights);
        if (!tied) model.Arrays.Gate!.Buffer.CopyFrom(Normal(seed, GateStream));
        float[] decoder = new float[weights.Length], bias = new float[latents];
        for (int j = 0; j < latents; j++)
        {
            double squares = 0;
            for (int i = 0; i < inputWidth; i++) squares += (double)weights[(long)i * latents + j] * weights[(long)i * latents + j];
            double norm = Math.Max(Math.Sqrt(squares), 1e-12);
            for (int i = 0; i < inputWidth; i++) decoder[(long)j * inputWidth + i] = (float)(weights[(long)i * latents + j] / norm);
        }
        model.Arrays.Decoder.Buffer.CopyFrom(decoder);
        Array.Fill(bias, 0.1f);
        model.Arrays.GateBias!.CopyFrom(bias);
        return model;

        float[] Normal(ulong key, ulong stream)
        {
            CounterRandom random = new(key, stream);
            float[] values = new float[(long)inputWidth * latents];
            for (int i = 0; i < values.Length; i++) values[i] = (float)(scale * random.NextNormal());
            return values;
        }
    }

    /// <summary>Reads weights under the reference's names; usage_ema may be absent, W_gate marks an untied model.</summary>
    /// <param name="device">Where the parameters go.</param>
    /// <param name="path">A safetensors file.</param>
    public static SaeModel LoadWeights(ComputeDevice device, string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        IReadOnlyList<long> shape = file.Entry("W_mag").Shape;
        if (shape.Count != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > int.MaxValue || shape[1] > int.MaxValue)
            throw new DataException(path, "W_mag", $"has the shape [{string.Join(", ", shape)}]; [d_in, d_sae] was expected");
        int d = (int)shape[0], latents = (int)shape[1];
        bool tied = !file.Contains("W_gate");
        SaeModel model = new(new SaeArrays(device, SaeShape.Gated(d, latents, tied)), device.Allocate<float>(latents), TokenNormaliser.None);
        try
        {
            foreach ((string name, DeviceBuffer<float> buffer, long[] extents) in model.Arrays.Tensors()) buffer.CopyFrom(Finite(file.ReadVector(name, extents), name, extents, path));
            if (file.Contains("usage_ema")) model.Usage.CopyFrom(Finite(file.ReadVector("usage_ema", latents), "usage_ema", [latents], path));
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
        SaeModel model = LoadWeights(device, weights);
        string config = Path.Combine(folder, ConfigFile);
        if (File.Exists(config)) model.Normaliser = TokenNormaliser.FromJson(ReadObject(config), config, model.InputWidth);
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
        JsonObject config = new() { ["format"] = "biosup-gated-sae", ["version"] = 1, ["d_in"] = InputWidth, ["d_sae"] = Latents, ["tied"] = Tied, ["normaliser"] = Normaliser.ToJson() };
        foreach ((string key, JsonNode? value) in training ?? []) config[key] = value?.DeepClone();
        AtomicFile.WriteAllText(Path.Combine(folder, ConfigFile), config.ToJsonString(s_indented) + "\n");
    }

    public void Dispose()
    {
        Arrays.Dispose();
        Usage.Dispose();
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
