using BioSup.Report.Drawing;
using SkiaSharp;

namespace BioSup.Report.Figures;

public sealed partial class ScatterMap
{
    /// <summary>Names over the median of their points, or above the points where the name would hide most of them, moved up or down as little as needed where they would overlap; the largest categories are placed first.</summary>
    private void WriteNames(Brush brush, SKRect area, SKPoint[] points, string[] names)
    {
        Dictionary<string, (List<float> X, List<float> Y)> places = [];
        for (int i = 0; i < points.Length; i++)
        {
            if (!float.IsFinite(points[i].X) || !float.IsFinite(points[i].Y)) continue;
            if (!places.TryGetValue(Categories![i], out (List<float> X, List<float> Y) place)) places[Categories[i]] = place = ([], []);
            place.X.Add(points[i].X);
            place.Y.Add(points[i].Y);
        }
        List<SKRect> taken = [];
        foreach (string name in names.Distinct().Where(n => places.ContainsKey(n) && n != ContextCategory).OrderByDescending(n => places[n].X.Count))
        {
            string text = Brush.Fit(name, area.Width * 0.4f, Ink.TickSize, bold: true);
            (List<float> xs, List<float> ys) = places[name];
            float width = Brush.Measure(text, Ink.TickSize, bold: true) + 6, x = Median(xs), y = Median(ys);
            if (Enumerable.Range(0, xs.Count).Count(i => Math.Abs(xs[i] - x) < width / 2 && Math.Abs(ys[i] - y) < 8) > 0.4 * xs.Count) y = ys.Order().ElementAt(ys.Count / 20) - 11;
            float left = Math.Clamp(x - width / 2, area.Left, Math.Max(area.Left, area.Right - width));
            // Half a line at a time, downwards and upwards in turn; farther away it would name other points, and the legend has the name.
            for (int step = 0; step < 7; step++)
            {
                float moved = Math.Clamp(y + (step % 2 == 0 ? 1 : -1) * (step + 1) / 2 * 8, area.Top + 8, area.Bottom - 8);
                SKRect place = SKRect.Create(left, moved - 8, width, 16);
                if (taken.Exists(place.IntersectsWith)) continue;
                taken.Add(place);
                brush.Note(text, left + 3, moved, Ink.TickSize, Ink.Text, TextAlign.Left, bold: true);
                break;
            }
        }
    }

    private static float Median(List<float> values)
    {
        float[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The colours of values and the bar that explains them.</summary>
    private sealed class ValueColors
    {
        private readonly ScatterMap _map;
        private readonly double _low;
        private readonly double _high;
        private readonly (string? Below, string? Above) _cut;
        private readonly bool _missing;

        public ValueColors(ScatterMap map)
        {
            _map = map;
            double[] finite = [.. map.Values!.Where(double.IsFinite)];
            _missing = finite.Length < map.Values!.Length;
            Array.Sort(finite);
            if (finite.Length == 0) (_low, _high) = (0, 1);
            else (_low, _high) = map.ClipPercentiles is var (low, high) ? (Percentiles.OfSorted(finite, low), Percentiles.OfSorted(finite, high)) : (finite[0], finite[^1]);
            if (finite.Length > 0 && map.ClipPercentiles is var (from, to))
                _cut = (_low > finite[0] ? $"< p{from:0.#}" : null, _high < finite[^1] ? $"> p{to:0.#}" : null);
        }

        public SKColor Of(double value) => !double.IsFinite(value) ? Ink.Missing : ColorScales.At(_map.Scale, _high > _low ? Place(value) : value > _high ? 1 : value < _low ? 0 : 0.5);

        public void DrawBar(Brush brush, SKRect area)
        {
            float above = _cut.Above is null ? 0 : 18, below = _cut.Below is null ? 0 : 18, missing = _missing && _map.MissingLabel is not null ? 26 : 0;
            SKRect bar = SKRect.Create(area.Right + 14, area.Top + above, BarWidth, Math.Max(20, Math.Min(area.Height - above - below - missing, 220)));
            ColorBar.Draw(brush, bar, _map.Scale, _low, _high, _map.ValueLabel, _cut, _map.Gamma == 1 ? null : Place);
            if (missing == 0) return;
            float y = bar.Bottom + below + 16;
            brush.Dot(bar.MidX, y, 4.5f, Ink.Missing);
            brush.Text(Brush.Fit(_map.MissingLabel!, _map.Width - bar.Right - 9, Ink.TickSize), bar.Right + 7, y, Ink.TickSize, Ink.Muted);
        }

        private double Place(double value) => _high > _low ? Math.Pow(Math.Clamp((value - _low) / (_high - _low), 0, 1), _map.Gamma) : 0.5;
    }
}
