using System.Numerics;
using System.Runtime.InteropServices;

namespace BioSup.Kernels;

/// <summary>Vector arithmetic on host spans for the small dense solvers.</summary>
public static class HostVectors
{
    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        ReadOnlySpan<Vector<double>> a = MemoryMarshal.Cast<double, Vector<double>>(x), b = MemoryMarshal.Cast<double, Vector<double>>(y[..x.Length]);
        Vector<double> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0;
        for (; i + 4 <= a.Length; i += 4)
        {
            s0 = Vector.FusedMultiplyAdd(a[i], b[i], s0);
            s1 = Vector.FusedMultiplyAdd(a[i + 1], b[i + 1], s1);
            s2 = Vector.FusedMultiplyAdd(a[i + 2], b[i + 2], s2);
            s3 = Vector.FusedMultiplyAdd(a[i + 3], b[i + 3], s3);
        }
        for (; i < a.Length; i++) s0 = Vector.FusedMultiplyAdd(a[i], b[i], s0);
        double sum = Vector.Sum(s0 + s1 + (s2 + s3));
        for (int j = a.Length * Vector<double>.Count; j < x.Length; j++) sum += x[j] * y[j];
        return sum;
    }

    /// <summary>target += scale · source.</summary>
    public static void AddScaled(Span<double> target, ReadOnlySpan<double> source, double scale)
    {
        Span<Vector<double>> t = MemoryMarshal.Cast<double, Vector<double>>(target);
        ReadOnlySpan<Vector<double>> s = MemoryMarshal.Cast<double, Vector<double>>(source[..target.Length]);
        Vector<double> factor = new(scale);
        for (int i = 0; i < t.Length; i++) t[i] = Vector.FusedMultiplyAdd(factor, s[i], t[i]);
        for (int j = t.Length * Vector<double>.Count; j < target.Length; j++) target[j] += scale * source[j];
    }

    /// <summary>Rows lower and upper := (c lower - s upper, s lower + c upper).</summary>
    public static void Rotate(Span<double> lower, Span<double> upper, double c, double s)
    {
        Span<Vector<double>> a = MemoryMarshal.Cast<double, Vector<double>>(lower), b = MemoryMarshal.Cast<double, Vector<double>>(upper[..lower.Length]);
        Vector<double> cosine = new(c), sine = new(s);
        for (int i = 0; i < a.Length; i++)
        {
            Vector<double> x = a[i], y = b[i];
            b[i] = sine * x + cosine * y;
            a[i] = cosine * x - sine * y;
        }
        for (int j = a.Length * Vector<double>.Count; j < lower.Length; j++)
        {
            double x = lower[j], y = upper[j];
            upper[j] = s * x + c * y;
            lower[j] = c * x - s * y;
        }
    }

    public static double LargestMagnitude(ReadOnlySpan<double> x)
    {
        double largest = 0;
        foreach (double value in x) largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }

    public static void Scale(Span<double> x, double factor)
    {
        for (int i = 0; i < x.Length; i++) x[i] *= factor;
    }
}
