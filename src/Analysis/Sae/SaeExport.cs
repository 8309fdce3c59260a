using System.Text.Json;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Layouts a model can be written in.</summary>
public enum SaeExportFormat
{
    /// <summary>W_enc, b_enc, threshold, W_dec, b_dec in one safetensors file: a = (x W_enc + b_enc) · 1[x W_enc + b_enc &gt; threshold].</summary>
    JumpRelu,

    /// <summary>A folder that SAELens loads: sae_weights.safetensors and cfg.json of its JumpReLU architecture.</summary>
    SaeLens,

    /// <summary>The reference's tensor names.</summary>
    Reference,
}

/// <summary>
/// Writes trained models for other programs. A tied gated autoencoder is a JumpReLU autoencoder: g − m = b_gate − b_mag is a constant of the latent,
/// so both conditions of the gate say m &gt; max(b_mag − b_gate, 0), and nothing is lost.
/// </summary>
public static class SaeExport
{
    /// <param name="model">Tied, except for <see cref="SaeExportFormat.Reference"/>.</param>
    /// <param name="format">Layout.</param>
    /// <param name="path">A file, or a folder for <see cref="SaeExportFormat.SaeLens"/>.</param>
    /// <exception cref="UsageException">The model is untied and the layout knows no separate gate.</exception>
    public static void Write(SaeModel model, SaeExportFormat format, string path)
    {
        if (format == SaeExportFormat.Reference)
        {
            SafetensorsFile.Write(path, writer =>
            {
                foreach ((string name, DeviceBuffer<float> buffer, long[] shape) in model.Arrays.Tensors()) writer.Add(name, buffer, shape);
                writer.Add("usage_ema", model.Usage, model.Latents);
                writer.Add("_tied_weights_flag", [(byte)(model.Tied ? 1 : 0)]);
            });
            return;
        }
        if (!model.Tied) throw new UsageException("An untied model has a gate of its own, which JumpReLU cannot hold; export it with --format reference.");
        string weights = format == SaeExportFormat.SaeLens ? Path.Combine(path, "sae_weights.safetensors") : path;
        SafetensorsFile.Write(weights, writer =>
        {
            writer.Add("W_enc", model.Arrays.Encoder.Buffer, model.InputWidth, model.Latents);
            writer.Add("b_enc", model.Arrays.EncoderBias, model.Latents);
            writer.Add("threshold", Thresholds(model));
            writer.Add("W_dec", model.Arrays.Decoder.Buffer, model.Latents, model.InputWidth);
            writer.Add("b_dec", model.Arrays.DecoderBias, model.InputWidth);
        });
        if (format == SaeExportFormat.SaeLens) AtomicFile.WriteAllText(Path.Combine(path, "cfg.json"), Configuration(model).ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n");
    }

    /// <summary>max(b_mag − b_gate, 0) of every latent.</summary>
    public static float[] Thresholds(SaeModel model)
    {
        float[] magnitude = new float[model.Latents], gate = new float[model.Latents], thresholds = new float[model.Latents];
        model.Arrays.EncoderBias.CopyTo(magnitude);
        model.Arrays.GateBias!.CopyTo(gate);
        for (int j = 0; j < thresholds.Length; j++) thresholds[j] = Math.Max(magnitude[j] - gate[j], 0);
        return thresholds;
    }

    private static JsonObject Configuration(SaeModel model) => new()
    {
        ["architecture"] = "jumprelu",
        ["d_in"] = model.InputWidth,
        ["d_sae"] = model.Latents,
        ["dtype"] = "float32",
        ["device"] = "cpu",
        ["apply_b_dec_to_input"] = false,
        ["normalize_activations"] = "none",
        ["reshape_activations"] = "none",
        // Without its version a configuration is taken for one from before SAELens 6, which knew no metadata, and loses them.
        ["metadata"] = new JsonObject { ["sae_lens_version"] = "6.0.0", ["trained_as"] = "gated, tied", ["normaliser"] = model.Normaliser.ToJson() },
    };
}
