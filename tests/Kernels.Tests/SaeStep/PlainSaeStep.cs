using BioSup.Kernels;

namespace BioSup.Kernels.Tests;

/// <summary>The training step in single precision, one token and one latent at a time: what the variants' rounding is measured against.</summary>
internal static class PlainSaeStep
{
    /// <summary>Gradients in the order of <see cref="ModelArrays.Arrays"/>; arrays on the host.</summary>
    public static List<float[]> Gradients(SaeCase model, in SaeObjective objective)
    {
        SaeReference<float>.Parameters gradients = SaeReference<float>.Parameters.Zero(model.Shape);
        SaeReference<float>.Step(SaeReference<float>.Values(model.Tokens.View), model.Tokens.Rows, SaeReference<float>.Parameters.From(model.Values.View, model.Shape), objective, gradients,
            model.Workspace.Dead.View.Host);
        return [.. gradients.Arrays().Select(a => a.Values)];
    }
}
