using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

public sealed class VectorExpTests
{
    private static readonly float[] s_specialSingles =
        [0, -0f, 1, -1, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.Epsilon, float.MaxValue, float.MinValue, 88.72283f, 88.7229f, -87.4f, -103.9f, -104.1f, 1e-39f, 1.1754944e-38f];

    private static readonly double[] s_specialDoubles =
        [0, -0d, 1, -1, double.NaN, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, double.MaxValue, double.MinValue, 709.782712893384, 709.7827128933841, -708.5, -745.1, -745.2, 1e-310, 2.2250738585072014e-308];

    [Fact]
    public void Exp_single_is_within_one_ulp()
    {
        double worst = 0;
        for (long bits = 0; bits <= uint.MaxValue; bits += 97 * 7)
        {
            float x = BitConverter.UInt32BitsToSingle((uint)bits);
            if (!float.IsFinite(x) || x > 88.72283f || x < -87.3f) continue;
            worst = Math.Max(worst, Ulps(Simd256<float>.Exp(Vector256.Create(x)).ToScalar(), Math.Exp(x)));
        }
        Assert.InRange(worst, 0.5, 1.0);
    }

    // Math.Exp is itself within half a unit and a little: the bound here adds its own.
    [Fact]
    public void Exp_double_is_within_one_ulp_of_the_C_library()
    {
        CounterRandom random = new(5);
        double worst = 0;
        for (int i = 0; i < 2_000_000; i++)
        {
            double x = i % 2 == 0 ? -708 + 1417 * random.NextDouble() : random.NextNormal();
            worst = Math.Max(worst, UlpSteps(Simd256<double>.Exp(Vector256.Create(x)).ToScalar(), Math.Exp(x)));
        }
        Assert.InRange(worst, 0, 1);
    }

    [Fact]
    public void Special_numbers_give_what_the_C_library_gives()
    {
        foreach (float x in s_specialSingles)
            AssertClose(MathF.Exp(x), Simd256<float>.Exp(Vector256.Create(x)).ToScalar(), x);
        foreach (double x in s_specialDoubles)
            AssertClose(Math.Exp(x), Simd256<double>.Exp(Vector256.Create(x)).ToScalar(), x);
    }

    [Fact]
    public void All_widths_give_the_same_bits()
    {
        CounterRandom random = new(6);
        for (int i = 0; i < 20_000; i++)
        {
            float x = i < s_specialSingles.Length ? s_specialSingles[i] : (float)(40 * random.NextNormal());
            double d = i < s_specialDoubles.Length ? s_specialDoubles[i] : 300 * random.NextNormal();
            Same(Simd256<float>.Exp(Vector256.Create(x)).ToScalar(), Simd512<float>.Exp(Vector512.Create(x)).ToScalar(), Simd128<float>.Exp(Vector128.Create(x)).ToScalar());
            Same(Simd256<double>.Exp(Vector256.Create(d)).ToScalar(), Simd512<double>.Exp(Vector512.Create(d)).ToScalar(), Simd128<double>.Exp(Vector128.Create(d)).ToScalar());
        }
    }

    private static void Same(double a, double b, double c)
    {
        Assert.Equal(a, b);
        Assert.Equal(a, c);
    }

    private static void AssertClose(double expected, double actual, double at)
    {
        if (double.IsNaN(expected) || double.IsInfinity(expected)) Assert.True(expected.Equals(actual), $"f({at}) is {actual}, expected {expected}");
        else Assert.True(Math.Abs(expected - actual) <= 2e-7 * Math.Abs(expected) + 1.5e-45, $"f({at}) is {actual}, expected {expected}");
    }

    /// <summary>Distance to the exact value in units of the last place of the exact value's single-precision neighbourhood.</summary>
    private static double Ulps(float value, double exact)
    {
        float nearest = Math.Abs((float)exact);
        double ulp = (double)MathF.BitIncrement(nearest) - nearest;
        return Math.Abs(value - exact) / ulp;
    }

    private static double UlpSteps(double a, double b) => Math.Abs(BitConverter.DoubleToInt64Bits(a) - BitConverter.DoubleToInt64Bits(b));
}
