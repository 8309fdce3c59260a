using MathNet.Numerics;

namespace BioSup.Analysis.Geometry;

/// <summary>Tail probabilities of the standard normal distribution, with a logarithm that never underflows.</summary>
internal static class NormalTail
{
    /// <summary>Terms of Laplace's fraction: enough for the last digit from <see cref="FarTail"/> on.</summary>
    private const int FractionTerms = 80;

    private const double FarTail = 5;

    /// <summary>P(Z ≥ z).</summary>
    public static double Upper(double z) => 0.5 * SpecialFunctions.Erfc(z / Math.Sqrt(2));

    /// <summary>
    /// ln P(Z ≥ z), to a relative 1e-13 on the whole line: Laplace's continued fraction of Mills' ratio in the far tail, where the probability itself is no double, and the
    /// complement where it is next to 1.
    /// </summary>
    public static double LogUpper(double z)
    {
        if (z < -1) return NearOne.LogOnePlus(-Upper(-z));
        if (z < FarTail) return Math.Log(Upper(z));
        double fraction = z;
        for (int k = FractionTerms; k >= 1; k--) fraction = z + k / fraction;
        return -0.5 * z * z - 0.5 * Math.Log(2 * Math.PI) - Math.Log(fraction);
    }

    /// <summary>log10 P(Z ≥ z).</summary>
    public static double Log10Upper(double z) => LogUpper(z) / Math.Log(10);
}
