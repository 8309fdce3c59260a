namespace BioSup.Analysis.Geometry;

/// <summary>Logarithm and exponential to the last digits next to 1 (Kahan); <see cref="double.LogP1"/> and <see cref="double.ExpM1"/> form the sum with 1 and lose the digits of a small argument.</summary>
internal static class NearOne
{
    /// <summary>ln(1 + x).</summary>
    /// <param name="x">−1 or larger.</param>
    public static double LogOnePlus(double x)
    {
        double u = 1 + x;
        return u == 1 ? x : u == 0 ? double.NegativeInfinity : double.IsPositiveInfinity(u) ? u : Math.Log(u) * (x / (u - 1));
    }

    /// <summary>exp(x) − 1.</summary>
    public static double ExpMinusOne(double x)
    {
        double u = Math.Exp(x);
        return u == 1 ? x : x is < -1 or > 1 ? u - 1 : (u - 1) * (x / Math.Log(u));
    }
}
