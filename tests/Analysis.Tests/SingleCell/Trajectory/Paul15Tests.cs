using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>
/// Myeloid progenitors of mouse bone marrow (Paul et al. 2015; 2,660 cells, 240 genes) against slingshot's pseudotime along both lineages, which another program made.
/// The plainest of six recipes that were compared (docs/cells.md has all their results): totals to their median, log1p, 20 components, 15 neighbours, 15 diffusion components, 10 of them for the time, and the published
/// root with the multipotent progenitors as control.
/// </summary>
public sealed class Paul15Tests
{
    [Fact]
    public void Both_lineages_are_in_the_published_order()
    {
        string? folder = SharedData.Find("paul15", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new(2);
        NdArray counts = NpyFile.Read(Path.Combine(folder!, "counts.npy"));
        Table cells = CsvFile.Read(Path.Combine(folder!, "cells.csv"));
        using Matrix<float> x = Matrix<float>.From(device, cells.Rows, (int)counts.Shape[1], Array.ConvertAll(counts.ToDoubles(), v => (float)v));
        CellPreprocessing.NormaliseTotal(x);
        CellPreprocessing.Log1p(x);
        using Matrix<double> wide = Matrix<double>.From(device, x.Rows, x.Columns, Array.ConvertAll(x.ToArray(), v => (double)v));
        using Pca pca = Pca.Fit(wide, 20);
        using Matrix<double> scores = pca.Transform(wide);
        using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(NearestCells.Find(scores, 15)));
        int root = map.Medoid([.. Enumerable.Range(0, cells.Rows).Where(i => cells["celltype"].Text[i] == "Multipotent progenitors")]);
        DiffusionPseudotime time = DiffusionPseudotime.Compute(map, root);
        Assert.Equal((0, 0), (time.Unreachable, time.LeftUnweighted));
        double[] spearman = [.. new[] { 1, 2 }.Select(lineage =>
        {
            int[] on = [.. Enumerable.Range(0, cells.Rows).Where(i => cells[$"weight_lineage{lineage}"].Numbers[i] > 0.5)];
            return RankStatistics.Spearman([.. on.Select(i => time.Values[i])], [.. on.Select(i => cells[$"pseudotime_lineage{lineage}"].Numbers[i])]);
        })];
        TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant($"Spearman, lineage 1 {spearman[0]:0.000}, lineage 2 {spearman[1]:0.000}"));
        // Measured: 0.912 and 0.887.
        Assert.InRange(spearman[0], 0.88, 1);
        Assert.InRange(spearman[1], 0.85, 1);
    }
}
