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
    /// <summary>Of the order of tokens, where that is not the model's own.</summary>
    public ulong StreamSeed { get; init; } = Seed;

    /// <summary>Rows that the order keeps together because they are made together; 0 for tokens that are read row by row.</summary>
    public int BlockRows { get; init; }

    /// <summary>Says what differs, or null.</summary>
    public string? Difference(SaeRunIdentity other)
    {
        if (Config != other.Config) return $"the configuration ({FirstDifference(Config, other.Config)})";
        if (Seed != other.Seed) return $"the seed ({other.Seed}, now {Seed})";
        if (StreamSeed != other.StreamSeed) return $"the seed of the order of tokens ({other.StreamSeed}, now {StreamSeed})";
        if (Order != other.Order) return $"the order of tokens ({other.Order.ToString().ToLowerInvariant()}, now {Order.ToString().ToLowerInvariant()})";
        if (TotalSteps != other.TotalSteps) return $"the number of steps ({other.TotalSteps}, now {TotalSteps})";
        if (Tokens != other.Tokens || InputWidth != other.InputWidth) return $"the tokens ({other.Tokens} x {other.InputWidth}, now {Tokens} x {InputWidth})";
        if (BlockRows != other.BlockRows) return $"the blocks of the shuffled order ({other.BlockRows} tokens, now {BlockRows}: images larger than 256 KiB are cut with a cache and whole without one)";
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

/// <summary>What a checkpoint holds besides weights, moments and usage.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Identity">Of the run.</param>
/// <param name="Log">train_log.csv so far.</param>
/// <param name="Telemetry">telemetry.csv so far.</param>
/// <param name="TokensSinceFired">Of every latent; empty in files from before they were counted.</param>
/// <param name="Training">Controllers and watches, as <see cref="SaeRun"/> writes them; empty in such files.</param>
internal sealed record SaeCheckpointState(long Step, SaeRunIdentity Identity, string Log, string Telemetry, long[] TokensSinceFired, double[] Training);

/// <summary>
/// The whole state after a number of steps in one safetensors file: weights, both moments, usage averages, logs, position, guarded by a SHA-256. A checkpoint
/// is written under another name, read back and compared, and only then takes the place of the one before, which stays as checkpoint.previous.safetensors:
/// there is a verified one on the disk at any moment.
/// </summary>
internal static class SaeCheckpoint
{
    public const string FileName = "checkpoint.safetensors", PreviousName = "checkpoint.previous.safetensors";
    private const string NextName = "checkpoint.next.safetensors", Format = "biosup-sae-checkpoint-1", Damaged = "damaged and cannot be resumed";

    /// <param name="onDisk">For tests: told the name under which a checkpoint was written, before it is read back.</param>
    public static void Write(string folder, SaeCheckpointState state, SaeModel model, SaeArrays first, SaeArrays second, Action<string>? onDisk = null)
    {
        string current = Path.Combine(folder, FileName), next = Path.Combine(folder, NextName);
        byte[] log = Encoding.UTF8.GetBytes(state.Log), telemetry = Encoding.UTF8.GetBytes(state.Telemetry);
        float[] mean = [.. model.Normaliser.Mean ?? []];
        Dictionary<string, string> metadata = Describe(state);
        using (Digest digest = new(metadata))
        {
            foreach ((_, DeviceBuffer<float> buffer, _) in Tensors(model, first, second)) digest.Add(buffer);
            metadata["sha256"] = digest.Finish(mean, log, telemetry, state);
        }
        try
        {
            SafetensorsFile.Write(next, writer =>
            {
                foreach ((string key, string value) in metadata) writer.AddMetadata(key, value);
                foreach ((string name, DeviceBuffer<float> buffer, long[] shape) in Tensors(model, first, second)) writer.Add(name, buffer, shape);
                writer.Add("token_mean", mean);
                writer.Add("train_log", log);
                writer.Add("telemetry", telemetry);
                writer.Add("tokens_since_fired", state.TokensSinceFired);
                writer.Add("training_state", state.Training);
            });
            onDisk?.Invoke(next);
            using (SafetensorsFile written = SafetensorsFile.Open(next)) RequireChecksum(written, next, model, first, second);
            if (File.Exists(current)) File.Move(current, Path.Combine(folder, PreviousName), overwrite: true);
            File.Move(next, current, overwrite: true);
        }
        catch (BiosupException)
        {
            Delete(next);
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DataException(current, null, $"the checkpoint could not be put in its place: {e.Message.TrimEnd('.')}", e);
        }
    }

    /// <summary>Fills model and moments from the newest checkpoint of the folder that is whole.</summary>
    /// <param name="warn">Told when that is not the newest.</param>
    /// <returns>The state; null when the folder has no checkpoint.</returns>
    /// <exception cref="DataException">Every one is truncated or damaged.</exception>
    /// <exception cref="UsageException">It belongs to another run.</exception>
    public static SaeCheckpointState? Read(string folder, SaeRunIdentity identity, SaeModel model, SaeArrays first, SaeArrays second, Action<string> warn)
    {
        DataException? problem = null;
        string current = Path.Combine(folder, FileName);
        foreach (string name in new[] { FileName, NextName, PreviousName })
        {
            string path = Path.Combine(folder, name);
            if (!File.Exists(path)) continue;
            try
            {
                SaeCheckpointState state = ReadFile(path, identity, model, first, second);
                if (problem is not null) warn($"{problem.Message.TrimEnd('.')}; the run continues from the checkpoint before it, at step {state.Step}.");
                // What is damaged must not become the previous checkpoint of the next one.
                if (name != FileName) File.Move(path, current, overwrite: true);
                return state;
            }
            catch (DataException e)
            {
                problem ??= e;
            }
        }
        return problem is null ? null : throw problem;
    }

    /// <summary>Removes what an earlier run left: it must not be taken for this one's.</summary>
    public static void Clear(string folder)
    {
        foreach (string name in new[] { FileName, NextName, PreviousName }) Delete(Path.Combine(folder, name));
    }

    private static SaeCheckpointState ReadFile(string path, SaeRunIdentity identity, SaeModel model, SaeArrays first, SaeArrays second)
    {
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            SaeCheckpointState state = Parse(file, path);
            if (identity.Difference(state.Identity) is { } difference)
                throw new UsageException($"{path} was made by another run, which differs in {difference}; use the same settings, or another --out folder without --resume.");
            float[] mean = RequireChecksum(file, path, model, first, second);
            foreach ((string name, DeviceBuffer<float> buffer, long[] shape) in Tensors(model, first, second)) buffer.CopyFrom(file.ReadVector(name, shape));
            if (mean.Length > 0) model.Normaliser = TokenNormaliser.ByMean(mean);
            return state;
        }
        catch (DataException e) when (!e.Message.Contains(Damaged, StringComparison.Ordinal))
        {
            throw new DataException(path, e.Location, $"the checkpoint is truncated or {Damaged} ({e.Message[(e.Message.IndexOf(": ", StringComparison.Ordinal) + 2)..].TrimEnd('.')})", e);
        }
    }

    private static float[] RequireChecksum(SafetensorsFile file, string path, SaeModel model, SaeArrays first, SaeArrays second)
    {
        SaeCheckpointState state = Parse(file, path);
        float[] mean = (float[])file.Read("token_mean").Values;
        using Digest digest = new(Describe(state));
        foreach ((string name, _, long[] shape) in Tensors(model, first, second)) digest.Add(file.ReadVector(name, shape));
        if (digest.Finish(mean, Encoding.UTF8.GetBytes(state.Log), Encoding.UTF8.GetBytes(state.Telemetry), state) == file.Metadata.GetValueOrDefault("sha256")) return mean;
        throw new DataException(path, null, $"the checksum does not match; the checkpoint is {Damaged}");
    }

    private static Dictionary<string, string> Describe(SaeCheckpointState s)
    {
        Dictionary<string, string> description = new()
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
        if (s.Identity.BlockRows > 0) description["block_rows"] = s.Identity.BlockRows.ToString(CultureInfo.InvariantCulture);
        if (s.Identity.StreamSeed != s.Identity.Seed) description["stream_seed"] = s.Identity.StreamSeed.ToString(CultureInfo.InvariantCulture);
        return description;
    }

    private static SaeCheckpointState Parse(SafetensorsFile file, string path)
    {
        IReadOnlyDictionary<string, string> m = file.Metadata;
        if (m.GetValueOrDefault("format") != Format) throw new DataException(path, "format", $"is '{m.GetValueOrDefault("format")}', expected '{Format}'");
        if (!(long.TryParse(m.GetValueOrDefault("step"), CultureInfo.InvariantCulture, out long step) && ulong.TryParse(m.GetValueOrDefault("seed"), CultureInfo.InvariantCulture, out ulong seed)
            && Enum.TryParse(m.GetValueOrDefault("order"), out TokenOrder order) && long.TryParse(m.GetValueOrDefault("total_steps"), CultureInfo.InvariantCulture, out long total)
            && long.TryParse(m.GetValueOrDefault("tokens"), CultureInfo.InvariantCulture, out long tokens) && int.TryParse(m.GetValueOrDefault("d_in"), CultureInfo.InvariantCulture, out int width)
            && m.GetValueOrDefault("config") is { } config && ulong.TryParse(m.GetValueOrDefault("stream_seed") ?? $"{seed}", CultureInfo.InvariantCulture, out ulong stream)
            && int.TryParse(m.GetValueOrDefault("block_rows") ?? "0", CultureInfo.InvariantCulture, out int blockRows)))
            throw new DataException(path, "__metadata__", "a key is missing or malformed");
        SaeRunIdentity identity = new(config, seed, order, total, tokens, width) { StreamSeed = stream, BlockRows = blockRows };
        return new SaeCheckpointState(step, identity, Text(file, "train_log"), Text(file, "telemetry"), Numbers<long>(file, "tokens_since_fired"), Numbers<double>(file, "training_state"));
    }

    private static IEnumerable<(string Name, DeviceBuffer<float> Buffer, long[] Shape)> Tensors(SaeModel model, SaeArrays first, SaeArrays second) =>
    [
        .. model.Arrays.Tensors(), .. first.Tensors().Select(t => ("first." + t.Name, t.Buffer, t.Shape)), .. second.Tensors().Select(t => ("second." + t.Name, t.Buffer, t.Shape)),
        ("usage_ema", model.Usage, [model.Latents]),
    ];

    private static string Text(SafetensorsFile file, string name) => file.Read(name).Values is byte[] bytes ? Encoding.UTF8.GetString(bytes) : "";

    private static T[] Numbers<T>(SafetensorsFile file, string name) => file.Contains(name) && file.Read(name).Values is T[] values ? values : [];

    private static void Delete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (IOException)
        {
            // A folder that cannot be written is met again, with a sentence, when something is written into it.
        }
    }

    /// <summary>SHA-256 over everything in the file, in a fixed order.</summary>
    private sealed class Digest : IDisposable
    {
        private const int Block = 1 << 22;
        private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private float[] _piece = [];

        public Digest(Dictionary<string, string> metadata)
        {
            foreach ((string key, string value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) _hash.AppendData(Encoding.UTF8.GetBytes($"{key}={value}\n"));
        }

        public void Add(DeviceBuffer<float> buffer)
        {
            for (long at = 0; at < buffer.Length; at += Block)
            {
                int length = (int)Math.Min(Block, buffer.Length - at);
                if (_piece.Length < length) _piece = new float[length];
                buffer.Device.Download(buffer.View.Slice(at, length), _piece.AsSpan(0, length));
                Add(_piece.AsSpan(0, length));
            }
        }

        public void Add(ReadOnlySpan<float> values) => _hash.AppendData(MemoryMarshal.AsBytes(values));

        public string Finish(float[] mean, byte[] log, byte[] telemetry, SaeCheckpointState state)
        {
            Add(mean);
            _hash.AppendData(log);
            _hash.AppendData(telemetry);
            _hash.AppendData(MemoryMarshal.AsBytes(state.TokensSinceFired.AsSpan()));
            _hash.AppendData(MemoryMarshal.AsBytes(state.Training.AsSpan()));
            return Convert.ToHexStringLower(_hash.GetHashAndReset());
        }

        public void Dispose() => _hash.Dispose();
    }
}
