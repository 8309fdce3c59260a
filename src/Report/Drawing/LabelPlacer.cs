using SkiaSharp;

namespace BioSup.Report.Drawing;

/// <summary>
/// Writes names beside points so that no name covers another name or a point; where there is no room close by, a thin line leads from the name to its point.
/// Names are placed in the order given; one for which there is no place within reach is left out.
/// </summary>
internal sealed class LabelPlacer
{
    private const float Cell = 2, Height = Ink.TickSize + 3;

    // Away from the point along these directions, nearest first.
    private static readonly float[] s_reach = [0, 9, 18, 30, 44, 60, 80];
    private static readonly (float X, float Y)[] s_directions = [(1, 0), (-1, 0), (0, -1), (0, 1), (0.8f, -0.7f), (-0.8f, -0.7f), (0.8f, 0.7f), (-0.8f, 0.7f)];

    private readonly SKRect _area;
    private readonly int _columns;
    private readonly int _rows;
    private readonly int[] _before;
    private readonly List<SKRect> _names = [];
    private readonly List<(SKPoint From, SKPoint To)> _leaders = [];

    /// <param name="area">Names stay inside.</param>
    /// <param name="points">What must not be covered.</param>
    /// <param name="radius">Of every point.</param>
    public LabelPlacer(SKRect area, ReadOnlySpan<SKPoint> points, float radius)
    {
        _area = area;
        _columns = (int)(area.Width / Cell) + 1;
        _rows = (int)(area.Height / Cell) + 1;
        _before = new int[(_columns + 1) * (_rows + 1)];
        int reach = (int)MathF.Ceiling((radius - 1) / Cell);
        foreach (SKPoint p in points)
        {
            if (!float.IsFinite(p.X) || !float.IsFinite(p.Y)) continue;
            int column = (int)MathF.Floor((p.X - area.Left) / Cell), row = (int)MathF.Floor((p.Y - area.Top) / Cell);
            for (int r = Math.Max(0, row - reach); r <= Math.Min(_rows - 1, row + reach); r++)
                for (int c = Math.Max(0, column - reach); c <= Math.Min(_columns - 1, column + reach); c++) _before[(r + 1) * (_columns + 1) + c + 1] = 1;
        }
        // Sums over everything above and to the left: any rectangle is then counted in four look-ups.
        for (int r = 1; r <= _rows; r++)
            for (int c = 1; c <= _columns; c++)
                _before[r * (_columns + 1) + c] += _before[(r - 1) * (_columns + 1) + c] + _before[r * (_columns + 1) + c - 1] - _before[(r - 1) * (_columns + 1) + c - 1];
    }

    /// <summary>Keeps names away from a rectangle, such as a note that is there already.</summary>
    public void Occupy(SKRect rectangle) => _names.Add(rectangle);

    /// <summary>Writes one name.</summary>
    /// <returns>False when there is no place for it.</returns>
    public bool Write(Brush brush, string text, SKPoint point, float radius, bool bold = false)
    {
        float width = Brush.Measure(text, Ink.TickSize, bold) + 2;
        foreach (float reach in s_reach)
        {
            foreach ((float dx, float dy) in s_directions)
            {
                SKPoint near = new(point.X + dx * (radius + 3 + reach), point.Y + dy * (radius + 3 + reach));
                SKRect place = SKRect.Create(near.X - width * (1 - Math.Sign(dx)) / 2, near.Y - Height * (1 - Math.Sign(dy)) / 2, width, Height);
                bool leads = reach > 0;
                if (!IsFree(place) || (leads && CrossesSomething(point, near))) continue;
                _names.Add(place);
                if (leads)
                {
                    float length = SKPoint.Distance(point, near);
                    brush.Line(point.X + (near.X - point.X) * radius / length, point.Y + (near.Y - point.Y) * radius / length, near.X, near.Y, Ink.Axis, 0.8f);
                    _leaders.Add((point, near));
                }
                brush.Text(text, place.Left + 1, place.MidY, Ink.TickSize, Ink.Text, bold: bold);
                return true;
            }
        }
        return false;
    }

    private bool IsFree(SKRect place)
    {
        if (!_area.Contains(place) || _names.Exists(place.IntersectsWith) || _leaders.Exists(l => Crosses(place, l.From, l.To))) return false;
        int left = (int)((place.Left - _area.Left) / Cell), right = (int)((place.Right - _area.Left) / Cell) + 1, top = (int)((place.Top - _area.Top) / Cell), bottom = (int)((place.Bottom - _area.Top) / Cell) + 1;
        (right, bottom) = (Math.Min(right, _columns), Math.Min(bottom, _rows));
        int w = _columns + 1;
        return _before[bottom * w + right] - _before[top * w + right] - _before[bottom * w + left] + _before[top * w + left] == 0;
    }

    private bool CrossesSomething(SKPoint from, SKPoint to) => _names.Exists(n => Crosses(n, from, to)) || _leaders.Exists(l => Cross(l.From, l.To, from, to));

    private static bool Crosses(SKRect box, SKPoint from, SKPoint to) =>
        box.Contains(to) || Cross(new(box.Left, box.Top), new(box.Right, box.Bottom), from, to) || Cross(new(box.Right, box.Top), new(box.Left, box.Bottom), from, to);

    private static bool Cross(SKPoint a, SKPoint b, SKPoint c, SKPoint d)
    {
        static float Side(SKPoint p, SKPoint q, SKPoint r) => (q.X - p.X) * (r.Y - p.Y) - (q.Y - p.Y) * (r.X - p.X);
        return Side(a, b, c) * Side(a, b, d) < 0 && Side(c, d, a) * Side(c, d, b) < 0;
    }
}
