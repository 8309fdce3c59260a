using BioSup.Runtime;

namespace BioSup.Imaging;

internal sealed partial class CellRenderer
{
    private const int Blebs = 8, VacuoleCount = 7, AggregateCount = 5, Lysosomes = 20, ActinFibres = 8;

    /// <summary>Cell body: cytoplasm, membrane rim with gaps, shadow of the nucleus, stress fibres, diffuse calcium.</summary>
    private void DrawBody(ReadOnlySpan<double> concepts)
    {
        double calcium = Of(concepts, CohortConcept.Calcium), loss = Of(concepts, CohortConcept.MembraneBlebbing);
        CounterRandom random = Stream(CohortStream.Blebs);
        double gapPhase = 2 * Math.PI * random.NextDouble(), softness = EdgeSoftness * _unit, rimWidth = 0.85 * _unit;
        _strokes.Clear();
        DrawActin(Of(concepts, CohortConcept.ActinBundles));
        for (int row = 0; row < Size; row++)
        {
            for (int column = 0; column < Size; column++)
            {
                double dx = column - _soma.X, dy = row - _soma.Y, r = Math.Sqrt(dx * dx + dy * dy);
                if (r > 2.2 * _soma.MeanRadius) continue;
                double angle = Math.Atan2(dy, dx), outline = _soma.Radius(angle), inside = Canvas.Edge(outline - r, softness);
                double dome = Math.Sqrt(Math.Max(0, 1 - r * r / (outline * outline))), edge = (r - outline + 0.4 * _unit) / rimWidth;
                double gap = loss * (0.35 + 0.65 * Canvas.Edge(Math.Cos(3 * angle + gapPhase), 0.8));
                double rim = 0.50 * Math.Exp(-0.5 * edge * edge) * (1 - gap), shadow = 0.10 * Canvas.Edge(_nuclearRadius - r, 2 * softness);
                int pixel = row * Size + column;
                double body = inside * (0.20 + 0.16 * dome - shadow + 2.6 * _strokes.Pixels[pixel]) * (1 - 0.25 * loss);
                // Body and neurites share one membrane: the brighter wins, so that their joint is smooth.
                _membrane.Pixels[pixel] = Math.Max(_membrane.Pixels[pixel], (float)body) + (float)(rim * (1 - _membrane.Pixels[pixel]));
                _mitochondria.Pixels[pixel] += (float)(inside * (0.05 + 0.72 * calcium) * (0.55 + 0.45 * dome));
            }
        }
    }

    private void DrawActin(double bundles)
    {
        CounterRandom random = Stream(CohortStream.Actin);
        double tilt = _soma.Orientation + 0.3 * (random.NextDouble() - 0.5);
        for (int i = 0; i < ActinFibres; i++)
        {
            // From the middle outwards, alternating sides.
            double offset = ((i + 1) / 2 * (i % 2 == 0 ? 1 : -1) + 0.5 * (random.NextDouble() - 0.5)) / (ActinFibres / 2 + 0.6);
            double bend = 0.25 * (random.NextDouble() - 0.5), presence = Presence(bundles, i, ActinFibres);
            if (presence <= 0) continue;
            double half = Math.Sqrt(Math.Max(0.05, 1 - offset * offset)) * _soma.MeanRadius * 1.15, previousX = 0, previousY = 0;
            for (int k = 0; k <= 8; k++)
            {
                double s = k / 4.0 - 1, along = s * half, across = _soma.MeanRadius * (offset + bend * (s * s - 0.5));
                double x = _soma.X + along * Math.Cos(tilt) - across * Math.Sin(tilt), y = _soma.Y + along * Math.Sin(tilt) + across * Math.Cos(tilt);
                if (k > 0) _strokes.RaiseCapsule(previousX, previousY, -0.05 * _unit, x, y, -0.05 * _unit, presence, 0.6 * _unit);
                (previousX, previousY) = (x, y);
            }
        }
    }

    private void DrawBlebs(ReadOnlySpan<double> concepts)
    {
        double blebbing = Of(concepts, CohortConcept.MembraneBlebbing);
        CounterRandom random = Stream(CohortStream.Blebs);
        double turn = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < Blebs; i++)
        {
            // Successive blebs stand apart: multiples of the golden angle.
            double angle = turn + 2.399963 * i + 0.25 * random.NextDouble(), size = _unit * (1.7 + 1.5 * random.NextDouble());
            double presence = Presence(blebbing, i, Blebs);
            if (presence <= 0) continue;
            (double x, double y) = _soma.At(angle, 1 + 0.12 * presence);
            _membrane.AddBall(x, y, size * (0.4 + 0.6 * presence), 0.20 * presence, 0.55 * presence, 0.75 * _unit);
        }
    }

    private void DrawVacuoles(ReadOnlySpan<double> concepts)
    {
        double vacuoles = Of(concepts, CohortConcept.Vacuoles);
        CounterRandom random = Stream(CohortStream.Vacuoles);
        for (int i = 0; i < VacuoleCount; i++)
        {
            double angle = 2 * Math.PI * random.NextDouble(), position = 0.66 + 0.16 * random.NextDouble(), size = _unit * (1.9 + 1.1 * random.NextDouble());
            double presence = Presence(vacuoles, i, VacuoleCount);
            if (presence <= 0) continue;
            (double x, double y) = _soma.At(angle, position);
            double radius = size * (0.5 + 0.5 * presence);
            _membrane.CarveDisc(x, y, radius, 0.92 * presence, 0.6 * _unit);
            _mitochondria.CarveDisc(x, y, radius, 0.92 * presence, 0.6 * _unit);
            _membrane.AddBall(x, y, radius + 0.5 * _unit, 0, 0.16 * presence, 0.6 * _unit);
        }
    }

    /// <summary>Synuclein-like aggregates (few, large, very bright, with a halo) and lysosomes (many, small, in a cap beside the nucleus).</summary>
    private void DrawInclusions(ReadOnlySpan<double> concepts)
    {
        CounterRandom random = Stream(CohortStream.Aggregates);
        double aggregates = Of(concepts, CohortConcept.Aggregates);
        for (int i = 0; i < AggregateCount; i++)
        {
            (double x, double y) = _soma.At(2 * Math.PI * random.NextDouble(), 0.45 + 0.35 * random.NextDouble());
            double sigma = _unit * (0.95 + 0.55 * random.NextDouble()), presence = Presence(aggregates, i, AggregateCount);
            if (presence <= 0) continue;
            _membrane.AddSpot(x, y, sigma, 1.25 * presence);
            _membrane.AddSpot(x, y, 2.4 * sigma, 0.18 * presence);
        }
        random = Stream(CohortStream.Lysosomes);
        double lysosomes = Of(concepts, CohortConcept.LysosomalPuncta), cap = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < Lysosomes; i++)
        {
            double angle = cap + 1.9 * (random.NextDouble() + random.NextDouble() - 1), position = 0.48 + 0.42 * random.NextDouble();
            (double x, double y) = _soma.At(angle, position);
            double presence = Presence(0.06 + 0.94 * lysosomes, i, Lysosomes);
            if (presence > 0) _membrane.AddSpot(x, y, 0.75 * _unit, 1.9 * presence);
        }
    }
}
