using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How often cells keep their partner when the cells of both domains are drawn anew.</summary>
/// <param name="First">Per cell of the first domain, the share of the replicates that drew it in which its best partner stayed in the neighbourhood of the one it has; NaN where it was never drawn.</param>
/// <param name="Second">The same for the second domain.</param>
/// <param name="Chance">Share of a domain that lies in a neighbourhood, averaged over both domains: what unrelated partners would score.</param>
/// <param name="Replicates">Replicates that ended in a coupling.</param>
/// <param name="Failed">Replicates that did not.</param>
public sealed record CellStability(double[] First, double[] Second, double Chance, int Replicates, int Failed)
{
    /// <summary>A neighbourhood holds this share of a domain (and at least <see cref="LeastNeighbours"/> cells, and all that are equally far).</summary>
    public const double NeighbourhoodShare = 0.05;
    public const int LeastNeighbours = 5;

    /// <summary>Cells drawn from a domain per replicate, at most: more would cost more than the solve that is judged.</summary>
    public const int MostDraws = 1000;
    private const int Iterations = 40;
    private const double Tolerance = 1e-5;

    /// <summary>Mean over both domains' cells.</summary>
    public double Mean => First.Concat(Second).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();

    /// <summary>
    /// Draws cells with replacement (their counts are their masses), starts from the coupling found, and iterates at the same epsilon. Replicates run at the same
    /// time on one thread each, and are the same numbers for any number of threads.
    /// </summary>
    /// <param name="first">Cost within the first domain [n, n], in any memory; replicates run on the host.</param>
    /// <param name="second">Cost within the second domain [m, m].</param>
    /// <param name="coupling">[n, m].</param>
    /// <param name="options">How it was solved.</param>
    /// <param name="fused">Cost between the domains, or null.</param>
    /// <param name="replicates">How many.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="blocks">Labels that the coupling is restricted to, or null; cells of a label that was not drawn in both domains are left out of a replicate.</param>
    /// <param name="cancellation">Stops between outer iterations.</param>
    public static CellStability Of(Matrix<double> first, Matrix<double> second, Matrix<double> coupling, GromovOptions options, Matrix<double>? fused, int replicates, ulong seed,
        BlockLabels? blocks = null, CancellationToken cancellation = default)
    {
        using PlacedMatrix<double> c1 = first.OnHost(), c2 = second.OnHost(), plan = coupling.OnHost(), between = (fused ?? coupling).OnHost();
        Problem whole = new(c1.Matrix, c2.Matrix, plan.Matrix, fused is null ? null : between.Matrix, blocks);
        Outcome?[] outcomes = new Outcome?[replicates];
        GromovOptions settings = options with
        {
            InnerSolve = InnerSolve.Converged,
            MaxIterations = Iterations,
            Tolerance = Math.Max(options.Tolerance, Tolerance),
            CheckEvery = 5,
            Inner = options.Inner with { MaxIterations = 200, Tolerance = Math.Max(options.Inner.Tolerance, 1e-7) },
        };
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = first.Device.Host.Pool.Threads, CancellationToken = cancellation };
        Parallel.For(0, replicates, parallel, r => outcomes[r] = Replicate(whole, settings, new CounterRandom(seed, stream: 0x626F6F74UL + (ulong)r), cancellation));
        int[] rowPartners = DistinctOptima.Partners(plan.Matrix), columnPartners = ColumnPartners(plan.Matrix);
        Tally rows = new(c2.Matrix, rowPartners), columns = new(c1.Matrix, columnPartners);
        foreach (Outcome? outcome in outcomes)
        {
            if (outcome is null) continue;
            rows.Add(outcome.FirstCells, outcome.FirstPartners);
            columns.Add(outcome.SecondCells, outcome.SecondPartners);
        }
        int done = outcomes.Count(outcome => outcome is not null);
        return new CellStability(rows.Shares(), columns.Shares(), 0.5 * (rows.Chance + columns.Chance), done, replicates - done);
    }

    /// <summary>The row with the largest mass in every column, the first of equals.</summary>
    internal static int[] ColumnPartners(Matrix<double> coupling)
    {
        int[] best = new int[coupling.Columns];
        for (int i = 1; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            for (int j = 0; j < row.Length; j++) if (row[j] > coupling.Row(best[j])[j]) best[j] = i;
        }
        return best;
    }

    /// <summary>Distance up to which a cell belongs to another's neighbourhood, for every cell.</summary>
    internal static double[] Radii(Matrix<double> cost)
    {
        int n = cost.Rows, neighbours = Math.Min(n - 1, Math.Max(LeastNeighbours, (int)Math.Ceiling(NeighbourhoodShare * n)));
        double[] radii = new double[n], row = new double[n];
        for (int i = 0; i < n; i++)
        {
            cost.Row(i).CopyTo(row);
            Array.Sort(row);
            radii[i] = row[neighbours];
        }
        return radii;
    }

    private static Outcome? Replicate(Problem whole, GromovOptions settings, CounterRandom random, CancellationToken cancellation)
    {
        (int[] rows, double[] p) = Draw(ref random, whole.First.Rows);
        (int[] columns, double[] q) = Draw(ref random, whole.Second.Rows);
        BlockLabels? blocks = null;
        if (whole.Blocks is { } labels)
        {
            HashSet<string> both = [.. rows.Select(i => labels.First[i]).Intersect(columns.Select(j => labels.Second[j]))];
            (rows, p) = Keep(rows, p, i => both.Contains(labels.First[i]));
            (columns, q) = Keep(columns, q, j => both.Contains(labels.Second[j]));
            blocks = new BlockLabels([.. rows.Select(i => labels.First[i])], [.. columns.Select(j => labels.Second[j])]);
        }
        using CpuDevice device = new(1);
        using Matrix<double> c1 = Part(device, whole.First, rows, rows), c2 = Part(device, whole.Second, columns, columns), start = Start(device, whole.Coupling, (rows, p), (columns, q));
        using Matrix<double>? fused = whole.Fused is null ? null : Part(device, whole.Fused, rows, columns);
        try
        {
            using GromovResult result = StoredSolver.Solve(c1, c2, settings, blocks, fused, start, p, q, cancellation: cancellation);
            if (AlignmentCertificates.StateOf(result) == SolveState.Diverged) return null;
            return new Outcome(rows, [.. DistinctOptima.Partners(result.Coupling).Select(j => columns[j])], columns, [.. ColumnPartners(result.Coupling).Select(i => rows[i])]);
        }
        catch (ConvergenceException)
        {
            return null;
        }
    }

    /// <summary>Some of the cells that were drawn, their masses scaled to 1.</summary>
    private static (int[] Cells, double[] Mass) Keep(int[] cells, double[] masses, Func<int, bool> keep)
    {
        (int Cell, double Mass)[] kept = [.. cells.Zip(masses).Where(drawn => keep(drawn.First))];
        double total = kept.Sum(k => k.Mass);
        return ([.. kept.Select(k => k.Cell)], [.. kept.Select(k => k.Mass / total)]);
    }

    /// <summary>The coupling among the cells drawn, every mass as often as both its cells were drawn, summing to 1; the product of the masses where it has none there.</summary>
    internal static Matrix<double> Start(CpuDevice device, Matrix<double> coupling, (int[] Cells, double[] Mass) first, (int[] Cells, double[] Mass) second)
    {
        Matrix<double> start = Part(device, coupling, first.Cells, second.Cells);
        (double[] p, double[] q) = (first.Mass, second.Mass);
        double mass = 0;
        for (int i = 0; i < p.Length; i++)
            for (int j = 0; j < q.Length; j++) mass += start.Row(i)[j] *= p[i] * q[j];
        for (int i = 0; i < p.Length; i++)
            for (int j = 0; j < q.Length; j++) start.Row(i)[j] = mass > 0 ? start.Row(i)[j] / mass : p[i] * q[j];
        return start;
    }

    private static (int[] Cells, double[] Mass) Draw(ref CounterRandom random, int count)
    {
        int draws = Math.Min(count, MostDraws);
        int[] drawn = new int[count];
        for (int d = 0; d < draws; d++) drawn[random.NextInt32(count)]++;
        int[] cells = [.. Enumerable.Range(0, count).Where(i => drawn[i] > 0)];
        return (cells, [.. cells.Select(i => drawn[i] / (double)draws)]);
    }

    internal static Matrix<double> Part(CpuDevice device, Matrix<double> source, int[] rows, int[] columns)
    {
        Matrix<double> part = device.AllocateMatrix<double>(rows.Length, columns.Length);
        for (int i = 0; i < rows.Length; i++)
        {
            ReadOnlySpan<double> from = source.Row(rows[i]);
            Span<double> to = part.Row(i);
            for (int j = 0; j < columns.Length; j++) to[j] = from[columns[j]];
        }
        return part;
    }

    private sealed record Problem(Matrix<double> First, Matrix<double> Second, Matrix<double> Coupling, Matrix<double>? Fused, BlockLabels? Blocks);

    private sealed record Outcome(int[] FirstCells, int[] FirstPartners, int[] SecondCells, int[] SecondPartners);

    /// <summary>Counts per cell how often it was drawn and kept its partner.</summary>
    private sealed class Tally
    {
        private readonly Matrix<double> _cost;
        private readonly int[] _partners, _drawn, _kept;
        private readonly double[] _radii;

        /// <param name="cost">Cost of the partners' domain.</param>
        /// <param name="partners">Partner of every cell in the coupling that is judged.</param>
        public Tally(Matrix<double> cost, int[] partners)
        {
            (_cost, _partners, _radii) = (cost, partners, Radii(cost));
            (_drawn, _kept) = (new int[partners.Length], new int[partners.Length]);
            long near = 0;
            foreach (int partner in partners)
                foreach (double distance in cost.Row(partner)) if (distance <= _radii[partner]) near++;
            Chance = near / ((double)partners.Length * cost.Rows);
        }

        public double Chance { get; }

        public void Add(int[] cells, int[] partners)
        {
            for (int k = 0; k < cells.Length; k++)
            {
                int before = _partners[cells[k]];
                _drawn[cells[k]]++;
                if (_cost.Row(before)[partners[k]] <= _radii[before]) _kept[cells[k]]++;
            }
        }

        public double[] Shares() => [.. _drawn.Select((drawn, i) => drawn > 0 ? _kept[i] / (double)drawn : double.NaN)];
    }
}
