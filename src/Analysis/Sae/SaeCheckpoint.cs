using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>What identifies a run: a checkpoint continues only the run it was made by.</summary>
internal sealed record SaeRunIdentity(string Config, ulong Seed, TokenOrder Order, long TotalSteps, long Tokens, int InputWidth)
{
    /// <summary>Says what differs, or null.</summary>
    public string? Difference(SaeRunIdentity other)
    {
        if (Config != other.Config) return $"the configuration ({FirstDifference(Config, other.Config)})";
        if (Seed != other.Seed) return $"the seed ({other.Seed}, now {Seed})";
        if (Order != other.Order) return $"the order of tokens ({other.Order.ToString().ToLowerInvariant()}, now {Order.ToString().ToLowerInvariant()})";
        if (TotalSteps != other.TotalSteps) return $"the number of steps ({other.TotalSteps}, now {TotalSteps})";
        if (Tokens != other.Tokens || InputWidth != other.InputWidth) return $"the tokens ({other.Tokens} x {other.InputWidth}, now {Tokens} x {InputWidth})";
        return null;
    }

    private static string FirstDifference(string now, string then)
    {
        string[] a = now.Split('\n'), b = then.Split('\n');
        for (int i = 0; i < Math.Min(a.Length, b.Length); i++)
            if (a[i] != b[i]) return $"{b[i].Trim().TrimEnd(',')}, now {a[i].Trim().TrimEnd(',')}";
        return "other keys";
    }
}

/// <summary>
/// The whole state after a number of steps in one safetensors file: weights, both moments, usage averages, logs, position. Written under another
/// name and renamed, and guarded by a checksum, so that a file is either complete or refused.
/// </summary>
internal static class SaeCheckpoint
{
    public const string FileName = "checkpoint.safetensors";
    private const string Format = "biosup-sae-checkpoint-1";

    public sealed record State(long Step, SaeRunIdentity Identity, string Log, string Telemetry);

    public static void Write(string folder, State state, SaeModel model, SaeArrays first, SaeArrays second)
    {
        byte[] log = Encoding.UTF8.GetBytes(state.Log), telemetry = Encoding.UTF8.GetBytes(state.Telemetry);
        float[] mean = [.. model.Normaliser.Mean ?? []];
        Dictionary<string, string> metadata = Describe(state);
        metadata["sha256"] = Checksum(metadata, Buffers(model, first, second), mean, log, telemetry);
        SafetensorsFile.Write(Path.Combine(folder, FileName), writer =>
        {
            foreach ((string key, string value) in metadata) writer.AddMetadata(key, value);
            Add("", model.Arrays);
            Add("first.", first);
            Add("second.", second);
            writer.Add("usage_ema", model.Usage, model.Latents);
            writer.Add("token_mean", mean);
            writer.Add("train_log", log);
            writer.Add("telemetry", telemetry);

            void Add(string prefix, SaeArrays arrays)
            {
                foreach ((string name, DeviceBuffer<float> buffer, long[] shape) in arrays.Tensors()) writer.Add(prefix + name, buffer, shape);
            }
        });
    }

    /// <summary>Fills model and moments from the folder's checkpoint.</summary>
    /// <returns>The state; null when the folder has no checkpoint.</returns>
    /// <exception cref="DataException">The file is truncated or damaged.</exception>
    /// <exception cref="UsageException">It belongs to another run.</exception>
    public static State? Read(string folder, SaeRunIdentity identity, SaeModel model, SaeArrays first, SaeArrays second)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            State state = Parse(file.Metadata, path, Text(file, "train_log"), Text(file, "telemetry"));
            if (identity.Difference(state.Identity) is { } difference)
                throw new UsageException($"{path} was made by another run, which differs in {difference}; use the same settings, or another --out folder without --resume.");
            Fill("", model.Arrays);
            Fill("first.", first);
            Fill("second.", second);
            model.Usage.CopyFrom(file.ReadVector("usage_ema", model.Latents));
            float[] mean = (float[])file.Read("token_mean").Values;
            Dictionary<string, string> metadata = Describe(state);
            string checksum = Checksum(metadata, Buffers(model, first, second), mean, Encoding.UTF8.GetBytes(state.Log), Encoding.UTF8.GetBytes(state.Telemetry));
            if (checksum != file.Metadata.GetValueOrDefault("sha256")) throw new DataException(path, null, "the checksum does not match; the checkpoint is damaged and cannot be resumed");
            if (mean.Length > 0) model.Normaliser = TokenNormaliser.ByMean(mean);
            return state;

            void Fill(string prefix, SaeArrays arrays)
            {
                foreach ((string name, DeviceBuffer<float> buffer, long[] shape) in arrays.Tensors()) buffer.CopyFrom(file.ReadVector(prefix + name, shape));
            }
        }
        catch (DataException e) when (!e.Message.Contains("checkpoint is damaged", StringComparison.Ordinal))
        {
            throw new DataException(path, e.Location, $"the checkpoint is truncated or damaged and cannot be resumed ({e.Message[(e.Message.IndexOf(": ", StringComparison.Ordinal) + 2)..]})", e);
        }
    }

    private static Dictionary<string, string> Describe(State s) => new()
    {
        ["format"] = Format,
        ["step"] = s.Step.ToString(CultureInfo.InvariantCulture),
        ["config"] = s.Identity.Config,
        ["seed"] = s.Identity.Seed.ToString(CultureInfo.InvariantCulture),
        ["order"] = s.Identity.Order.ToString(),
        ["total_steps"] = s.Identity.TotalSteps.ToString(CultureInfo.InvariantCulture),
        ["tokens"] = s.Identity.Tokens.ToString(CultureInfo.InvariantCulture),
        ["d_in"] = s.Identity.InputWidth.ToString(CultureInfo.InvariantCulture),
    };

    private static State Parse(IReadOnlyDictionary<string, string> m, string path, string log, string telemetry)
    {
        if (m.GetValueOrDefault("format") != Format) throw new DataException(path, "format", $"is '{m.GetValueOrDefault("format")}', expected '{Format}'");
        if (long.TryParse(m.GetValueOrDefault("step"), CultureInfo.InvariantCulture, out long step) && ulong.TryParse(m.GetValueOrDefault("seed"), CultureInfo.InvariantCulture, out ulong seed)
            && Enum.TryParse(m.GetValueOrDefault("order"), out TokenOrder order) && long.TryParse(m.GetValueOrDefault("total_steps"), CultureInfo.InvariantCulture, out long total)
            && long.TryParse(m.GetValueOrDefault("tokens"), CultureInfo.InvariantCulture, out long tokens) && int.TryParse(m.GetValueOrDefault("d_in"), CultureInfo.InvariantCulture, out int width)
            && m.GetValueOrDefault("config") is { } config)
            return new State(step, new SaeRunIdentity(config, seed, order, total, tokens, width), log, telemetry);
        throw new DataException(path, "__metadata__", "a key is missing or malformed");
    }

    private static IEnumerable<DeviceBuffer<float>> Buffers(SaeModel model, SaeArrays first, SaeArrays second) =>
        [.. model.Arrays.Tensors().Select(t => t.Buffer), .. first.Tensors().Select(t => t.Buffer), .. second.Tensors().Select(t => t.Buffer), model.Usage];

    private static string Checksum(Dictionary<string, string> metadata, IEnumerable<DeviceBuffer<float>> buffers, float[] mean, byte[] log, byte[] telemetry)
    {
        const int block = 1 << 22;
        float[] piece = [];
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string key, string value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) hash.AppendData(Encoding.UTF8.GetBytes($"{key}={value}\n"));
        foreach (DeviceBuffer<float> buffer in buffers)
            for (long at = 0; at < buffer.Length; at += block)
            {
                int length = (int)Math.Min(block, buffer.Length - at);
                if (piece.Length < length) piece = new float[length];
                buffer.Device.Download(buffer.View.Slice(at, length), piece.AsSpan(0, length));
                hash.AppendData(MemoryMarshal.AsBytes(piece.AsSpan(0, length)));
            }
        hash.AppendData(MemoryMarshal.AsBytes(mean.AsSpan()));
        hash.AppendData(log);
        hash.AppendData(telemetry);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Text(SafetensorsFile file, string name) => file.Read(name).Values is byte[] bytes ? Encoding.UTF8.GetString(bytes) : "";
}
