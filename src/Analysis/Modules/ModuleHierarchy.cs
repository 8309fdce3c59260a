using System.Globalization;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>Genes in modules at several resolutions. The levels are found independently of one another, as in the paper: how well they nest is measured, not imposed.</summary>
public sealed class ModuleHierarchy
{
    /// <param name="genes">Names, in the order of the profiles.</param>
    /// <param name="resolutions">One per level, coarse to fine.</param>
    /// <param name="module">[level][gene], numbered from 0 without gaps.</param>
    /// <param name="modularity">One per level; NaN where no graph is known.</param>
    /// <param name="neighbours">k of the graph, 0 where none is known.</param>
    /// <param name="flatGenes">Genes whose profile does not vary; each is a module of its own.</param>
    /// <exception cref="UsageException">The lengths differ, or a level's numbers have gaps.</exception>
    public ModuleHierarchy(IReadOnlyList<string> genes, double[] resolutions, int[][] module, double[] modularity, int neighbours = 0, IReadOnlyList<string>? flatGenes = null)
    {
        if (module.Length != resolutions.Length || modularity.Length != resolutions.Length)
            throw new UsageException($"A hierarchy of {resolutions.Length} resolutions needs as many levels and modularities, not {module.Length} and {modularity.Length}.");
        (Genes, Resolutions, Module, Modularity, Neighbours, FlatGenes) = (genes, resolutions, module, modularity, neighbours, flatGenes ?? []);
        Sizes = [.. module.Select((level, l) => Count(level, l, genes.Count))];
        Nesting = [.. Enumerable.Range(0, Math.Max(0, Levels - 1)).Select(l => Purity(module[l], module[l + 1]))];
    }

    /// <summary>Names of the genes.</summary>
    public IReadOnlyList<string> Genes { get; }

    /// <summary>[level], coarse to fine.</summary>
    public double[] Resolutions { get; }

    /// <summary>Number of levels.</summary>
    public int Levels => Resolutions.Length;

    /// <summary>[level][gene]: module of each gene; 0 is the level's largest module, equal sizes are ordered by their first gene.</summary>
    public int[][] Module { get; }

    /// <summary>[level][module]: number of genes.</summary>
    public int[][] Sizes { get; }

    /// <summary>[level]: modularity at the level's own resolution; NaN where no graph is known.</summary>
    public double[] Modularity { get; }

    /// <summary>[level]: purity of level + 1 in that level, see <see cref="Purity"/>; one entry fewer than levels.</summary>
    public double[] Nesting { get; }

    /// <summary>k of the correlation graph; 0 where none is known.</summary>
    public int Neighbours { get; }

    /// <summary>Genes whose profile does not vary: nothing correlates with them, so each is a module of its own.</summary>
    public IReadOnlyList<string> FlatGenes { get; }

    /// <summary>Levels that were named by other means, for example a published table: names become numbers by size.</summary>
    /// <param name="genes">Names of the genes.</param>
    /// <param name="resolutions">One per level.</param>
    /// <param name="labels">[level][gene].</param>
    /// <param name="names">[level][module]: the label that each number stands for.</param>
    public static ModuleHierarchy FromLabels(IReadOnlyList<string> genes, double[] resolutions, IReadOnlyList<IReadOnlyList<string>> labels, out string[][] names)
    {
        int[][] module = new int[labels.Count][];
        names = new string[labels.Count][];
        for (int l = 0; l < labels.Count; l++)
        {
            // GroupBy keeps the order of first appearance and OrderBy is stable: equal sizes stay ordered by their first gene.
            names[l] = [.. labels[l].GroupBy(label => label, StringComparer.Ordinal).OrderByDescending(group => group.Count()).Select(group => group.Key)];
            Dictionary<string, int> number = names[l].Select((name, i) => (name, i)).ToDictionary(p => p.name, p => p.i, StringComparer.Ordinal);
            module[l] = [.. labels[l].Select(label => number[label])];
        }
        return new ModuleHierarchy(genes, resolutions, module, [.. resolutions.Select(_ => double.NaN)]);
    }

    /// <summary>
    /// Share of the genes that lie in the coarse module holding most of their fine module: (1/n) Σ_f max_c |f ∩ c|. 1 when every fine module lies inside one
    /// coarse module; NaN without genes.
    /// </summary>
    public static double Purity(ReadOnlySpan<int> coarse, ReadOnlySpan<int> fine)
    {
        int[,] shared = Shared(coarse, fine);
        long most = 0;
        for (int f = 0; f < shared.GetLength(1); f++) most += Enumerable.Range(0, shared.GetLength(0)).Max(c => shared[c, f]);
        return fine.Length == 0 ? double.NaN : most / (double)fine.Length;
    }

    /// <summary>Genes that two levels' modules share: [modules of one level, modules of the other].</summary>
    public int[,] Flow(int fromLevel, int toLevel) => Shared(Module[fromLevel], Module[toLevel]);

    /// <summary>Modules of <paramref name="fineLevel"/> that lie wholly inside one module of <paramref name="coarseLevel"/>.</summary>
    public int Nested(int coarseLevel, int fineLevel)
    {
        int[,] shared = Flow(coarseLevel, fineLevel);
        return Enumerable.Range(0, shared.GetLength(1)).Count(f => Enumerable.Range(0, shared.GetLength(0)).Count(c => shared[c, f] > 0) == 1);
    }

    /// <summary>Indices of a module's genes, rising.</summary>
    public int[] Members(int level, int module) => [.. Enumerable.Range(0, Genes.Count).Where(g => Module[level][g] == module)];

    /// <summary>The order of genes in which modules are blocks at every level as far as they nest: by coarse module, then finer, then position.</summary>
    public int[] BlockOrder()
    {
        int[] order = [.. Enumerable.Range(0, Genes.Count)];
        Array.Sort(order, (a, b) =>
        {
            for (int l = 0; l < Levels; l++)
                if (Module[l][a] != Module[l][b]) return Module[l][a].CompareTo(Module[l][b]);
            return a.CompareTo(b);
        });
        return order;
    }

    /// <summary>A row per gene: gene, module at each level, and, when given, the modules' names at each level.</summary>
    /// <param name="names">[level][module], or null.</param>
    public Table ToTable(IReadOnlyList<IReadOnlyList<string>>? names = null)
    {
        List<Column> columns = [new Column("gene", [.. Genes])];
        for (int l = 0; l < Levels; l++) columns.Add(new Column("module_" + Resolutions[l].ToString(CultureInfo.InvariantCulture), Module[l]));
        if (names is not null)
            for (int l = 0; l < Levels; l++)
            {
                IReadOnlyList<string> level = names[l];
                columns.Add(new Column("name_" + Resolutions[l].ToString(CultureInfo.InvariantCulture), [.. Module[l].Select(m => level[m])]));
            }
        return new Table(columns);
    }

    private static int[,] Shared(ReadOnlySpan<int> one, ReadOnlySpan<int> other)
    {
        if (one.Length != other.Length) throw new UsageException($"Levels of {one.Length} and {other.Length} genes cannot be compared.");
        int rows = 0, columns = 0;
        for (int g = 0; g < one.Length; g++) (rows, columns) = (Math.Max(rows, one[g] + 1), Math.Max(columns, other[g] + 1));
        int[,] shared = new int[rows, columns];
        for (int g = 0; g < one.Length; g++) shared[one[g], other[g]]++;
        return shared;
    }

    private static int[] Count(int[] level, int number, int genes)
    {
        if (level.Length != genes) throw new UsageException($"Level {number} of the modules has {level.Length} entries for {genes} genes.");
        if (level.Length > 0 && level.Min() < 0) throw new UsageException($"Level {number} of the modules holds the number {level.Min()}; modules are numbered from 0.");
        int[] sizes = new int[level.Length == 0 ? 0 : level.Max() + 1];
        foreach (int module in level) sizes[module]++;
        int empty = Array.IndexOf(sizes, 0);
        return empty < 0 ? sizes : throw new UsageException($"Level {number} of the modules has no gene in module {empty}; modules are numbered without gaps.");
    }
}
