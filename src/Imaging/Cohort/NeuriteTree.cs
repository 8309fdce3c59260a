using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// A cell's neurites as curved, tapered paths. Each path is drawn at its longest and cut to the length the concept asks for, so that a longer
/// neurite continues the shorter one.
/// </summary>
internal sealed class NeuriteTree
{
    private const int MaxBranches = 3;
    private readonly List<Path> _paths = [];

    /// <summary>A polyline with points about one unit apart.</summary>
    internal sealed class Path
    {
        public List<double> X { get; } = [];
        public List<double> Y { get; } = [];
        public List<double> Heading { get; } = [];
        public double BaseWidth { get; set; }
        public bool IsBranch { get; set; }
        public int Count => X.Count;
    }

    public IReadOnlyList<Path> Paths => _paths;

    public void Grow(SomaShape soma, ref CounterRandom random, ref CounterRandom branching, double unit, double length, double branches)
    {
        _paths.Clear();
        int primaries = 4 + random.NextInt32(2);
        double turn = 2 * Math.PI * random.NextDouble();
        for (int i = 0; i < primaries; i++)
        {
            double angle = turn + 2 * Math.PI * (i + 0.55 * (random.NextDouble() - 0.5)) / primaries;
            // One neurite leads, as an axon does.
            double reach = (i == 0 ? 34 : 18 + 11 * random.NextDouble()) * (0.26 + 0.74 * length);
            (double x, double y) = soma.At(angle, 0.93);
            Path trunk = Walk(ref random, x, y, angle, unit, reach, 0.045);
            trunk.BaseWidth = i == 0 ? 1.25 : 1.0;
            _paths.Add(trunk);
            Branch(trunk, ref branching, unit, reach, branches);
        }
    }

    private void Branch(Path trunk, ref CounterRandom random, double unit, double reach, double branches)
    {
        for (int b = 0; b < MaxBranches; b++)
        {
            double position = 0.25 + 0.2 * b + 0.12 * random.NextDouble(), side = random.NextDouble() < 0.5 ? -1 : 1;
            double angle = side * (0.65 + 0.4 * random.NextDouble()), share = 0.45 + 0.25 * random.NextDouble();
            ulong seed = random.NextUInt64();
            double presence = Presence(0.12 + 0.88 * branches, b, MaxBranches);
            if (presence <= 0 || trunk.Count < 4) continue;
            int from = Math.Min((int)(position * trunk.Count), trunk.Count - 1);
            CounterRandom own = new(seed);
            Path branch = Walk(ref own, trunk.X[from], trunk.Y[from], trunk.Heading[from] + angle, unit, presence * (3 + share * reach), 0.06);
            branch.BaseWidth = 0.75;
            branch.IsBranch = true;
            _paths.Add(branch);
        }
    }

    private static Path Walk(ref CounterRandom random, double x, double y, double heading, double unit, double reach, double wobble)
    {
        const int LongestWalk = 40;
        Path path = new();
        double curvature = 0.05 * random.NextNormal();
        for (int step = 0; step <= LongestWalk; step++)
        {
            double left = reach - step;
            if (left < -1) break;
            double stride = unit * (left < 0 ? 1 + left : 1);
            path.X.Add(x);
            path.Y.Add(y);
            path.Heading.Add(heading);
            curvature = 0.86 * curvature + wobble * random.NextNormal();
            heading += curvature;
            x += stride * Math.Cos(heading);
            y += stride * Math.Sin(heading);
        }
        return path;
    }

    /// <summary>How much of the i-th of n objects a concept shows: they appear one after another, each growing smoothly.</summary>
    internal static double Presence(double concept, int i, int n) => Math.Clamp(concept * n - i, 0, 1);
}
