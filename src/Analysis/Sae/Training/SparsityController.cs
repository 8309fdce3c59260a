namespace BioSup.Analysis.Sae;

/// <summary>
/// Steers λ until a wanted number of latents is active. Integral control in logarithms: every tenth step after the ramp
/// ln λ ← ln λ + 0.04 · clamp(ln(L0 / target), −2, 2), L0 being that step's. λ is thus multiplied by at most e^0.08 at a time, moves as far for half the
/// target as for twice of it, and stays where L0 meets the target. A pure function of the run.
/// </summary>
internal static class SparsityController
{
    public const int Period = 10;
    private const double Gain = 0.04, LargestError = 2, SmallestL0 = 1e-3;

    /// <summary>The change of ln λ.</summary>
    public static double Change(double l0, double target) => Gain * Math.Clamp(Math.Log(Math.Max(l0, SmallestL0) / target), -LargestError, LargestError);
}
