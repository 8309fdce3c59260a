using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// Writes a generated cohort as if a laboratory had delivered it: a folder of 16-bit TIFF pictures, a table of cells, a matrix of counts; and, beside
/// them, the truth that a laboratory would not know.
/// </summary>
internal static class CohortStage
{
    public static string Images(RunFolder folder) => Path.Combine(folder.Cohort, "images");
    /// <summary>The imaged cells: class, death rate and, as only a generator can know them, their concepts.</summary>
    public static string Cells(RunFolder folder) => Path.Combine(folder.Cohort, "image_cells.csv");

    public static void Run(CohortSection section, RunFolder folder, CommandContext context)
    {
        CohortOptions options = new()
        {
            ImageCells = section.ImageCells,
            RnaCells = section.RnaCells,
            ImageSize = section.ImageSize,
            Seed = context.Seed,
            HoldImages = false,
        };
        using Cohort cohort = Cohort.Generate(options, context.Host, context.Progress, context.Cancellation);
        if (Directory.Exists(Images(folder))) Directory.Delete(Images(folder), recursive: true);
        Directory.CreateDirectory(Images(folder));
        WriteImages(cohort, folder, context);
        CohortWriter.Write(cohort, folder.Cohort);
    }

    private static void WriteImages(Cohort cohort, RunFolder folder, CommandContext context)
    {
        int side = cohort.Options.ImageSize, channels = CohortNames.Channels.Count;
        ImageJob job = new(cohort, Images(folder), side, channels, context);
        context.Host.Pool.Run(cohort.ImageCells.Count, ref job);
        context.Cancellation.ThrowIfCancellationRequested();
    }

    private readonly struct ImageJob(Cohort cohort, string folder, int side, int channels, CommandContext context) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            if (context.Cancellation.IsCancellationRequested) return;
            int cell = (int)block;
            ReadOnlySpan<ushort> pixels = cohort.Image(cell).Span;
            float[] values = new float[pixels.Length];
            for (int i = 0; i < values.Length; i++) values[i] = pixels[i];
            string path = Path.Combine(folder, $"{cohort.ImageCells.Ids[cell]}.tif");
            using FileStream stream = File.Create(path);
            TiffWriter.Write(stream, new ImageStack(path, channels, side, side, values, ushort.MaxValue));
            if (block % 50 == 0) context.Progress.Report("writing pictures", block, cohort.ImageCells.Count);
        }
    }
}
