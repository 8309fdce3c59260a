using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>How pre-activations z = x W_enc + b_enc become activations a. Formulas of losses and gradients: docs/sae.md.</summary>
public enum SaeArchitecture
{
    /// <summary>The paper's gate with a straight-through estimator (Park et al. 2026): a = 1[x W_gate + b_gate &gt; 0] relu(x W_mag + b_mag); tied: W_gate = W_mag.</summary>
    Gated,

    /// <summary>Gated autoencoder of Rajamanoharan et al. 2024 (arXiv 2404.16014): W_mag = W_gate · exp(r_mag), no gradient through the step, an auxiliary reconstruction from the gate.</summary>
    GatedOriginal,

    /// <summary>a = relu(z), L1 or L_p penalty.</summary>
    Relu,

    /// <summary>The k largest of relu(z) of every token (Gao et al. 2024, arXiv 2406.04093).</summary>
    TopK,

    /// <summary>The n·k largest of relu(z) of a batch of n tokens; outside training a fixed threshold (Bussmann et al. 2024, arXiv 2412.06410).</summary>
    BatchTopK,

    /// <summary>a = z · 1[z &gt; θ] with a threshold per latent (Rajamanoharan et al. 2024, arXiv 2407.14435).</summary>
    JumpRelu,

    /// <summary>BatchTopK whose prefixes of the dictionary reconstruct on their own (Bussmann et al. 2025, arXiv 2503.17547).</summary>
    Matryoshka,
}

/// <summary>What an autoencoder is besides its numbers: enough to allocate it and to encode with it.</summary>
public readonly record struct SaeShape
{
    public SaeShape() { }

    public SaeArchitecture Architecture { get; init; }

    /// <summary>d_in ≥ 1.</summary>
    public required int InputWidth { get; init; }

    /// <summary>d_sae ≥ 1.</summary>
    public required int Latents { get; init; }

    /// <summary>Whether the gate reads the magnitude weights; false only for <see cref="SaeArchitecture.Gated"/>.</summary>
    public bool Tied { get; init; } = true;

    /// <summary>k of the TopK family: active latents per token, or their mean per token.</summary>
    public int ActiveLatents { get; init; }

    /// <summary>The encoder sees x − b_dec instead of x.</summary>
    public bool SubtractDecoderBias { get; init; }

    /// <summary>A bias for the gate beside that of the magnitude.</summary>
    public bool HasGateBias => Architecture is SaeArchitecture.Gated or SaeArchitecture.GatedOriginal;

    /// <summary>r_mag, the logarithm of the ratio of magnitude to gate weights.</summary>
    public bool HasMagnitudeScale => Architecture == SaeArchitecture.GatedOriginal;

    /// <summary>A threshold per latent: a parameter of JumpReLU, a running average (the same for all latents) of the BatchTopK family.</summary>
    public bool HasThreshold => Architecture is SaeArchitecture.JumpRelu or SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka;

    /// <summary>A choice of the k largest.</summary>
    public bool HasActiveLatents => Architecture is SaeArchitecture.TopK or SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka;

    /// <summary>The paper's autoencoder.</summary>
    public static SaeShape Gated(int inputWidth, int latents, bool tied = true) => new() { InputWidth = inputWidth, Latents = latents, Tied = tied };

    /// <exception cref="ArgumentException">The widths or k are out of range, or an architecture without a gate is untied.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(InputWidth, 1, nameof(InputWidth));
        ArgumentOutOfRangeException.ThrowIfLessThan(Latents, 1, nameof(Latents));
        if (!Tied && Architecture != SaeArchitecture.Gated) throw new ArgumentException($"The architecture {Architecture} has no gate weights of its own.", nameof(Tied));
        if (HasActiveLatents && (ActiveLatents < 1 || ActiveLatents > Latents)) throw new ArgumentOutOfRangeException(nameof(ActiveLatents), $"k is {ActiveLatents}; expected 1 to {Latents}.");
    }
}
