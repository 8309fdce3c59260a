using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How the blocks of a coupling restricted to equal labels hang together.</summary>
public enum LabelBlockMode
{
    /// <summary>One objective over all pairs of cells: distances between cells of different labels count, so the labels orient each other.</summary>
    Joint,

    /// <summary>Every label is a problem of its own, of mass 1 before its block is scaled: distances between labels do not count, and each label is free to be mirrored by itself.</summary>
    Separate,
}

/// <summary>
/// Entropic Gromov-Wasserstein between costs with couplings restricted to equal labels (labelled EGWOT, Ryu et al. 2024): the coupling is a block per label, each with a Sinkhorn of its own, and
/// a tensor product takes (n + m) sum n_l m_l operations in place of n m (n + m). Balanced within the blocks, in double precision, on the host. A label's mass is the mean of its shares in the two domains.
/// </summary>
public static class LabelBlockGromovWasserstein
{
    /// <summary>Solves.</summary>
    /// <param name="c1">Cost within the first domain [n, n], symmetric and finite.</param>
    /// <param name="c2">Cost within the second domain [m, m].</param>
    /// <param name="labels">Labels of the cells of both domains.</param>
    /// <param name="options">Parameters: balanced, POT's stopping rule, double precision.</param>
    /// <param name="mode">Whether the labels are solved together.</param>
    /// <param name="fused">Cost between the domains [n, m] for a fused problem, looked at within equal labels, or null.</param>
    /// <param name="initial">Starting coupling [n, m], of which the blocks are looked at, each scaled to its mass; or null for the product of the masses within every block.</param>
    /// <param name="p">Masses of the first domain, positive, or null for uniform: a block's rows share its mass as these stand to each other.</param>
    /// <param name="q">Masses of the second domain, or null for uniform.</param>
    /// <param name="progress">Receives the change of the coupling at each check.</param>
    /// <param name="cancellation">Stops between outer iterations.</param>
    /// <returns>The coupling [n, m], zero between different labels. Its loss is that over all pairs when joint, the mean of the labels' losses weighed by their masses when separate.</returns>
    /// <exception cref="UsageException">The options ask for what block couplings do not have.</exception>
    /// <exception cref="DataException">A label occurs in one domain only, or a cost is not finite or not symmetric.</exception>
    public static GromovResult Solve(Matrix<double> c1, Matrix<double> c2, BlockLabels labels, GromovOptions options, LabelBlockMode mode = LabelBlockMode.Joint, Matrix<double>? fused = null,
        Matrix<double>? initial = null, double[]? p = null, double[]? q = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        Require(options);
        if (!c1.Device.IsHost || !c2.Device.IsHost) throw new DeviceException("Couplings restricted to equal labels are computed on the host only; choose --device cpu.");
        InputChecks.RequireSymmetric(c1, "cost of the first domain");
        InputChecks.RequireSymmetric(c2, "cost of the second domain");
        if (fused is not null) InputChecks.RequireShapeFinite(fused, c1.Rows, c2.Rows, "fused cost");
        if (fused is null && options.Alpha != 1) throw new UsageException("alpha has no meaning without a fused cost.");
        if (initial is not null) InputChecks.RequireCoupling(initial, c1.Rows, c2.Rows, "initial coupling");
        labels.Require(c1.Rows, c2.Rows);
        using LabelBlockIteration iteration = new(c1, c2, LabelBlocks.Of(labels.First, labels.Second, p, q), options, mode, fused, initial);
        return iteration.Run(progress ?? SilentProgress.Instance, cancellation);
    }

    /// <summary>How far a coupling of the blocks is from a first-order optimum among these; nothing else is compared with.</summary>
    internal static StationarityGap Gap(Matrix<double> c1, Matrix<double> c2, BlockLabels labels, Matrix<double> coupling, GromovOptions options, Matrix<double>? fused, CancellationToken cancellation)
    {
        using LabelBlockIteration iteration = new(c1, c2, labels.Require(c1.Rows, c2.Rows), options, LabelBlockMode.Joint, fused, coupling);
        return iteration.Gap(cancellation);
    }

    /// <summary>Refuses parameters that couplings restricted to equal labels do not have.</summary>
    /// <exception cref="UsageException">With what is wrong.</exception>
    internal static void Require(GromovOptions options)
    {
        options.Validate();
        if (options.Marginals != MarginalConstraint.Balanced) throw new UsageException("Couplings restricted to equal labels are balanced within the labels; leave the other marginals out.");
        if (options.Stop != StoppingRule.Pot) throw new UsageException("Couplings restricted to equal labels are solved with POT's stopping rule.");
        if (options.Precision != GromovPrecision.Double) throw new UsageException("Couplings restricted to equal labels are solved in double precision.");
    }

    /// <summary>The native memory of a solve, the costs included.</summary>
    public static MemoryPlan Plan(BlockLabels labels)
    {
        LabelBlocks blocks = LabelBlocks.Of(labels.First, labels.Second);
        long n = labels.First.Count, m = labels.Second.Count, entries = 0, widest = 0;
        for (int l = 0; l < blocks.Count; l++)
        {
            entries += (long)blocks.Rows[l].Length * blocks.Columns[l].Length;
            widest = Math.Max(widest, blocks.Columns[l].Length);
        }
        return new MemoryPlan(
        [
            ("costs within the domains, as given and by label", 16 * (n * n + m * m)),
            ("blocks of coupling and cost", 16 * entries),
            ("Sinkhorn kernels and support", 8 * entries + entries * 8 / 32 + entries / 8),
            ("products of one label", 8 * n * widest),
            ("the coupling returned", 8 * n * m),
        ]);
    }
}
