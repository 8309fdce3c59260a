using System.Text.Json;
using System.Text.Json.Serialization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>The keys of a training configuration file; a key that is absent keeps the preset's value.</summary>
internal sealed class SaeConfigJson
{
    public string? Preset { get; set; }
    public string? Architecture { get; set; }
    public int? DSae { get; set; }
    public bool? Tied { get; set; }
    public int? Batch { get; set; }
    public int? Epochs { get; set; }
    public double? Lr { get; set; }
    public double? WeightDecay { get; set; }
    public double[]? Betas { get; set; }
    public string? LrSchedule { get; set; }
    public double? LrWarmupFraction { get; set; }
    public double? SparsityCoeff { get; set; }
    public string? SparsityScale { get; set; }
    public int? SparsityWarmupSteps { get; set; }
    public double? SparsityRampFraction { get; set; }
    public double? AuxCoeff { get; set; }
    public int? AuxK { get; set; }
    public bool? AuxDoubleBias { get; set; }
    public double? GradClip { get; set; }
    public double? UsageEma { get; set; }
    public double? InitScale { get; set; }
    public string? Ste { get; set; }
    public double? SteBandwidth { get; set; }
    public string? Normalise { get; set; }
    public string? Centring { get; set; }
    public int? LogEvery { get; set; }
    public int? CheckpointEvery { get; set; }
    public bool? LogRate { get; set; }
    public string? GpuPrecision { get; set; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true, NewLine = "\n")]
[JsonSerializable(typeof(SaeConfigJson))]
internal sealed partial class SaeConfigContext : JsonSerializerContext;

/// <summary>Training configurations as JSON: comments and trailing commas are allowed, unknown keys are errors.</summary>
public static class SaeConfigFile
{
    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
    private static readonly string[] s_keys = [.. typeof(SaeConfigJson).GetProperties().Select(p => JsonNamingPolicy.SnakeCaseLower.ConvertName(p.Name))];

    /// <summary>Reads a configuration file.</summary>
    /// <exception cref="UsageException">It is missing, is not JSON, has an unknown key or a value out of range; the sentence names file and key.</exception>
    public static SaeConfig Read(string path)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string reason = Directory.Exists(path) ? "it is a folder" : !File.Exists(path) ? "there is no such file" : e.Message.TrimEnd('.');
            throw new UsageException($"The configuration {path} cannot be read: {reason}.", e);
        }
        return Parse(text, path);
    }

    /// <summary>Parses a configuration.</summary>
    /// <param name="json">An object; every key is optional.</param>
    /// <param name="source">Name of the source, for messages.</param>
    /// <returns>The preset with the given keys changed, and whether "tied" and "d_sae" were given.</returns>
    public static SaeConfig Parse(string json, string source) => Resolve(Deserialise(json, source), source);

    /// <summary>Which of the keys that initial weights could decide the text itself gives.</summary>
    public static (bool Tied, bool Latents) Gives(string json, string source)
    {
        SaeConfigJson keys = Deserialise(json, source);
        return (keys.Tied is not null, keys.DSae is not null);
    }

    /// <summary>The complete configuration as it was resolved; parsing it gives the same configuration.</summary>
    public static string Write(SaeConfig c) => JsonSerializer.Serialize(ToJson(c), SaeConfigContext.Default.SaeConfigJson);

    private static SaeConfigJson Deserialise(string json, string source)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, s_lenient);
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new UsageException($"{source}: expected a JSON object.");
            HashSet<string> seen = [];
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                if (!s_keys.Contains(property.Name)) throw new UsageException($"{source}: there is no key '{property.Name}'; the keys are {string.Join(", ", s_keys)}.");
                if (!seen.Add(property.Name)) throw new UsageException($"{source}: the key '{property.Name}' is given twice.");
                if (property.Value.ValueKind == JsonValueKind.Null) throw new UsageException($"{source}: '{property.Name}' is null; leave the key out for its default.");
            }
            return JsonSerializer.Deserialize(json, SaeConfigContext.Default.SaeConfigJson)!;
        }
        catch (JsonException e)
        {
            string key = e.Path is { Length: > 2 } path ? $"'{path[2..]}' has a value of the wrong type" : $"not valid JSON (line {e.LineNumber + 1}, column {e.BytePositionInLine + 1})";
            throw new UsageException($"{source}: {key}.", e);
        }
    }

    private static SaeConfig Resolve(SaeConfigJson j, string source)
    {
        if (j.Architecture is not (null or "gated")) throw new UsageException($"{source}: 'architecture' is \"{j.Architecture}\"; expected \"gated\".");
        if (j.DSae < 1) throw new UsageException($"{source}: 'd_sae' is {j.DSae}; expected at least 1.");
        if (j.Batch < 1) throw new UsageException($"{source}: 'batch' is {j.Batch}; expected at least 1.");
        if (j.Betas is not (null or { Length: 2 })) throw new UsageException($"{source}: 'betas' has {j.Betas!.Length} numbers; expected two.");
        if (j.Preset is not (null or "default" or "paper")) throw new UsageException($"{source}: 'preset' is \"{j.Preset}\"; expected \"default\" or \"paper\".");
        SaeConfig p = SaeConfig.ForPreset(j.Preset ?? "default");
        SaeConfig resolved = p with
        {
            Latents = j.DSae ?? p.Latents,
            Tied = j.Tied ?? p.Tied,
            Batch = j.Batch ?? p.Batch,
            Epochs = j.Epochs ?? p.Epochs,
            LearningRate = j.Lr ?? p.LearningRate,
            WeightDecay = j.WeightDecay ?? p.WeightDecay,
            Beta1 = j.Betas?[0] ?? p.Beta1,
            Beta2 = j.Betas?[1] ?? p.Beta2,
            Schedule = Choose("lr_schedule", j.LrSchedule, p.Schedule, ("cosine", LearningRateSchedule.Cosine), ("linear", LearningRateSchedule.Linear), ("constant", LearningRateSchedule.Constant)),
            WarmupFraction = j.LrWarmupFraction ?? p.WarmupFraction,
            SparsityCoefficient = j.SparsityCoeff ?? p.SparsityCoefficient,
            SparsityScale = Choose("sparsity_scale", j.SparsityScale, p.SparsityScale, ("mean", SparsityScale.Mean), ("per_token", SparsityScale.PerToken)),
            SparsityWarmupSteps = j.SparsityWarmupSteps ?? p.SparsityWarmupSteps,
            SparsityRampFraction = j.SparsityRampFraction ?? p.SparsityRampFraction,
            AuxCoefficient = j.AuxCoeff ?? p.AuxCoefficient,
            AuxLatents = j.AuxK ?? p.AuxLatents,
            AuxDoubleBias = j.AuxDoubleBias ?? p.AuxDoubleBias,
            GradientClip = j.GradClip ?? p.GradientClip,
            UsageDecay = j.UsageEma ?? p.UsageDecay,
            InitialScale = j.InitScale ?? p.InitialScale,
            StraightThrough = Choose("ste", j.Ste, p.StraightThrough, ("exact", StraightThrough.Exact), ("windowed", StraightThrough.Windowed)),
            Bandwidth = j.SteBandwidth ?? p.Bandwidth,
            Normalisation = Choose("normalise", j.Normalise, p.Normalisation, ("none", TokenNormalisation.None), ("paper", TokenNormalisation.Paper)),
            Centring = Choose("centring", j.Centring, p.Centring, ("fixed", TokenCentring.Fixed), ("batch", TokenCentring.Batch)),
            LogEvery = j.LogEvery ?? p.LogEvery,
            CheckpointEvery = j.CheckpointEvery ?? p.CheckpointEvery,
            LogRate = j.LogRate ?? p.LogRate,
            GpuPrecision = Choose("gpu_precision", j.GpuPrecision, p.GpuPrecision, ("single", GemmPrecision.Single), ("bf16", GemmPrecision.BFloat16)),
        };
        resolved.Validate(source);
        return resolved;

        T Choose<T>(string key, string? text, T fallback, params ReadOnlySpan<(string Name, T Value)> choices)
        {
            if (text is null) return fallback;
            List<string> names = [];
            foreach ((string name, T value) in choices)
            {
                if (name == text) return value;
                names.Add($"\"{name}\"");
            }
            throw new UsageException($"{source}: '{key}' is \"{text}\"; expected {string.Join(" or ", names)}.");
        }
    }

    private static SaeConfigJson ToJson(SaeConfig c) => new()
    {
        Preset = c.Preset,
        Architecture = "gated",
        DSae = c.Latents == 0 ? null : c.Latents,
        Tied = c.Tied,
        Batch = c.Batch == 0 ? null : c.Batch,
        Epochs = c.Epochs,
        Lr = c.LearningRate,
        WeightDecay = c.WeightDecay,
        Betas = [c.Beta1, c.Beta2],
        LrSchedule = c.Schedule.ToString().ToLowerInvariant(),
        LrWarmupFraction = c.WarmupFraction,
        SparsityCoeff = c.SparsityCoefficient,
        SparsityScale = c.SparsityScale == SparsityScale.Mean ? "mean" : "per_token",
        SparsityWarmupSteps = c.SparsityWarmupSteps,
        SparsityRampFraction = c.SparsityRampFraction,
        AuxCoeff = c.AuxCoefficient,
        AuxK = c.AuxLatents,
        AuxDoubleBias = c.AuxDoubleBias,
        GradClip = c.GradientClip,
        UsageEma = c.UsageDecay,
        InitScale = c.InitialScale,
        Ste = c.StraightThrough.ToString().ToLowerInvariant(),
        SteBandwidth = c.Bandwidth,
        Normalise = c.Normalisation.ToString().ToLowerInvariant(),
        Centring = c.Centring.ToString().ToLowerInvariant(),
        LogEvery = c.LogEvery,
        CheckpointEvery = c.CheckpointEvery,
        LogRate = c.LogRate,
        // Left out where it changes nothing, as in configurations from before there was a choice.
        GpuPrecision = c.GpuPrecision == GemmPrecision.BFloat16 ? "bf16" : null,
    };
}
