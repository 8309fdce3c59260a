using System.Numerics;

namespace BioSup.Kernels.Tests;

/// <summary>
/// The rule for floating-point results: the largest error against the double oracle is at most twice that of a plain scalar implementation in the same
/// type. Half a unit in the last place is added, because a plain result may be exact by luck where a rounded one cannot be closer.
/// </summary>
/// <remarks>In double there is no wider oracle: what would be measured is the rounding of the oracle itself. Those tests state a cap and its reason.</remarks>
internal sealed class ErrorRule
{
    private const double HalfUnit = 1.0 / (1 << 24);
    private double _plain, _ours;
    private string _where = "";

    /// <summary>Counts one element; errors are taken relative to <paramref name="scale"/>.</summary>
    public void Add(double exact, double plain, double ours, double scale, FormattableString where)
    {
        if (!double.IsFinite(exact) || scale == 0)
        {
            Assert.True(exact.Equals(ours), $"{where}: {ours:R} against {exact:R}");
            return;
        }
        _plain = Math.Max(_plain, Math.Abs(plain - exact) / scale);
        double error = Math.Abs(ours - exact) / scale;
        Assert.False(double.IsNaN(error), $"{where}: {ours:R} against {exact:R}");
        if (error <= _ours) return;
        (_ours, _where) = (error, where.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>Counts arrays; errors are taken relative to the largest element of <paramref name="exact"/>.</summary>
    public void Add<T>(ReadOnlySpan<double> exact, ReadOnlySpan<T> plain, ReadOnlySpan<T> ours, string name) where T : unmanaged, INumberBase<T>
    {
        double scale = 0;
        foreach (double value in exact) scale = Math.Max(scale, Math.Abs(value));
        for (int i = 0; i < exact.Length; i++) Add(exact[i], double.CreateTruncating(plain[i]), double.CreateTruncating(ours[i]), scale, $"{name}[{i}]");
    }

    public void Verify(string what) =>
        Assert.True(_ours <= 2 * _plain + HalfUnit, $"{what}: the largest error is {_ours:E2} at {_where}, that of a plain implementation {_plain:E2}");
}
