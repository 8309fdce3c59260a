using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Draws one cell from its concepts: nucleus, mitochondria with calcium, membrane with cytoskeleton; then an optical blur, background and a camera.
/// Each structure has its own stream of random numbers, so changing one concept leaves everything else of the cell where it was.
/// Holds scratch planes: one renderer per thread.
/// </summary>
internal sealed partial class CellRenderer
{
    public const int Channels = 3;
    private const double EdgeSoftness = 0.9;
    private readonly Canvas _nucleus, _mitochondria, _membrane, _strokes;
    private readonly float[] _scratch;
    private readonly SomaShape _soma = new();
    private readonly NeuriteTree _neurites = new();
    private readonly double _unit;
    private ulong _seed;
    private int _cell;
    private double _nuclearRadius;

    public CellRenderer(int size)
    {
        Size = size;
        _unit = size / 64.0;
        _nucleus = new Canvas(size);
        _mitochondria = new Canvas(size);
        _membrane = new Canvas(size);
        _strokes = new Canvas(size);
        _scratch = new float[size * size];
    }

    public int Size { get; }

    /// <summary>Draws and photographs cell <paramref name="cell"/>; <paramref name="pixels"/> receives the three planes one after another.</summary>
    public void Render(ulong seed, int cell, ReadOnlySpan<double> concepts, Span<ushort> pixels)
    {
        DrawScene(seed, cell, concepts);
        CounterRandom random = Stream(CohortStream.Camera);
        Expose(_nucleus, ref random, pixels[..(Size * Size)]);
        Expose(_mitochondria, ref random, pixels.Slice(Size * Size, Size * Size));
        Expose(_membrane, ref random, pixels.Slice(2 * Size * Size, Size * Size));
    }

    /// <summary>The scene before optics and camera: three planes of light, 1 being the brightness of an ordinary membrane.</summary>
    public void RenderIdeal(ulong seed, int cell, ReadOnlySpan<double> concepts, Span<float> planes)
    {
        DrawScene(seed, cell, concepts);
        _nucleus.Pixels.CopyTo(planes);
        _mitochondria.Pixels.CopyTo(planes[(Size * Size)..]);
        _membrane.Pixels.CopyTo(planes[(2 * Size * Size)..]);
    }

    private void DrawScene(ulong seed, int cell, ReadOnlySpan<double> concepts)
    {
        _seed = seed;
        _cell = cell;
        _nucleus.Clear();
        _mitochondria.Clear();
        _membrane.Clear();
        CounterRandom pose = Stream(CohortStream.Pose), outline = Stream(CohortStream.Soma);
        CounterRandom paths = Stream(CohortStream.Neurites), branches = Stream(CohortStream.Branches);
        _soma.Draw(ref pose, ref outline, Size, _unit, Of(concepts, CohortConcept.SomaSize));
        _neurites.Grow(_soma, ref paths, ref branches, _unit, Of(concepts, CohortConcept.NeuriteLength), Of(concepts, CohortConcept.NeuriteBranching));
        DrawNucleus(concepts);
        DrawNeurites(concepts);
        DrawBody(concepts);
        DrawFilopodia(concepts);
        DrawMitochondria(concepts);
        DrawVacuoles(concepts);
        DrawInclusions(concepts);
        DrawBlebs(concepts);
        DrawSynapses(concepts);
    }

    /// <summary>Point-spread function, staining and illumination that differ from cell to cell, shot and read noise, analogue-to-digital conversion.</summary>
    private void Expose(Canvas canvas, ref CounterRandom random, Span<ushort> pixels)
    {
        const double PhotonsAtOne = 650, BackgroundPhotons = 45, ReadNoise = 4, Gain = 14, Offset = 120;
        double focus = 0.72 * (1 + 0.10 * random.NextDouble()), stain = PhotonsAtOne * Math.Exp(0.07 * random.NextNormal());
        double slopeX = 0.15 * (2 * random.NextDouble() - 1), slopeY = 0.15 * (2 * random.NextDouble() - 1);
        canvas.Blur(focus * _unit, _scratch);
        for (int row = 0; row < Size; row++)
        {
            for (int column = 0; column < Size; column++)
            {
                double shade = 1 + slopeX * (column / (double)Size - 0.5) + slopeY * (row / (double)Size - 0.5);
                double photons = BackgroundPhotons * shade + stain * canvas.Pixels[row * Size + column];
                // Every pixel collects more than 40 photons, where Poisson counts are normal to within the read noise.
                double counted = photons + Math.Sqrt(photons + ReadNoise * ReadNoise) * random.NextNormal();
                pixels[row * Size + column] = (ushort)Math.Clamp(Math.Round(Offset + Gain * counted), 0, ushort.MaxValue);
            }
        }
    }

    private CounterRandom Stream(CohortStream purpose) => CohortModel.Stream(_seed, CohortModality.Image, _cell, purpose);

    private static double Of(ReadOnlySpan<double> concepts, CohortConcept concept) => concepts[(int)concept];

    private static double Presence(double concept, int i, int n) => NeuriteTree.Presence(concept, i, n);
}
