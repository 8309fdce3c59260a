using BioSup.Analysis.GwMap;
using BioSup.Analysis.Modules;

namespace BioSup.Cli.Pipeline;

/// <summary>The most predictable genes, over all labels or within one, and the modules they fall into.</summary>
/// <param name="Label">The label; null for all together.</param>
/// <param name="Ranking">By what the genes were chosen.</param>
/// <param name="Genes">Columns of the predicted genes that were grouped, by falling score.</param>
/// <param name="Modules">The modules.</param>
/// <param name="Enrichment">Gene sets in modules; null where no sets were given.</param>
/// <param name="Recovery">How planted programmes came back; null for data that were not generated.</param>
internal sealed record FoundModules(string? Label, GeneRanking Ranking, int[] Genes, ModuleHierarchy Modules, EnrichmentTable? Enrichment, RecoveryTable? Recovery)
{
    /// <summary>What a module is called: its number, from 1, and the gene set that names it.</summary>
    public string Name(int level, int module) => Enrichment?.Names[level][module] is { IsNamed: true } name ? $"{module + 1} {name.Label}" : $"module {module + 1}";

    /// <summary>Genes that are grouped here and in another finding.</summary>
    public int Shared(FoundModules other) => Genes.Intersect(other.Genes).Count();

    /// <summary>Agreement with the modules of another finding over the genes of both, by the adjusted Rand index.</summary>
    public double Agreement(FoundModules other, int level)
    {
        int[] shared = [.. Genes.Intersect(other.Genes)];
        return AdjustedRandIndex.Of([.. shared.Select(g => Modules.Module[level][Array.IndexOf(Genes, g)])], [.. shared.Select(g => other.Modules.Module[level][Array.IndexOf(other.Genes, g)])]);
    }
}
