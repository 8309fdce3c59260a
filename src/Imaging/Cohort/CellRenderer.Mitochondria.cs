using BioSup.Runtime;

namespace BioSup.Imaging;

internal sealed partial class CellRenderer
{
    private const int Puncta = 34, Tubules = 9;

    /// <summary>Fragmented mitochondria are dots, networked ones tubules; clustering pulls both to the nucleus and brightens them.</summary>
    private void DrawMitochondria(ReadOnlySpan<double> concepts)
    {
        double clustering = Of(concepts, CohortConcept.MitochondrialClustering);
        DrawPuncta(Of(concepts, CohortConcept.MitochondrialPuncta), clustering);
        DrawTubules(Of(concepts, CohortConcept.MitochondrialNetwork), clustering);
    }

    private void DrawPuncta(double puncta, double clustering)
    {
        CounterRandom random = Stream(CohortStream.MitochondrialPuncta);
        double side = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < Puncta; i++)
        {
            bool inNeurite = random.NextDouble() < 0.22 && _neurites.Paths.Count > 0;
            double angle = 2 * Math.PI * random.NextDouble(), position = PerinuclearFraction(random.NextDouble(), clustering);
            double along = random.NextDouble(), size = _unit * (0.5 + 0.22 * random.NextDouble()), brightness = 0.75 + 0.45 * random.NextDouble();
            int which = random.NextInt32(Math.Max(_neurites.Paths.Count, 1));
            double presence = Presence(0.15 + 0.85 * puncta, i, Puncta);
            if (presence <= 0) continue;
            (double x, double y) = _soma.At(Gathered(angle, side, clustering), position);
            if (inNeurite && along > clustering && _neurites.Paths[which] is { Count: > 2 } path)
            {
                int at = (int)(0.7 * along * (path.Count - 1));
                (x, y) = (path.X[at], path.Y[at]);
            }
            _mitochondria.AddSpot(x, y, size, presence * brightness * (1 + 0.35 * clustering));
        }
    }

    private void DrawTubules(double network, double clustering)
    {
        CounterRandom random = Stream(CohortStream.MitochondrialNetwork);
        _strokes.Clear();
        double side = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < Tubules; i++)
        {
            double angle = Gathered(2 * Math.PI * (i + random.NextDouble()) * 0.381966, side, clustering), position = PerinuclearFraction(random.NextDouble(), clustering);
            double heading = angle + Math.PI / 2 + 0.9 * random.NextNormal(), curvature = 0.10 * random.NextNormal(), length = 7 + 4 * random.NextDouble();
            double presence = Presence(0.06 + 0.94 * network, i, Tubules);
            if (presence <= 0) continue;
            (double x, double y) = _soma.At(angle, position);
            for (int step = 0; step < length * presence; step++)
            {
                double nextX = x + _unit * Math.Cos(heading), nextY = y + _unit * Math.Sin(heading);
                double dx = nextX - _soma.X, dy = nextY - _soma.Y, around = Math.Atan2(dy, dx), limit = 0.84 * _soma.Radius(around);
                if (dx * dx + dy * dy > limit * limit)
                {
                    // Tubules slide along the body's outline instead of leaving it.
                    heading = around + (Math.Sin(heading - around) >= 0 ? 1 : -1) * (Math.PI / 2 + 0.25);
                    nextX = _soma.X + limit * Math.Cos(around);
                    nextY = _soma.Y + limit * Math.Sin(around);
                    curvature = 0;
                }
                _strokes.RaiseCapsule(x, y, 0.30 * _unit, nextX, nextY, 0.30 * _unit, 0.85 * (1 + 0.35 * clustering), 0.75 * _unit);
                (x, y) = (nextX, nextY);
                curvature = 0.9 * curvature + 0.09 * random.NextNormal();
                heading += curvature;
            }
        }
        for (int i = 0; i < _strokes.Pixels.Length; i++) _mitochondria.Pixels[i] += _strokes.Pixels[i];
    }

    /// <summary>Where between centre and outline a mitochondrion lies: outside the nucleus, all of the way when spread out, close to it when clustered.</summary>
    private double PerinuclearFraction(double u, double clustering)
    {
        double inner = Math.Min(0.75, (_nuclearRadius + 0.8 * _unit) / _soma.MeanRadius), outer = Math.Max(inner + 0.04, 0.92 - 0.42 * clustering);
        return inner + (outer - inner) * u;
    }

    /// <summary>Clustered mitochondria gather on one side of the nucleus.</summary>
    private static double Gathered(double angle, double side, double clustering)
    {
        double away = Math.IEEERemainder(angle - side, 2 * Math.PI);
        return side + away * (1 - 0.72 * clustering);
    }
}
