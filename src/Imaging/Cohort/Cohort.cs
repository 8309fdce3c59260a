using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Per-cell truth of one modality.</summary>
public sealed class CohortCells : IDisposable
{
    internal CohortCells(string prefix, int count, ComputeDevice device)
    {
        Ids = [.. Enumerable.Range(0, count).Select(i => $"{prefix}{i:D5}")];
        Labels = new int[count];
        DeathRate = new double[count];
        Stage = new double[count];
        Concepts = device.AllocateMatrix<double>(count, CohortNames.ConceptCount);
    }

    public int Count => Labels.Length;

    /// <summary>Cell names, "img00000" and "rna00000" onwards.</summary>
    public string[] Ids { get; }

    /// <summary>Index into <see cref="CohortNames.Classes"/>.</summary>
    public int[] Labels { get; }

    /// <summary>Class names, one per cell.</summary>
    public string[] ClassNames => [.. Labels.Select(l => CohortNames.Classes[l])];

    /// <summary>Death rate in (0, 1), noise included.</summary>
    public double[] DeathRate { get; }

    /// <summary>How far each cell is along the course of its class, 0 (resting) to 1.</summary>
    public double[] Stage { get; }

    /// <summary>[cells, concepts] intensities in [0, 1]; exactly 0 where the concept is absent.</summary>
    public Matrix<double> Concepts { get; }

    public void Dispose() => Concepts.Dispose();
}

/// <summary>
/// A generated cohort with known ground truth: pictures of some cells, counts of other cells of the same classes, both drawn from the same
/// concepts. Every cell is a pure function of (seed, cell number): a longer cohort begins with the shorter one, and the bytes do not depend on
/// the number of threads.
/// </summary>
public sealed class Cohort : IDisposable
{
    private const int CellsPerBlock = 8;
    [ThreadStatic] private static CellRenderer? t_renderer;
    private readonly ushort[][]? _images;

    private Cohort(CohortOptions options, ComputeDevice device)
    {
        Options = options;
        ImageCells = new CohortCells("img", options.ImageCells, device);
        RnaCells = new CohortCells("rna", options.RnaCells, device);
        LibrarySizes = new double[options.RnaCells];
        Counts = device.AllocateMatrix<float>(options.RnaCells, TranscriptomeModel.Instance.Genes.Count);
        _images = options.HoldImages ? new ushort[options.ImageCells][] : null;
    }

    public CohortOptions Options { get; }

    /// <summary>Truth of the imaged cells.</summary>
    public CohortCells ImageCells { get; }

    /// <summary>Truth of the sequenced cells.</summary>
    public CohortCells RnaCells { get; }

    /// <summary>[cells, genes] counts (whole numbers) of the sequenced cells.</summary>
    public Matrix<float> Counts { get; }

    /// <summary>Library-size factor of each sequenced cell.</summary>
    public double[] LibrarySizes { get; }

    /// <summary>Gene symbols, in column order of <see cref="Counts"/>.</summary>
    public IReadOnlyList<string> Genes => TranscriptomeModel.Instance.Genes;

    public IReadOnlyList<GeneProgramme> Programmes => GeneProgrammes.All;
    public IReadOnlyList<string> ClassNames => CohortNames.Classes;

    /// <summary>Numbers in one picture: channels x side x side.</summary>
    public int PixelsPerImage => CellRenderer.Channels * Options.ImageSize * Options.ImageSize;

    /// <summary>Generates a cohort. The concept and count matrices live on <paramref name="device"/>, which must be a host device.</summary>
    /// <exception cref="UsageException">An option is out of range.</exception>
    public static Cohort Generate(CohortOptions options, ComputeDevice device, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options.Validate();
        if (device is not CpuDevice cpu) throw new DeviceException($"The cohort is generated on the CPU; {device.Name} cannot do it.");
        Cohort cohort = new(options, device);
        try
        {
            cohort.RunBlocks(cpu, options.ImageCells, cohort.GenerateImageCell, "drawing cells", progress, cancellation);
            cohort.RunBlocks(cpu, options.RnaCells, cohort.GenerateRnaCell, "drawing transcriptomes", progress, cancellation);
            return cohort;
        }
        catch
        {
            cohort.Dispose();
            throw;
        }
    }

    /// <summary>The 16-bit picture of one cell: planes of <see cref="CohortNames.Channels"/> one after another, each row-major.</summary>
    public ReadOnlyMemory<ushort> Image(int cell)
    {
        if (_images is not null) return _images[cell];
        ushort[] pixels = new ushort[PixelsPerImage];
        RenderImage(cell, pixels);
        return pixels;
    }

    /// <summary>Renders one picture into <paramref name="pixels"/> (<see cref="PixelsPerImage"/> numbers); safe from any thread.</summary>
    public void RenderImage(int cell, Span<ushort> pixels)
    {
        if (t_renderer?.Size != Options.ImageSize) t_renderer = new CellRenderer(Options.ImageSize);
        t_renderer.Render(Options.Seed, cell, ImageCells.Concepts.Row(cell), pixels);
    }

    public void Dispose()
    {
        ImageCells.Dispose();
        RnaCells.Dispose();
        Counts.Dispose();
    }

    private void GenerateImageCell(int cell)
    {
        DrawTruth(ImageCells, CohortModality.Image, cell);
        if (_images is null) return;
        _images[cell] = new ushort[PixelsPerImage];
        RenderImage(cell, _images[cell]);
    }

    private void GenerateRnaCell(int cell)
    {
        DrawTruth(RnaCells, CohortModality.Rna, cell);
        LibrarySizes[cell] = TranscriptomeModel.DrawLibrarySize(Options.Seed, cell);
        TranscriptomeModel.Instance.DrawCounts(Options.Seed, cell, RnaCells.Concepts.Row(cell), LibrarySizes[cell], Counts.Row(cell));
    }

    private void DrawTruth(CohortCells cells, CohortModality modality, int cell)
    {
        Span<double> concepts = cells.Concepts.Row(cell);
        cells.Labels[cell] = CohortModel.DrawClass(Options.Seed, modality, cell);
        cells.Stage[cell] = CohortModel.DrawConcepts(Options.Seed, modality, cell, cells.Labels[cell], concepts);
        cells.DeathRate[cell] = CohortModel.DrawDeathRate(Options.Seed, modality, cell, concepts);
    }

    private void RunBlocks(CpuDevice device, int cells, Action<int> generate, string stage, IProgressReporter? progress, CancellationToken cancellation)
    {
        // Slices keep progress and cancellation timely without a lock inside the workers.
        const int Slice = 32 * CellsPerBlock;
        for (int start = 0; start < cells; start += Slice)
        {
            cancellation.ThrowIfCancellationRequested();
            int end = Math.Min(start + Slice, cells);
            CellJob job = new(generate, start, end);
            device.Pool.Run((end - start + CellsPerBlock - 1) / CellsPerBlock, ref job);
            progress?.Report(stage, end, cells);
        }
    }

    private readonly struct CellJob(Action<int> generate, int start, int end) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            int first = start + (int)block * CellsPerBlock, last = Math.Min(first + CellsPerBlock, end);
            for (int cell = first; cell < last; cell++) generate(cell);
        }
    }
}
