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
    public int? K { get; set; }
    public bool? SubtractDecoderBias { get; set; }
    public string? DecoderNorm { get; set; }
    public string? Init { get; set; }
    public double? TargetL0 { get; set; }
    public string? JumpreluLoss { get; set; }
    public double? TanhScale { get; set; }
    public double? PreActCoeff { get; set; }
    public double? ThresholdInit { get; set; }
    public int[]? Prefixes { get; set; }
    public double? PEnd { get; set; }
    public long? DeadAfterTokens { get; set; }
    public int? ResampleEvery { get; set; }
    public string? AuxKind { get; set; }
    public string? Optimiser { get; set; }
    public double? LrDecayFraction { get; set; }
    public int? ShuffleWindowMib { get; set; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true, NewLine = "\n")]
[JsonSerializable(typeof(SaeConfigJson))]
internal sealed partial class SaeConfigContext : JsonSerializerContext;

/// <summary>Training configurations as JSON: comments and trailing commas are allowed, unknown keys are errors.</summary>
public static partial class SaeConfigFile
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
        if (j.DSae < 1) throw new UsageException($"{source}: 'd_sae' is {j.DSae}; expected at least 1.");
        if (j.Batch < 1) throw new UsageException($"{source}: 'batch' is {j.Batch}; expected at least 1.");
        if (j.Betas is not (null or { Length: 2 })) throw new UsageException($"{source}: 'betas' has {j.Betas!.Length} numbers; expected two.");
        if (j.Preset is not (null or "default" or "paper")) throw new UsageException($"{source}: 'preset' is \"{j.Preset}\"; expected \"default\" or \"paper\".");
        SaeArchitecture architecture = Choose("architecture", j.Architecture, SaeArchitecture.Gated, s_architectures);
        if (j.Preset == "paper" && architecture != SaeArchitecture.Gated) throw new UsageException($"{source}: 'preset' is \"paper\", whose architecture is \"gated\", not \"{j.Architecture}\".");
        RefuseForeignKeys(j, architecture, source);
        SaeConfig p = SaeConfig.ForPreset(j.Preset ?? "default").For(architecture);
        JumpReluLoss loss = Choose("jumprelu_loss", j.JumpreluLoss, p.JumpReluLoss, s_losses);
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
            Schedule = Choose("lr_schedule", j.LrSchedule, p.Schedule, s_schedules),
            WarmupFraction = j.LrWarmupFraction ?? p.WarmupFraction,
            DecayFraction = j.LrDecayFraction ?? p.DecayFraction,
            ShuffleWindow = j.ShuffleWindowMib ?? p.ShuffleWindow,
            Optimiser = Choose("optimiser", j.Optimiser, p.Optimiser, s_optimisers),
            SparsityCoefficient = j.SparsityCoeff ?? (architecture == SaeArchitecture.JumpRelu ? SaeConfig.CoefficientOf(loss) : p.SparsityCoefficient),
            SparsityScale = Choose("sparsity_scale", j.SparsityScale, p.SparsityScale, s_scales),
            SparsityWarmupSteps = j.SparsityWarmupSteps ?? p.SparsityWarmupSteps,
            SparsityRampFraction = j.SparsityRampFraction ?? p.SparsityRampFraction,
            SparsityExponentEnd = j.PEnd ?? p.SparsityExponentEnd,
            TargetL0 = j.TargetL0 ?? p.TargetL0,
            AuxCoefficient = j.AuxCoeff ?? p.AuxCoefficient,
            AuxLatents = j.AuxK ?? p.AuxLatents,
            AuxDoubleBias = j.AuxDoubleBias ?? p.AuxDoubleBias,
            AuxChoice = Choose("aux_kind", j.AuxKind, p.AuxChoice, s_auxiliaries),
            DeadAfterTokens = j.DeadAfterTokens ?? p.DeadAfterTokens,
            ResampleEvery = j.ResampleEvery ?? p.ResampleEvery,
            GradientClip = j.GradClip ?? p.GradientClip,
            UsageDecay = j.UsageEma ?? p.UsageDecay,
            InitialScale = j.InitScale ?? p.InitialScale,
            Initialisation = Choose("init", j.Init, p.Initialisation, s_initialisations),
            InitialThreshold = j.ThresholdInit ?? p.InitialThreshold,
            ActiveLatents = j.K ?? (architecture == SaeArchitecture.Gated || j.DSae is null ? p.ActiveLatents : Math.Min(p.ActiveLatents, j.DSae.Value)),
            SubtractDecoderBias = j.SubtractDecoderBias ?? p.SubtractDecoderBias,
            DecoderNorm = Choose("decoder_norm", j.DecoderNorm, p.DecoderNorm, s_norms),
            JumpReluLoss = loss,
            TanhScale = j.TanhScale ?? p.TanhScale,
            PreActivationCoefficient = j.PreActCoeff ?? p.PreActivationCoefficient,
            Prefixes = j.Prefixes is null ? p.Prefixes : new SaePrefixes(j.Prefixes),
            StraightThrough = Choose("ste", j.Ste, p.StraightThrough, s_gates),
            Bandwidth = j.SteBandwidth ?? p.Bandwidth,
            Normalisation = Choose("normalise", j.Normalise, p.Normalisation, s_normalisations),
            Centring = Choose("centring", j.Centring, p.Centring, s_centrings),
            LogEvery = j.LogEvery ?? p.LogEvery,
            CheckpointEvery = j.CheckpointEvery ?? p.CheckpointEvery,
            LogRate = j.LogRate ?? p.LogRate,
            GpuPrecision = Choose("gpu_precision", j.GpuPrecision, p.GpuPrecision, s_precisions),
        };
        if (j.DeadAfterTokens == 0) throw new UsageException($"{source}: 'dead_after_tokens' is 0; expected at least 1.");
        if (j.TargetL0 == 0) throw new UsageException($"{source}: 'target_l0' is 0; expected more than 0.");
        if (j.InitScale == 0) throw new UsageException($"{source}: 'init_scale' is 0; expected more than 0.");
        resolved.Validate(source);
        return resolved;

        T Choose<T>(string key, string? text, T fallback, (string Name, T Value)[] choices)
        {
            if (text is null) return fallback;
            foreach ((string name, T value) in choices)
                if (name == text) return value;
            throw new UsageException($"{source}: '{key}' is \"{text}\"; expected {string.Join(" or ", choices.Select(c => $"\"{c.Name}\""))}.");
        }
    }

    /// <summary>A key that an architecture does not read is a misunderstanding, not a setting.</summary>
    private static void RefuseForeignKeys(SaeConfigJson j, SaeArchitecture architecture, string source)
    {
        bool selects = architecture is SaeArchitecture.TopK or SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka, jump = architecture == SaeArchitecture.JumpRelu;
        bool tanh = jump && j.JumpreluLoss == "tanh";
        Refuse(j.K is not null && !selects, "k", "which \"topk\", \"batchtopk\" and \"matryoshka\" have");
        Refuse(j.SparsityCoeff is > 0 && selects, "sparsity_coeff", "and 'k' alone decides how many latents are active");
        Refuse(j.JumpreluLoss is not null && !jump, "jumprelu_loss", "which \"jumprelu\" has");
        Refuse(j.ThresholdInit is not null && !jump, "threshold_init", "which \"jumprelu\" has");
        Refuse(j.TanhScale is not null && !tanh, "tanh_scale", "which \"jumprelu\" with 'jumprelu_loss' \"tanh\" has");
        Refuse(j.PreActCoeff is not null && !tanh, "pre_act_coeff", "which \"jumprelu\" with 'jumprelu_loss' \"tanh\" has");
        if (j.LrDecayFraction is not null && j.LrSchedule != "wsd") throw new UsageException($"{source}: 'lr_decay_fraction' is given, which only 'lr_schedule' \"wsd\" reads.");

        void Refuse(bool condition, string key, string why)
        {
            if (condition) throw new UsageException($"{source}: the architecture \"{Name(architecture)}\" has no '{key}', {why}.");
        }
    }
}
