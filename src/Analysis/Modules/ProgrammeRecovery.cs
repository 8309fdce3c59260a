using System.Globalization;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>How well the best module stands for one planted programme.</summary>
/// <param name="Level">Level of the hierarchy.</param>
/// <param name="Programme">Name of the programme.</param>
/// <param name="Planted">Genes of the programme.</param>
/// <param name="Present">Those that were grouped into modules; the others were lost before.</param>
/// <param name="Module">The module with the largest Jaccard index |M ∩ P| / |M ∪ P| over the genes present; −1 when none is.</param>
/// <param name="ModuleSize">Its genes.</param>
/// <param name="Overlap">Common genes.</param>
/// <param name="Precision">Share of the module's genes that belong to the programme.</param>
/// <param name="Recall">Share of the programme's present genes that are in the module.</param>
/// <param name="RecallOfPlanted">Share of all the programme's genes that are in the module.</param>
/// <param name="F1">Harmonic mean of precision and recall.</param>
/// <param name="Jaccard">|M ∩ P| / |M ∪ P|.</param>
/// <param name="ChanceF1">Mean F1 of the best module when genes are dealt to the modules at random.</param>
/// <param name="PValue">(permutations with at least this Jaccard index + 1) / (permutations + 1).</param>
public sealed record RecoveredProgramme(int Level, string Programme, int Planted, int Present, int Module, int ModuleSize, int Overlap, double Precision, double Recall, double RecallOfPlanted,
    double F1, double Jaccard, double ChanceF1, double PValue);

/// <summary>Means over the programmes with a gene present.</summary>
/// <param name="Level">Level of the hierarchy.</param>
/// <param name="Programmes">How many those are.</param>
/// <param name="Precision">Mean precision.</param>
/// <param name="Recall">Mean recall.</param>
/// <param name="F1">Mean F1.</param>
/// <param name="ChanceF1">Its mean under permutation.</param>
/// <param name="PValue">(permutations with at least this mean F1 + 1) / (permutations + 1).</param>
public sealed record LevelRecovery(int Level, int Programmes, double Precision, double Recall, double F1, double ChanceF1, double PValue);

/// <summary>Recovery of every programme at every level.</summary>
/// <param name="Programmes">By level, then in the order of the programmes.</param>
/// <param name="Levels">One per level.</param>
/// <param name="Permutations">Random deals behind the chance figures.</param>
public sealed record RecoveryTable(IReadOnlyList<RecoveredProgramme> Programmes, IReadOnlyList<LevelRecovery> Levels, int Permutations)
{
    /// <summary>The level with the largest mean F1, the coarsest of equals.</summary>
    public LevelRecovery Best => Levels.MaxBy(l => l.F1)!;

    /// <summary>A row per level and programme.</summary>
    public Table ToTable(ModuleHierarchy modules) => new(
        new Column("resolution", [.. Programmes.Select(r => modules.Resolutions[r.Level])]),
        new Column("programme", [.. Programmes.Select(r => r.Programme)]),
        new Column("planted", [.. Programmes.Select(r => r.Planted)]),
        new Column("present", [.. Programmes.Select(r => r.Present)]),
        new Column("module", [.. Programmes.Select(r => r.Module)]),
        new Column("module_size", [.. Programmes.Select(r => r.ModuleSize)]),
        new Column("overlap", [.. Programmes.Select(r => r.Overlap)]),
        new Column("precision", [.. Programmes.Select(r => r.Precision)]),
        new Column("recall", [.. Programmes.Select(r => r.Recall)]),
        new Column("recall_of_planted", [.. Programmes.Select(r => r.RecallOfPlanted)]),
        new Column("f1", [.. Programmes.Select(r => r.F1)]),
        new Column("jaccard", [.. Programmes.Select(r => r.Jaccard)]),
        new Column("chance_f1", [.. Programmes.Select(r => r.ChanceF1)]),
        new Column("p", [.. Programmes.Select(r => r.PValue)]));
}

/// <summary>
/// Precision and recall of planted gene programmes by the modules of each level. A programme is matched with its best module by Jaccard index (ties: the module with
/// more common genes, then the larger one); since the best of many modules is never far from zero, chance is measured the same way with genes dealt at random to modules of the same sizes.
/// </summary>
public static class ProgrammeRecovery
{
    /// <param name="modules">The hierarchy; symbols match as in <see cref="GeneSetEnrichment"/>.</param>
    /// <param name="programmes">Planted gene sets; a gene may be in several.</param>
    /// <param name="permutations">Random deals; 0 leaves the chance figures NaN.</param>
    /// <param name="seed">Decides them.</param>
    /// <param name="cancel">Ends the work with <see cref="OperationCanceledException"/>.</param>
    public static RecoveryTable Measure(ModuleHierarchy modules, IReadOnlyList<GeneSet> programmes, int permutations = 1000, ulong seed = 0, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permutations);
        GeneSymbols genes = new(modules.Genes, "the modules");
        if (genes.Duplicates > 0) throw new UsageException($"{genes.Duplicates} genes of the modules are the same symbols as earlier ones; programmes are matched by symbol.");
        int[][] members = [.. programmes.Select(p => p.Genes.Select(genes.Find).Where(g => g >= 0).Distinct().ToArray())];
        int[] planted = [.. programmes.Select(p => p.Genes.Select(GeneSymbols.Key).Distinct(StringComparer.Ordinal).Count())];
        int[] order = [.. Enumerable.Range(0, genes.Names.Count)];
        Match[][] found = [.. Enumerable.Range(0, modules.Levels).Select(l => Best(modules, l, members, order))];
        Chance[] chance = [.. found.Select(level => new Chance(level))];
        CounterRandom random = new(seed, stream: 0x9C07);
        for (int i = 0; i < permutations; i++)
        {
            cancel.ThrowIfCancellationRequested();
            random.Shuffle<int>(order);
            for (int l = 0; l < modules.Levels; l++) chance[l].Add(Best(modules, l, members, order));
        }
        List<RecoveredProgramme> rows = [];
        for (int l = 0; l < modules.Levels; l++)
            for (int p = 0; p < programmes.Count; p++)
            {
                Match m = found[l][p];
                rows.Add(new RecoveredProgramme(l, programmes[p].Name, planted[p], members[p].Length, m.Module, m.Size, m.Overlap, m.Precision, m.Recall,
                    planted[p] > 0 ? m.Overlap / (double)planted[p] : double.NaN, m.F1, m.Jaccard, chance[l].MeanF1(p), chance[l].PValue(p)));
            }
        return new RecoveryTable(rows, [.. found.Select((level, l) => chance[l].Summary(l, [.. level.Where(m => m.Present > 0)]))], permutations);
    }

    private readonly record struct Match(int Module, int Size, int Overlap, int Present)
    {
        public double Precision => Size > 0 ? Overlap / (double)Size : double.NaN;
        public double Recall => Present > 0 ? Overlap / (double)Present : double.NaN;
        public double Jaccard => Present > 0 ? Overlap / (double)(Size + Present - Overlap) : double.NaN;
        public double F1 => Present > 0 ? 2.0 * Overlap / (Size + Present) : double.NaN;
    }

    /// <summary>The best module of each programme when gene g has the module of gene order[g].</summary>
    private static Match[] Best(ModuleHierarchy modules, int level, int[][] members, int[] order)
    {
        int[] module = modules.Module[level], sizes = modules.Sizes[level], overlap = new int[sizes.Length];
        Match[] best = new Match[members.Length];
        for (int p = 0; p < members.Length; p++)
        {
            Array.Clear(overlap);
            foreach (int g in members[p]) overlap[module[order[g]]]++;
            best[p] = new Match(-1, 0, 0, members[p].Length);
            for (int m = 0; m < sizes.Length; m++)
            {
                if (overlap[m] == 0) continue;
                Match match = new(m, sizes[m], overlap[m], members[p].Length);
                if (best[p].Module < 0 || match.Jaccard > best[p].Jaccard || (match.Jaccard == best[p].Jaccard && match.Overlap > best[p].Overlap)) best[p] = match;
            }
        }
        return best;
    }

    /// <summary>What random deals reach at one level.</summary>
    private sealed class Chance(Match[] found)
    {
        private readonly double[] _f1 = new double[found.Length];
        private readonly int[] _reached = new int[found.Length];
        private readonly double _observed = MeanOf(found);
        private int _count, _meanReached;
        private double _meanSum;

        public void Add(Match[] dealt)
        {
            _count++;
            double mean = MeanOf(dealt);
            _meanSum += mean;
            if (mean >= _observed) _meanReached++;
            for (int p = 0; p < dealt.Length; p++)
            {
                _f1[p] += dealt[p].F1;
                if (dealt[p].Jaccard >= found[p].Jaccard) _reached[p]++;
            }
        }

        public double MeanF1(int programme) => _count > 0 ? _f1[programme] / _count : double.NaN;

        public double PValue(int programme) => _count > 0 && found[programme].Present > 0 ? (_reached[programme] + 1.0) / (_count + 1) : double.NaN;

        public LevelRecovery Summary(int level, Match[] present) => new(level, present.Length, Mean(present.Select(m => m.Precision)), Mean(present.Select(m => m.Recall)), _observed,
            _count > 0 ? _meanSum / _count : double.NaN, _count > 0 && present.Length > 0 ? (_meanReached + 1.0) / (_count + 1) : double.NaN);

        private static double MeanOf(Match[] matches) => Mean(matches.Where(m => m.Present > 0).Select(m => m.F1));

        private static double Mean(IEnumerable<double> values) => values.DefaultIfEmpty(double.NaN).Average();
    }

    /// <summary>One line for a report: what came back, against chance.</summary>
    public static string Describe(RecoveryTable table, ModuleHierarchy modules)
    {
        LevelRecovery best = table.Best;
        return string.Create(CultureInfo.InvariantCulture,
            $"Of {best.Programmes} planted programmes, the modules at resolution {modules.Resolutions[best.Level]} return a mean precision of {best.Precision:0.00} and recall of {best.Recall:0.00} (F1 {best.F1:0.00}; {best.ChanceF1:0.00} with genes dealt at random, p = {best.PValue:0.000}).");
    }
}
