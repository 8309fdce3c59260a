using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>A patch that passed the filter.</summary>
/// <param name="Field">Index into the fields of the image set.</param>
/// <param name="X">Left edge in pixels.</param>
/// <param name="Y">Upper edge in pixels.</param>
public sealed record PlannedPatch(int Field, int X, int Y, PatchFigures Figures);

/// <summary>
/// The patches of an image set, found by one pass over all files (which also shows, before any hour is spent on encoding, that every file can be read).
/// Pixels are not kept: <see cref="Batches"/> reads the fields again. Both read ahead of their use, as <see cref="FieldReader"/> bounds it.
/// </summary>
public sealed class PatchPlan
{
    private readonly int _threads;

    private PatchPlan(ImageSet images, PatchGrid grid, int channels, int threads, IReadOnlyList<PlannedPatch> patches, IReadOnlyDictionary<PatchVerdict, int> counts) =>
        (Images, Grid, Channels, _threads, Patches, Counts) = (images, grid, channels, threads, patches, counts);

    public ImageSet Images { get; }
    public PatchGrid Grid { get; }

    /// <summary>Channels that all fields have.</summary>
    public int Channels { get; }

    /// <summary>The patches that passed, field after field, each in row order.</summary>
    public IReadOnlyList<PlannedPatch> Patches { get; }

    /// <summary>How many patches were kept, and left out for which reason.</summary>
    public IReadOnlyDictionary<PatchVerdict, int> Counts { get; }

    /// <summary>"field_x000128_y000064": unique in the set.</summary>
    public string IdOf(PlannedPatch patch) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Images.Fields[patch.Field].Name}_x{patch.X}_y{patch.Y}");

    /// <summary>Reads every field and judges every patch.</summary>
    /// <exception cref="DataException">A file is unreadable, fields differ in channels, or no patch passes.</exception>
    public static PatchPlan Survey(CpuDevice device, ImageSet images, PatchGrid grid, PatchFilter filter, IProgressReporter progress, CancellationToken cancellation)
    {
        filter.Validate();
        List<PlannedPatch> kept = [];
        Dictionary<PatchVerdict, int> counts = Enum.GetValues<PatchVerdict>().ToDictionary(verdict => verdict, _ => 0);
        PatchQuality[] workers = [.. Enumerable.Range(0, device.Pool.Threads).Select(_ => new PatchQuality())];
        int channels = 0;
        using FieldReader reader = new(images, [.. Enumerable.Range(0, images.Fields.Count)], device.Pool.Threads);
        for (int field = 0; field < images.Fields.Count; field++)
        {
            ImageStack image = reader.Next(cancellation);
            if (field > 0 && image.Channels != channels)
                throw new DataException(images.Fields[field].Files[0], null, $"{image.Channels} channels, but field '{images.Fields[0].Name}' has {channels}; all fields of a set must have the same");
            channels = image.Channels;
            IReadOnlyList<(int X, int Y)> corners = grid.Corners(image);
            PatchFigures[] figures = new PatchFigures[corners.Count];
            MeasureJob job = new(workers, image, grid.Size, corners, figures);
            device.Pool.Run(corners.Count, ref job);
            for (int i = 0; i < figures.Length; i++)
            {
                PatchVerdict verdict = filter.Judge(figures[i]);
                counts[verdict]++;
                if (verdict == PatchVerdict.Kept) kept.Add(new PlannedPatch(field, corners[i].X, corners[i].Y, figures[i]));
            }
            progress.Report("reading images", field + 1, images.Fields.Count, $"{kept.Count} patches");
        }
        if (kept.Count == 0)
            throw new DataException(images.Fields[0].Files[0], null, $"none of {counts.Values.Sum()} patches passes the quality filter ({counts[PatchVerdict.LowContrast]} of low contrast, "
                + $"{counts[PatchVerdict.OutOfFocus]} out of focus, {counts[PatchVerdict.MostlyBackground]} mostly background); loosen the thresholds");
        return new PatchPlan(images, grid, channels, device.Pool.Threads, kept, counts);
    }

    /// <summary>At most <paramref name="count"/> patch indices, evenly spread over the plan.</summary>
    public int[] Spread(int count)
    {
        count = Math.Min(count, Patches.Count);
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * Patches.Count / count))];
    }

    /// <summary>The pixels of the named patches, in order, a batch at a time; a field is let go after the batch with its last.</summary>
    /// <param name="which">Indices into <see cref="Patches"/>, ascending; null for all.</param>
    public IEnumerable<IReadOnlyList<PatchSource>> Batches(IReadOnlyList<int>? which, int batch, CancellationToken cancellation)
    {
        List<PatchSource> pending = [];
        ImageStack? image = null;
        int loaded = -1, count = which?.Count ?? Patches.Count;
        IEnumerable<PlannedPatch> order = which is null ? Patches : which.Select(i => Patches[i]);
        using FieldReader reader = new(Images, [.. order.Select(patch => patch.Field).Distinct()], _threads);
        for (int i = 0; i < count; i++)
        {
            PlannedPatch patch = Patches[which is null ? i : which[i]];
            if (patch.Field != loaded)
            {
                image = reader.Next(cancellation);
                loaded = patch.Field;
            }
            pending.Add(new PatchSource(image!, patch.X, patch.Y));
            if (pending.Count < batch && i + 1 < count) continue;
            yield return pending;
            pending = [];
        }
    }

    private readonly struct MeasureJob(PatchQuality[] workers, ImageStack image, int size, IReadOnlyList<(int X, int Y)> corners, PatchFigures[] figures) : IBlockJob
    {
        public void Execute(long block, int worker) => figures[block] = workers[worker].Measure(image, corners[(int)block].X, corners[(int)block].Y, size);
    }
}
