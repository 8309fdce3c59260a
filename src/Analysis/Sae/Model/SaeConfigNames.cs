using System.Text.Json;
using BioSup.Kernels;

namespace BioSup.Analysis.Sae;

/// <summary>Names of choices in a configuration, and the configuration as text.</summary>
public static partial class SaeConfigFile
{
    private static readonly (string Name, SaeArchitecture Value)[] s_architectures =
    [
        ("gated", SaeArchitecture.Gated), ("gated-original", SaeArchitecture.GatedOriginal), ("relu", SaeArchitecture.Relu), ("topk", SaeArchitecture.TopK),
        ("batchtopk", SaeArchitecture.BatchTopK), ("jumprelu", SaeArchitecture.JumpRelu), ("matryoshka", SaeArchitecture.Matryoshka),
    ];
    private static readonly (string Name, LearningRateSchedule Value)[] s_schedules =
        [("cosine", LearningRateSchedule.Cosine), ("linear", LearningRateSchedule.Linear), ("constant", LearningRateSchedule.Constant), ("wsd", LearningRateSchedule.Wsd)];
    private static readonly (string Name, SaeOptimiser Value)[] s_optimisers = [("adamw", SaeOptimiser.AdamW), ("muon", SaeOptimiser.Muon)];
    private static readonly (string Name, SparsityScale Value)[] s_scales = [("mean", SparsityScale.Mean), ("per_token", SparsityScale.PerToken)];
    private static readonly (string Name, AuxiliaryChoice Value)[] s_auxiliaries = [("closed_gate", AuxiliaryChoice.ClosedGate), ("dead", AuxiliaryChoice.Dead)];
    private static readonly (string Name, SaeInitialisation Value)[] s_initialisations = [("transpose", SaeInitialisation.Transpose), ("centroids", SaeInitialisation.Centroids)];
    private static readonly (string Name, DecoderNorm Value)[] s_norms = [("unit", DecoderNorm.Unit), ("free", DecoderNorm.Free)];
    private static readonly (string Name, JumpReluLoss Value)[] s_losses = [("l0", JumpReluLoss.L0), ("tanh", JumpReluLoss.Tanh), ("quadratic_l0", JumpReluLoss.QuadraticL0)];
    private static readonly (string Name, StraightThrough Value)[] s_gates = [("exact", StraightThrough.Exact), ("windowed", StraightThrough.Windowed)];
    private static readonly (string Name, TokenNormalisation Value)[] s_normalisations = [("none", TokenNormalisation.None), ("paper", TokenNormalisation.Paper)];
    private static readonly (string Name, TokenCentring Value)[] s_centrings = [("fixed", TokenCentring.Fixed), ("batch", TokenCentring.Batch)];
    private static readonly (string Name, GemmPrecision Value)[] s_precisions = [("single", GemmPrecision.Single), ("bf16", GemmPrecision.BFloat16)];

    /// <summary>The architecture as configurations and files name it.</summary>
    public static string Name(SaeArchitecture architecture) => Name(architecture, s_architectures);

    /// <summary>The architecture of that name; null when there is none.</summary>
    public static SaeArchitecture? ArchitectureOf(string name)
    {
        foreach ((string known, SaeArchitecture value) in s_architectures)
            if (known == name) return value;
        return null;
    }

    /// <summary>The complete configuration as it was resolved; parsing it gives the same configuration.</summary>
    /// <remarks>Keys that stand at the default of the architecture are left out where they came later than others, so that texts of earlier runs stay what they were.</remarks>
    public static string Write(SaeConfig c)
    {
        SaeConfig p = SaeConfig.ForPreset(c.Preset).For(c.Architecture);
        SaeConfigJson json = new()
        {
            Preset = c.Preset,
            Architecture = Name(c.Architecture),
            DSae = c.Latents == 0 ? null : c.Latents,
            Tied = c.Tied,
            Batch = c.Batch == 0 ? null : c.Batch,
            Epochs = c.Epochs,
            Lr = c.LearningRate,
            WeightDecay = c.WeightDecay,
            Betas = [c.Beta1, c.Beta2],
            LrSchedule = Name(c.Schedule, s_schedules),
            LrWarmupFraction = c.WarmupFraction,
            SparsityCoeff = c.HasActiveLatents && c.SparsityCoefficient == 0 ? null : c.SparsityCoefficient,
            SparsityScale = Name(c.SparsityScale, s_scales),
            SparsityWarmupSteps = c.SparsityWarmupSteps,
            SparsityRampFraction = c.SparsityRampFraction,
            AuxCoeff = c.AuxCoefficient,
            AuxK = c.AuxLatents,
            AuxDoubleBias = c.AuxDoubleBias,
            GradClip = c.GradientClip,
            UsageEma = c.UsageDecay,
            InitScale = c.InitialScale == 0 ? null : c.InitialScale,
            Ste = Name(c.StraightThrough, s_gates),
            SteBandwidth = c.Bandwidth,
            Normalise = Name(c.Normalisation, s_normalisations),
            Centring = Name(c.Centring, s_centrings),
            LogEvery = c.LogEvery,
            CheckpointEvery = c.CheckpointEvery,
            LogRate = c.LogRate,
            GpuPrecision = c.GpuPrecision == p.GpuPrecision ? null : Name(c.GpuPrecision, s_precisions),
            K = c.HasActiveLatents ? c.ActiveLatents : null,
            SubtractDecoderBias = c.SubtractDecoderBias == p.SubtractDecoderBias && !c.SubtractDecoderBias ? null : c.SubtractDecoderBias,
            DecoderNorm = c.DecoderNorm == p.DecoderNorm ? null : Name(c.DecoderNorm, s_norms),
            Init = c.Initialisation == p.Initialisation ? null : Name(c.Initialisation, s_initialisations),
            TargetL0 = c.TargetL0 == 0 ? null : c.TargetL0,
            JumpreluLoss = c.Architecture == SaeArchitecture.JumpRelu ? Name(c.JumpReluLoss, s_losses) : null,
            TanhScale = c.TanhScale == p.TanhScale ? null : c.TanhScale,
            PreActCoeff = c.PreActivationCoefficient == p.PreActivationCoefficient ? null : c.PreActivationCoefficient,
            ThresholdInit = c.Architecture == SaeArchitecture.JumpRelu ? c.InitialThreshold : null,
            Prefixes = c.Prefixes is null ? null : [.. c.Prefixes.Widths],
            PEnd = c.SparsityExponentEnd == 1 ? null : c.SparsityExponentEnd,
            DeadAfterTokens = c.DeadAfterTokens == 0 ? null : c.DeadAfterTokens,
            ResampleEvery = c.ResampleEvery == 0 ? null : c.ResampleEvery,
            AuxKind = c.AuxChoice == AuxiliaryChoice.ClosedGate ? null : Name(c.AuxChoice, s_auxiliaries),
            Optimiser = c.Optimiser == p.Optimiser ? null : Name(c.Optimiser, s_optimisers),
            ShuffleWindowMib = c.ShuffleWindow == SaeConfig.Default.ShuffleWindow ? null : c.ShuffleWindow,
            LrDecayFraction = c.Schedule == LearningRateSchedule.Wsd ? c.DecayFraction : null,
        };
        return JsonSerializer.Serialize(json, SaeConfigContext.Default.SaeConfigJson);
    }

    private static string Name<T>(T value, (string Name, T Value)[] choices) where T : struct, Enum => choices.First(c => c.Value.Equals(value)).Name;
}
