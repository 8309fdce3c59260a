using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Forward and backward pass of the gated sparse autoencoder with a straight-through gate:
/// g = t W_gate + b_gate, m = t W_mag + b_mag, a = 1[g &gt; 0] relu(m), reconstruction = a W_dec + b_dec, where a tied model has W_gate = W_mag.
/// Losses: mean squared error per token, λ Σ relu(g) ‖W_dec,j‖, and the auxiliary reconstruction of the residual by the largest closed-gate magnitudes.
/// A tied model costs one encoder product, one product r W_decᵀ and one product Tᵀ dz; decoding and dW_dec touch active pairs only while those are
/// few. Bytes of the result depend on the inputs and the variant, not on the number of threads. Warm calls allocate nothing.
/// </summary>
public static partial class SaeStep
{
    private const string Operation = "SaeStep";

    /// <summary>Losses of one batch and the gradients of their weighted sum.</summary>
    /// <param name="tokens">[n, d_in], finite, n ≥ 1.</param>
    /// <param name="parameters">The model.</param>
    /// <param name="gradients">Overwritten; shapes of the parameters.</param>
    /// <param name="objective">Coefficients at this step.</param>
    /// <param name="workspace">Made for these widths on this device.</param>
    /// <param name="statistics">Overwritten.</param>
    public static void Run(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, in SaeObjective objective,
        SaeWorkspace workspace, SaeStatistics statistics)
    {
        Validate(tokens, parameters, workspace);
        gradients.Validate(nameof(gradients), workspace.Shape);
        if (objective.ChosenAuxiliary(workspace.Shape) > workspace.AuxLatents)
            throw new ArgumentException($"The workspace was made for {workspace.AuxLatents} auxiliary latents, {objective.AuxLatents} are asked for.", nameof(workspace));
        objective.Validate(workspace.Shape);
        Dispatch(tokens, parameters, gradients, true, objective, workspace, statistics);
    }

    /// <summary>Losses and counts of one batch without gradients; the auxiliary loss is 0, as it is outside training.</summary>
    public static void Evaluate(MatrixView<float> tokens, SaeParameters parameters, in SaeObjective objective, SaeWorkspace workspace, SaeStatistics statistics)
    {
        Validate(tokens, parameters, workspace);
        objective.Validate(workspace.Shape);
        Dispatch(tokens, parameters, default, false, objective, workspace, statistics);
    }

    /// <summary>Activations of a batch.</summary>
    /// <param name="tokens">[n, d_in].</param>
    /// <param name="parameters">The model.</param>
    /// <param name="workspace">Made for these widths on this device.</param>
    /// <param name="activations">[n, d_sae], overwritten.</param>
    public static void Encode(MatrixView<float> tokens, SaeParameters parameters, SaeWorkspace workspace, MatrixView<float> activations)
    {
        if (tokens.Rows == 0) return;
        Validate(tokens, parameters, workspace);
        if (activations.Rows != tokens.Rows || activations.Columns != parameters.Latents)
            throw new ArgumentException($"The activations must be {tokens.Rows} x {parameters.Latents}, are {activations.Rows} x {activations.Columns}.", nameof(activations));
        if (workspace.Cuda is not null)
        {
            EncodeCuda(tokens, parameters, workspace, activations);
            return;
        }
        switch (KernelDispatch.Select(Operation))
        {
            case KernelVariant.Avx512: SaeEngine<Simd512<float>, Vector512<float>>.Encode(tokens, parameters, workspace, activations); break;
            case KernelVariant.Avx2: SaeEngine<Simd256<float>, Vector256<float>>.Encode(tokens, parameters, workspace, activations); break;
            case KernelVariant.Portable: SaeEngine<Simd128<float>, Vector128<float>>.Encode(tokens, parameters, workspace, activations); break;
            default: EncodeReference(tokens, parameters, workspace, activations); break;
        }
    }

    private static void Dispatch(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective,
        SaeWorkspace workspace, SaeStatistics statistics)
    {
        if (workspace.Cuda is not null)
        {
            RunCuda(tokens, parameters, gradients, backward, objective, workspace, statistics);
            return;
        }
        workspace.BatchTokens = tokens.Rows;
        switch (KernelDispatch.Select(Operation))
        {
            case KernelVariant.Avx512: SaeEngine<Simd512<float>, Vector512<float>>.Run(tokens, parameters, gradients, backward, objective, workspace, statistics); break;
            case KernelVariant.Avx2: SaeEngine<Simd256<float>, Vector256<float>>.Run(tokens, parameters, gradients, backward, objective, workspace, statistics); break;
            case KernelVariant.Portable: SaeEngine<Simd128<float>, Vector128<float>>.Run(tokens, parameters, gradients, backward, objective, workspace, statistics); break;
            default: RunReference(tokens, parameters, gradients, backward, objective, workspace, statistics); break;
        }
    }

    private static void Validate(MatrixView<float> tokens, SaeParameters parameters, SaeWorkspace workspace)
    {
        parameters.Validate(nameof(parameters), workspace.Shape);
        if (tokens.Rows == 0) throw new ArgumentException("The batch has no tokens.", nameof(tokens));
        if (tokens.Columns != parameters.InputWidth) throw new ArgumentException($"The tokens have {tokens.Columns} dimensions, the model {parameters.InputWidth}.", nameof(tokens));
        if (!ReferenceEquals(tokens.Device, workspace.Device) || !ReferenceEquals(parameters.Encoder.Device, workspace.Device))
            throw new DeviceException("Tokens, parameters and workspace of the autoencoder's step must live on one device.");
    }
}
