using MathNet.Numerics;

namespace BioSup.Analysis.Geometry;

/// <summary>Tail probabilities of the standard normal distribution, with a logarithm that never underflows.</summary>
internal static class NormalTail
{
    /// <summary>P(Z ≥ z).</summary>
    public static double Upper(double z) => 0.5 * SpecialFunctions.Erfc(z / Math.Sqrt(2));

    /// <summary>log10 P(Z ≥ z): exact in the far tail, where the probability itself is no double.</summary>
    public static double Log10Upper(double z)
    {
        if (z < 20) return Math.Log10(Upper(z));
        // Asymptotic series of Mills' ratio; at z ≥ 20 the first dropped term is below 1e-9.
        double r = 1 / (z * z), series = 1 - r * (1 - 3 * r * (1 - 5 * r * (1 - 7 * r)));
        return (-0.5 * z * z - Math.Log(z) - 0.5 * Math.Log(2 * Math.PI) + Math.Log(series)) / Math.Log(10);
    }
}
