using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Cubic B-splines on equally spaced knots over an interval, continued linearly beyond its ends: the basis of pyGAM's <c>s(0, n_splines, spline_order=3)</c>.
/// Inside the interval the splines of every point add up to 1.
/// </summary>
internal sealed class UniformSplines
{
    private readonly double _first, _width;

    /// <param name="count">4 or more.</param>
    /// <param name="first">Lower end of the interval.</param>
    /// <param name="last">Upper end; where it is no larger than the lower one, the interval has length 1, as in pyGAM.</param>
    public UniformSplines(int count, double first, double last)
    {
        if (count < 4) throw new UsageException($"{count} cubic splines were asked for; there are at least 4.");
        (Count, _first) = (count, first);
        _width = last > first ? last - first : 1;
    }

    public int Count { get; }

    /// <summary>Values of all splines at a point.</summary>
    public void Evaluate(double x, Span<double> values)
    {
        values.Clear();
        int pieces = Count - 3;
        double position = (x - _first) / _width, inside = Math.Clamp(position, 0, 1);
        int piece = Math.Min((int)(inside * pieces), pieces - 1);
        double u = inside * pieces - piece, v = 1 - u;
        Span<double> four = values.Slice(piece, 4);
        four[0] = v * v * v / 6;
        four[1] = (3 * u * u * u - 6 * u * u + 4) / 6;
        four[2] = (3 * v * v * v - 6 * v * v + 4) / 6;
        four[3] = u * u * u / 6;
        if (position == inside) return;
        double beyond = (position - inside) * pieces;
        four[0] -= beyond * 0.5 * v * v;
        four[1] += beyond * (1.5 * u * u - 2 * u);
        four[2] += beyond * (2 * v - 1.5 * v * v);
        four[3] += beyond * 0.5 * u * u;
    }
}
