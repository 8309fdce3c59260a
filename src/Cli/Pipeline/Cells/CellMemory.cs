using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Large memory is announced before it is taken, and refused where the machine does not have it.</summary>
internal static class CellMemory
{
    /// <summary>From here on a plan is worth a line.</summary>
    public const long AnnouncedBytes = 256L << 20;

    /// <param name="context">Says the plan.</param>
    /// <param name="what">What the memory is for, with its extents: "X made dense, 10000 x 20000".</param>
    /// <param name="bytes">How much.</param>
    /// <exception cref="UsageException">The machine (or the container) has less.</exception>
    public static void Require(CellsContext context, string what, long bytes)
    {
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes > available)
            throw new UsageException($"{what} would take {Numbers.Bytes(bytes)}, and this machine has {Numbers.Bytes(available)}; select fewer cells or variables first (filter_cells, filter_genes, highly_variable_genes).");
        if (bytes >= AnnouncedBytes) context.Note($"memory: {what} takes {Numbers.Bytes(bytes)} of {Numbers.Bytes(available)}");
    }
}
