using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Partition-based graph abstraction (Wolf et al. 2019, model v1.2 of scanpy): how many directed edges to nearest neighbours run between two groups of cells, over the number that
/// random edges with the groups' totals would give. Plain counting, so equal input gives equal output to the last digit.
/// </summary>
public sealed class Paga
{
    private Paga(int[] sizes, double[,] connectivities, IReadOnlyList<(int From, int To)> tree) => (Sizes, Connectivities, Tree) = (sizes, connectivities, tree);

    /// <summary>[groups] cells in each group.</summary>
    public int[] Sizes { get; }

    /// <summary>[groups, groups] symmetric, 0 … 1 (more edges than expected count as 1), 0 on the diagonal.</summary>
    public double[,] Connectivities { get; }

    /// <summary>The spanning tree (forest, where groups are not joined) of strongest connections, each named once with the lower group first; of equal ones the earlier pair.</summary>
    public IReadOnlyList<(int From, int To)> Tree { get; }

    /// <param name="neighbours">Row i names the nearest neighbours of cell i (<c>obsp['distances']</c>); the values do not matter.</param>
    /// <param name="group">[cells], each 0 … groups − 1.</param>
    /// <param name="groups">Number of groups; groups without cells have no connections.</param>
    /// <exception cref="UsageException">The groups do not fit the cells.</exception>
    public static Paga Compute(CellGraph neighbours, ReadOnlySpan<int> group, int groups)
    {
        if (group.Length != neighbours.Cells) throw new UsageException($"There are groups for {group.Length} cells; the graph has {neighbours.Cells}.");
        int[] sizes = new int[groups];
        long[,] edges = new long[groups, groups];
        for (int i = 0; i < group.Length; i++)
        {
            if ((uint)group[i] >= (uint)groups) throw new UsageException($"Cell {i} is in group {group[i]}; groups are numbered 0 to {groups - 1}.");
            sizes[group[i]]++;
        }
        long[] leaving = new long[groups];
        for (int i = 0; i < group.Length; i++)
            foreach (int j in neighbours.Neighbours(i))
            {
                leaving[group[i]]++;
                edges[group[i], group[j]]++;
            }
        double[,] connectivities = new double[groups, groups];
        for (int a = 0; a < groups; a++)
            for (int b = a + 1; b < groups; b++)
            {
                long between = edges[a, b] + edges[b, a];
                if (between == 0) continue;
                double expected = (leaving[a] * (double)sizes[b] + leaving[b] * (double)sizes[a]) / (group.Length - 1);
                connectivities[a, b] = connectivities[b, a] = Math.Min(1, between / expected);
            }
        return new Paga(sizes, connectivities, StrongestTree(connectivities));
    }

    /// <summary>Kruskal's algorithm on the pairs, strongest first.</summary>
    private static List<(int From, int To)> StrongestTree(double[,] connectivities)
    {
        int groups = connectivities.GetLength(0);
        int[] part = [.. Enumerable.Range(0, groups)];
        List<(int, int)> tree = [];
        IEnumerable<(int A, int B)> pairs = Enumerable.Range(0, groups).SelectMany(a => Enumerable.Range(a + 1, groups - a - 1).Select(b => (a, b)));
        foreach ((int a, int b) in pairs.Where(p => connectivities[p.A, p.B] > 0).OrderByDescending(p => connectivities[p.A, p.B]))
        {
            (int from, int to) = (part[a], part[b]);
            if (from == to) continue;
            tree.Add((a, b));
            for (int i = 0; i < groups; i++) if (part[i] == to) part[i] = from;
        }
        return tree;
    }
}
