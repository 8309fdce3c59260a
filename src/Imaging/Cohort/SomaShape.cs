using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>The outline of a cell body and its nucleus: smooth closed curves around a centre, as radius by angle.</summary>
internal sealed class SomaShape
{
    private const int Angles = 256;
    private readonly double[] _radius = new double[Angles];

    public double X { get; private set; }
    public double Y { get; private set; }

    /// <summary>Long axis of the body, radians.</summary>
    public double Orientation { get; private set; }

    public double MeanRadius { get; private set; }

    public void Draw(ref CounterRandom pose, ref CounterRandom random, int size, double unit, double somaSize)
    {
        X = (size - 1) / 2.0 + unit * 2.2 * (2 * pose.NextDouble() - 1);
        Y = (size - 1) / 2.0 + unit * 2.2 * (2 * pose.NextDouble() - 1);
        Orientation = 2 * Math.PI * pose.NextDouble();
        MeanRadius = unit * (8.6 + 5.2 * somaSize) * (1 + 0.05 * Math.Clamp(random.NextNormal(), -2, 2));
        double elongation = 0.10 + 0.10 * random.NextDouble(), egg = 0.05 * random.NextDouble(), wave = 0.035 * random.NextDouble();
        double eggPhase = 2 * Math.PI * random.NextDouble(), wavePhase = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < Angles; i++)
        {
            double angle = 2 * Math.PI * i / Angles;
            _radius[i] = MeanRadius * (1 + elongation * Math.Cos(2 * (angle - Orientation)) + egg * Math.Cos(3 * angle + eggPhase)
                + wave * Math.Cos(5 * angle + wavePhase));
        }
    }

    /// <summary>Distance from the centre to the outline in this direction.</summary>
    public double Radius(double angle)
    {
        double position = angle / (2 * Math.PI) * Angles;
        double floor = Math.Floor(position);
        int i = (int)floor & (Angles - 1);
        return _radius[i] + (position - floor) * (_radius[(i + 1) & (Angles - 1)] - _radius[i]);
    }

    /// <summary>Point at a fraction of the way from the centre to the outline.</summary>
    public (double X, double Y) At(double angle, double fraction)
    {
        double r = fraction * Radius(angle);
        return (X + r * Math.Cos(angle), Y + r * Math.Sin(angle));
    }
}
