using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// How concepts become counts: gene g of cell i has mean μ = s_i · base_g · exp(Σ_j effect[g, j] · concept[i, j]), where log s_i is normal
/// (library size); its count is negative binomial with mean μ and variance μ + μ² / r_g (a gamma-Poisson mixture).
/// The model itself, like the anatomy of the cells, is the same for every seed.
/// </summary>
public sealed class TranscriptomeModel
{
    /// <summary>Standard deviation of the logarithm of the library size.</summary>
    public const double LibrarySpread = 0.30;

    private const ulong ModelSeed = 20260213;
    private readonly double[] _base, _dispersion;
    private readonly double[,] _effects;
    private readonly string[] _genes;

    /// <summary>The one model of the cohort.</summary>
    public static TranscriptomeModel Instance { get; } = new();

    private TranscriptomeModel()
    {
        List<string> genes = [];
        Dictionary<string, int> index = new(StringComparer.Ordinal);
        foreach (string gene in GeneProgrammes.All.SelectMany(p => p.Genes).Concat(GeneProgrammes.Housekeeping))
            if (index.TryAdd(gene, genes.Count)) genes.Add(gene);
        _genes = [.. genes];
        _base = new double[_genes.Length];
        _dispersion = new double[_genes.Length];
        _effects = new double[_genes.Length, CohortNames.ConceptCount];
        CounterRandom random = new(ModelSeed);
        HashSet<string> housekeeping = new(GeneProgrammes.Housekeeping, StringComparer.Ordinal);
        for (int g = 0; g < _genes.Length; g++)
        {
            double centre = housekeeping.Contains(_genes[g]) ? 2.2 : 0.1;
            _base[g] = Math.Exp(centre + 0.8 * random.NextNormal());
            _dispersion[g] = Math.Exp(1.4 + 0.4 * random.NextNormal());
        }
        foreach (GeneProgramme programme in GeneProgrammes.All)
            foreach (string gene in programme.Genes) _effects[index[gene], (int)programme.Concept] = 0.9 + 0.9 * random.NextDouble();
    }

    /// <summary>HGNC symbols, in column order of the counts.</summary>
    public IReadOnlyList<string> Genes => _genes;

    /// <summary>Mean count of a gene, given the cell's concepts and library size.</summary>
    public double ExpectedCount(int gene, ReadOnlySpan<double> concepts, double librarySize)
    {
        double log = 0;
        for (int j = 0; j < concepts.Length; j++) log += _effects[gene, j] * concepts[j];
        return librarySize * _base[gene] * Math.Exp(log);
    }

    internal static double DrawLibrarySize(ulong seed, int cell)
    {
        CounterRandom random = CohortModel.Stream(seed, CohortModality.Rna, cell, CohortStream.Library);
        return Math.Exp(LibrarySpread * random.NextNormal());
    }

    internal void DrawCounts(ulong seed, int cell, ReadOnlySpan<double> concepts, double librarySize, Span<float> counts)
    {
        CounterRandom random = CohortModel.Stream(seed, CohortModality.Rna, cell, CohortStream.Counts);
        for (int g = 0; g < counts.Length; g++) counts[g] = DrawCount(ref random, ExpectedCount(g, concepts, librarySize), _dispersion[g]);
    }

    internal static int DrawCount(ref CounterRandom random, double mean, double dispersion) =>
        random.NextPoisson(random.NextGamma(dispersion) * mean / dispersion);
}
