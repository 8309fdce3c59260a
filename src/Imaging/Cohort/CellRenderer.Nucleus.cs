using BioSup.Runtime;

namespace BioSup.Imaging;

internal sealed partial class CellRenderer
{
    private const int ChromatinSpots = 13, NuclearFragments = 6;

    private void DrawNucleus(ReadOnlySpan<double> concepts)
    {
        double condensation = Of(concepts, CohortConcept.NuclearCondensation), fragmentation = Of(concepts, CohortConcept.NuclearFragmentation);
        CounterRandom random = Stream(CohortStream.Nucleus);
        double radius = _unit * (5.0 + 2.0 * Of(concepts, CohortConcept.NuclearSize)) * (1 - 0.38 * condensation) * (1 - 0.22 * fragmentation);
        double aspect = 1 + 0.16 * random.NextDouble(), tilt = _soma.Orientation + 0.5 * (random.NextDouble() - 0.5);
        (double x, double y) = _soma.At(2 * Math.PI * random.NextDouble(), 0.10 * random.NextDouble());
        double brightness = (0.62 + 0.95 * condensation) * (1 - 0.35 * fragmentation);
        _nuclearRadius = radius;
        double dent = 0.03 + 0.12 * fragmentation, dentPhase = 2 * Math.PI * random.NextDouble();
        double cosine = Math.Cos(tilt), sine = Math.Sin(tilt), softness = EdgeSoftness * _unit;
        int first = Math.Max(0, (int)(y - radius * 1.6)), last = Math.Min(Size - 1, (int)(y + radius * 1.6));
        for (int row = first; row <= last; row++)
        {
            for (int column = Math.Max(0, (int)(x - radius * 1.6)); column <= Math.Min(Size - 1, (int)(x + radius * 1.6)); column++)
            {
                double dx = column - x, dy = row - y;
                double along = (dx * cosine + dy * sine) / aspect, across = (-dx * sine + dy * cosine) * aspect;
                double r = Math.Sqrt(along * along + across * across), angle = Math.Atan2(across, along);
                double outline = radius * (1 + dent * Math.Cos(3 * angle + dentPhase));
                double thickness = Math.Sqrt(Math.Max(0, 1 - 0.75 * r * r / (outline * outline)));
                _nucleus.Pixels[row * Size + column] = (float)(brightness * thickness * Canvas.Edge(outline - r, softness));
            }
        }
        DrawChromatin(concepts, x, y, radius, brightness);
        DrawNucleoli(ref random, Of(concepts, CohortConcept.NucleolarProminence), x, y, radius);
        DrawFragments(fragmentation, x, y, brightness);
    }

    private void DrawChromatin(ReadOnlySpan<double> concepts, double x, double y, double radius, double brightness)
    {
        CounterRandom random = Stream(CohortStream.Chromatin);
        double texture = Of(concepts, CohortConcept.ChromatinTexture);
        for (int i = 0; i < ChromatinSpots; i++)
        {
            double angle = 2 * Math.PI * random.NextDouble(), r = radius * 0.85 * Math.Sqrt(random.NextDouble());
            double sigma = _unit * (0.7 + 0.35 * random.NextDouble()), sign = i % 3 == 2 ? -0.5 : 1;
            _nucleus.AddSpot(x + r * Math.Cos(angle), y + r * Math.Sin(angle), sigma, sign * brightness * (0.05 + 1.00 * texture));
        }
    }

    private void DrawNucleoli(ref CounterRandom random, double prominence, double x, double y, double radius)
    {
        int count = 2 + random.NextInt32(2);
        for (int i = 0; i < count; i++)
        {
            double angle = 2 * Math.PI * random.NextDouble(), r = radius * (0.25 + 0.30 * random.NextDouble());
            _nucleus.CarveDisc(x + r * Math.Cos(angle), y + r * Math.Sin(angle), _unit * (0.9 + 1.3 * prominence), 0.08 + 0.88 * prominence, 0.7 * _unit);
        }
    }

    /// <summary>Karyorrhexis: bright round pieces leave the nucleus one by one.</summary>
    private void DrawFragments(double fragmentation, double x, double y, double brightness)
    {
        CounterRandom random = Stream(CohortStream.Fragments);
        for (int i = 0; i < NuclearFragments; i++)
        {
            double angle = 2 * Math.PI * (i + 0.6 * random.NextDouble()) / NuclearFragments;
            double r = Math.Min(_unit * (5.2 + 1.8 * random.NextDouble()), 0.8 * _soma.MeanRadius), size = _unit * (0.9 + 0.7 * random.NextDouble());
            double presence = Presence(fragmentation, i, NuclearFragments);
            if (presence > 0)
                _nucleus.AddBall(x + r * Math.Cos(angle), y + r * Math.Sin(angle), size * (0.5 + 0.5 * presence), presence * (0.6 + 0.8 * brightness), 0, 0.7 * _unit);
        }
    }
}
