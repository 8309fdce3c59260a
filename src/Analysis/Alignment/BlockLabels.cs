using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Labels that a coupling is restricted to: a cell has partners with its own label only (<see cref="LabelBlockGromovWasserstein"/>).</summary>
/// <param name="First">Label of every cell of the first domain [n].</param>
/// <param name="Second">Label of every cell of the second domain [m]; the same set of labels.</param>
public sealed record BlockLabels(IReadOnlyList<string> First, IReadOnlyList<string> Second)
{
    /// <summary>Refuses labels that make no blocks for domains of these sizes.</summary>
    /// <exception cref="DataException">A list has another length, or a label occurs in one domain only.</exception>
    internal LabelBlocks Require(int n, int m)
    {
        RequireCount(First, n, "first");
        RequireCount(Second, m, "second");
        return LabelBlocks.Of(First, Second);
    }

    /// <summary>Refuses what an alignment within blocks does not have, before anything is computed.</summary>
    /// <exception cref="UsageException">A parameter, or a truth that lies outside the blocks.</exception>
    internal void Require(int n, int m, AlignmentOptions options)
    {
        LabelBlockGromovWasserstein.Require(options.Gromov);
        Require(n, m);
        if (!options.TruthIsIdentity) return;
        for (int i = 0; i < Math.Min(n, m); i++)
            if (First[i] != Second[i])
                throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The truth cannot be the identity: row {i}, counted from 0, is in block '{First[i]}' in the first domain and in '{Second[i]}' in the second."));
    }

    /// <summary>Labels in ordinal order with the cells of both domains and the mass of their block.</summary>
    internal IReadOnlyList<(string Label, int First, int Second, double Mass)> Sizes()
    {
        LabelBlocks blocks = LabelBlocks.Of(First, Second);
        return [.. blocks.Labels.Select((label, l) => (label, blocks.Rows[l].Length, blocks.Columns[l].Length, blocks.Masses[l]))];
    }

    /// <summary>What a user must know about labels that are scored within blocks.</summary>
    internal IEnumerable<string> Warnings(LabelTransferResult? labels)
    {
        if (labels is { Majority: >= 1 }) yield return "The blocks determine the labels, so that every coupling transfers them: the verdict does not count it.";
    }

    /// <summary>Accuracy of giving every cell the most frequent of these classes among the cells of its block: what labels score without a coupling.</summary>
    internal double Majority(IReadOnlyList<string> classes)
    {
        LabelBlocks blocks = LabelBlocks.Of(First, Second);
        return blocks.Rows.Sum(cells => cells.GroupBy(i => classes[i], StringComparer.Ordinal).Max(c => c.Count())) / (double)classes.Count;
    }

    /// <summary>
    /// <see cref="MatchAccuracy.Foscttm(Matrix{double}, Matrix{double})"/> among the cells of each block, averaged over the cells of blocks of at least two: chance is 0.5 whatever the blocks tell by
    /// themselves. NaN for the other cells; null where no block has two.
    /// </summary>
    internal FosctTm? Within(Matrix<double> projected, Matrix<double> target)
    {
        double forth = 0, back = 0;
        int cells = 0;
        double[] perCell = new double[First.Count];
        Array.Fill(perCell, double.NaN);
        int[] all = [.. Enumerable.Range(0, projected.Columns)];
        using PlacedMatrix<double> there = target.OnHost(), here = projected.OnHost();
        foreach (int[] block in LabelBlocks.Of(First, Second).Rows)
        {
            if (block.Length < 2) continue;
            using Matrix<double> one = CellStability.Part(projected.Device.Host, here.Matrix, block, all), other = CellStability.Part(projected.Device.Host, there.Matrix, block, all);
            FosctTm within = MatchAccuracy.Foscttm(one, other);
            forth += block.Length * within.FirstToSecond;
            back += block.Length * within.SecondToFirst;
            cells += block.Length;
            for (int c = 0; c < block.Length; c++) perCell[block[c]] = within.PerCell[c];
        }
        return cells == 0 ? null : new FosctTm(forth / cells, back / cells, perCell);
    }

    private static void RequireCount(IReadOnlyList<string> labels, int cells, string domain)
    {
        if (labels.Count != cells) throw new DataException($"block labels of the {domain} domain", null, string.Create(CultureInfo.InvariantCulture, $"{labels.Count} labels were given for {cells} cells."));
    }
}

/// <summary>The solver of an alignment that stores its coupling: over all couplings, or over those that keep to the blocks.</summary>
internal static class StoredSolver
{
    public static GromovResult Solve(DomainCostResult c1, DomainCostResult c2, GromovOptions options, BlockLabels? blocks, Matrix<double>? fused = null, Matrix<double>? initial = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default) =>
        blocks is null ? EntropicGromovWasserstein.Solve(c1, c2, options, fused, initial, progress, cancellation)
            : LabelBlockGromovWasserstein.Solve(c1.Cost, c2.Cost, blocks, options, fused: fused, initial: initial, progress: progress, cancellation: cancellation);

    public static GromovResult Solve(Matrix<double> c1, Matrix<double> c2, GromovOptions options, BlockLabels? blocks, Matrix<double>? fused = null, Matrix<double>? initial = null,
        double[]? p = null, double[]? q = null, IProgressReporter? progress = null, CancellationToken cancellation = default) =>
        blocks is null ? EntropicGromovWasserstein.Solve(c1, c2, options, fused, initial, p, q, progress, cancellation)
            : LabelBlockGromovWasserstein.Solve(c1, c2, blocks, options, fused: fused, initial: initial, p: p, q: q, progress: progress, cancellation: cancellation);
}
