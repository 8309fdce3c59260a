using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

public sealed partial record SaeConfig
{
    /// <summary>Refuses values that cannot be meant.</summary>
    /// <exception cref="UsageException">Names the key, the value and what was expected.</exception>
    public void Validate(string source)
    {
        Check(Latents >= 0, "d_sae", Latents, "at least 1");
        Check(Batch >= 0, "batch", Batch, "at least 1");
        Check(Epochs >= 1, "epochs", Epochs, "at least 1");
        Check(LearningRate is null or (>= 0 and < double.PositiveInfinity), "lr", LearningRate ?? 0, "at least 0");
        Check(WeightDecay >= 0 && double.IsFinite(WeightDecay), "weight_decay", WeightDecay, "at least 0");
        Check(Beta1 is >= 0 and < 1, "betas", Beta1, "two numbers from 0 up to, not including, 1");
        Check(Beta2 is >= 0 and < 1, "betas", Beta2, "two numbers from 0 up to, not including, 1");
        Check(WarmupFraction is >= 0 and <= 1, "lr_warmup_fraction", WarmupFraction, "0 to 1");
        Check(SparsityCoefficient >= 0 && double.IsFinite(SparsityCoefficient), "sparsity_coeff", SparsityCoefficient, "at least 0");
        Check(SparsityWarmupSteps >= 0, "sparsity_warmup_steps", SparsityWarmupSteps, "at least 0");
        Check(SparsityRampFraction is >= 0 and <= 1, "sparsity_ramp_fraction", SparsityRampFraction, "0 to 1");
        Check(AuxCoefficient >= 0 && double.IsFinite(AuxCoefficient), "aux_coeff", AuxCoefficient, "at least 0");
        Check(AuxLatents >= 0, "aux_k", AuxLatents, "at least 0");
        Check(GradientClip >= 0, "grad_clip", GradientClip, "at least 0 (0 does not clip)");
        Check(UsageDecay is >= 0 and < 1, "usage_ema", UsageDecay, "0 up to, not including, 1");
        Check(InitialScale >= 0 && double.IsFinite(InitialScale), "init_scale", InitialScale, "more than 0");
        Check(Bandwidth is null or (> 0 and < double.PositiveInfinity), "ste_bandwidth", Bandwidth ?? 0, "more than 0");
        Check(LogEvery >= 1, "log_every", LogEvery, "at least 1");
        Check(CheckpointEvery >= 0, "checkpoint_every", CheckpointEvery, "at least 0");
        Check(ActiveLatents >= 1 && (Latents == 0 || !HasActiveLatents || ActiveLatents <= Latents), "k", ActiveLatents, $"1 to d_sae{(Latents > 0 ? $", {Latents}" : "")}");
        Check(TargetL0 >= 0 && double.IsFinite(TargetL0), "target_l0", TargetL0, "more than 0");
        Check(TanhScale > 0 && double.IsFinite(TanhScale), "tanh_scale", TanhScale, "more than 0");
        Check(PreActivationCoefficient >= 0 && double.IsFinite(PreActivationCoefficient), "pre_act_coeff", PreActivationCoefficient, "at least 0");
        Check(InitialThreshold is null or (>= 0 and < double.PositiveInfinity), "threshold_init", InitialThreshold ?? 0, "at least 0");
        Check(SparsityExponentEnd is > 0 and <= 1, "p_end", SparsityExponentEnd, "more than 0 and at most 1");
        Check(ShuffleWindow is >= 1 and <= 1 << 20, "shuffle_window_mib", ShuffleWindow, "1 to 1048576");
        Check(DeadAfterTokens >= 0, "dead_after_tokens", DeadAfterTokens, "at least 1");
        Check(ResampleEvery >= 0, "resample_every", ResampleEvery, "at least 0 (0 never resamples)");
        Check(DecayFraction is > 0 and <= 1 && (Schedule != LearningRateSchedule.Wsd || DecayFraction + WarmupFraction <= 1), "lr_decay_fraction", DecayFraction, "more than 0, and with lr_warmup_fraction at most 1");
        ValidateCombination(source);

        void Check(bool condition, string key, double value, string expected)
        {
            if (!condition) throw new UsageException($"{source}: '{key}' is {value.ToString(CultureInfo.InvariantCulture)}; expected {expected}.");
        }
    }

    /// <summary>Values that are in range but do not go together.</summary>
    private void ValidateCombination(string source)
    {
        string architecture = SaeConfigFile.Name(Architecture);
        Refuse(!Tied && Architecture != SaeArchitecture.Gated, $"'tied' is false, but the architecture \"{architecture}\" has no gate weights of its own");
        Refuse(StraightThrough == StraightThrough.Windowed && Architecture != SaeArchitecture.Gated, $"'ste' is \"windowed\", but the architecture \"{architecture}\" has no straight-through gate");
        Refuse(TargetL0 > 0 && HasActiveLatents, $"'target_l0' is {Text(TargetL0)}, but in the architecture \"{architecture}\" the number of active latents is 'k'");
        Refuse(TargetL0 > 0 && SteersSparsity && SparsityCoefficient == 0, "'target_l0' needs a 'sparsity_coeff' above 0 to start from");
        Refuse(Architecture == SaeArchitecture.JumpRelu && JumpReluLoss == JumpReluLoss.QuadraticL0 && TargetL0 == 0, "'jumprelu_loss' is \"quadratic_l0\", which needs 'target_l0'");
        Refuse(SparsityExponentEnd < 1 && Architecture != SaeArchitecture.Relu, $"'p_end' is {Text(SparsityExponentEnd)}, but only the architecture \"relu\" anneals its penalty");
        Refuse(AuxLatents > 0 && Architecture == SaeArchitecture.GatedOriginal, $"'aux_k' is {AuxLatents}, but the auxiliary loss of \"gated-original\" is the reconstruction from its gate, which chooses no latents; expected 0");
        Refuse(AuxChoice == AuxiliaryChoice.ClosedGate && AuxCoefficient > 0 && AuxLatents > 0 && Architecture != SaeArchitecture.Gated, $"'aux_kind' is \"closed_gate\", but the architecture \"{architecture}\" has no closed gates; expected \"dead\"");
        Refuse(AuxChoice == AuxiliaryChoice.Dead && Architecture == SaeArchitecture.GatedOriginal, "'aux_kind' is \"dead\", but the auxiliary loss of \"gated-original\" is the reconstruction from its gate");
        Refuse(AuxDoubleBias && (Architecture != SaeArchitecture.Gated || AuxChoice != AuxiliaryChoice.ClosedGate), "'aux_double_bias' is true, which only the auxiliary loss of closed gates knows");
        if (Prefixes is not { Widths: var widths }) return;
        Refuse(Architecture != SaeArchitecture.Matryoshka, $"'prefixes' is given, but the architecture \"{architecture}\" has no nested dictionaries");
        bool ascending = widths.Count > 0 && widths[0] >= 1 && widths.Zip(widths.Skip(1)).All(pair => pair.First < pair.Second);
        Refuse(!ascending || (Latents > 0 && widths[^1] != Latents), $"'prefixes' is [{string.Join(", ", widths)}]; expected ascending widths, the last one d_sae{(Latents > 0 ? $", {Latents}" : "")}");

        void Refuse(bool condition, string problem)
        {
            if (condition) throw new UsageException($"{source}: {problem}.");
        }

        static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
    }
}
