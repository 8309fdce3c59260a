using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Genes by how differently groups of cells express them (scanpy's <c>rank_genes_groups</c>). Each column is ranked once, for all groups; zeros of a sparse matrix are one tie that
/// is counted, not sorted. Threads share the genes, and a gene's numbers depend on its column alone: the same bytes on any number of threads.
/// p-values are logarithms throughout, so that none is 0.
/// </summary>
public static class RankGenes
{
    private const int StripsBetweenReports = 32;

    /// <summary>Compares groups of cells. Memory besides the matrix (and, where it is compressed by rows, its recompressed copy): some 100 bytes per cell and thread.</summary>
    /// <param name="device">Whose threads are used.</param>
    /// <param name="x">[cells, genes] finite: an <see cref="NdArray"/> or a <see cref="SparseMatrix"/>.</param>
    /// <param name="codes">[cells] group of each cell, 0 … <paramref name="groups"/> − 1; negative for none.</param>
    /// <param name="groups">Number of groups.</param>
    /// <param name="options">The test and what is compared; null for scanpy's defaults.</param>
    /// <param name="source">Name of the matrix for error messages.</param>
    /// <param name="progress">Receives "rank genes" by genes.</param>
    /// <param name="cancellation">Stops between genes.</param>
    /// <returns>The tested groups in the order they were asked for, without the reference.</returns>
    /// <exception cref="UsageException">Groups do not fit the cells, or a side has too few (1 for rank tests, 2 for Welch's).</exception>
    /// <exception cref="DataException">The matrix holds no numbers, or one that is not finite; the column is named.</exception>
    public static IReadOnlyList<RankedGroup> Compute(CpuDevice device, IAnnElement? x, ReadOnlySpan<int> codes, int groups, RankGenesOptions? options = null, string source = "matrix",
        IProgressReporter? progress = null, CancellationToken cancellation = default) =>
        Compute(device, new GeneColumns(x, source), codes, groups, options, progress, cancellation);

    /// <summary>The same of a matrix in host memory, on its device's threads.</summary>
    /// <inheritdoc cref="Compute(CpuDevice, IAnnElement?, ReadOnlySpan{int}, int, RankGenesOptions?, string, IProgressReporter?, CancellationToken)"/>
    public static IReadOnlyList<RankedGroup> Compute(Matrix<float> x, ReadOnlySpan<int> codes, int groups, RankGenesOptions? options = null, string source = "matrix", CancellationToken cancellation = default) =>
        Compute(x.Device.Host, new GeneColumns(x, source), codes, groups, options, null, cancellation);

    private static IReadOnlyList<RankedGroup> Compute(CpuDevice device, GeneColumns columns, ReadOnlySpan<int> codes, int groups, RankGenesOptions? options, IProgressReporter? progress, CancellationToken cancellation)
    {
        GeneComparison plan = new(columns, codes, groups, options ?? new RankGenesOptions());
        GeneScan?[] scans = new GeneScan?[device.Pool.Threads];
        for (int first = 0; first < plan.Columns.Strips; first += StripsBetweenReports)
        {
            int strips = Math.Min(StripsBetweenReports, plan.Columns.Strips - first);
            Job job = new(plan, scans, first, cancellation);
            device.Pool.Run(strips, ref job);
            cancellation.ThrowIfCancellationRequested();
            progress?.Report("rank genes", Math.Min(plan.Columns.Genes, (first + strips) * GeneColumns.GenesPerStrip), plan.Columns.Genes);
        }
        return plan.Finish();
    }

    private readonly struct Job(GeneComparison plan, GeneScan?[] scans, int firstStrip, CancellationToken cancellation) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            GeneScan scan = scans[worker] ??= new GeneScan(plan);
            int first = (firstStrip + (int)block) * GeneColumns.GenesPerStrip, end = Math.Min(plan.Columns.Genes, first + GeneColumns.GenesPerStrip);
            for (int gene = first; gene < end && !cancellation.IsCancellationRequested; gene++) scan.Run(gene);
        }
    }
}
