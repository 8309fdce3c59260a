using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Which of a cell's random decisions a stream of numbers serves; each has its own, so that one trait never shifts another.</summary>
internal enum CohortStream
{
    Concepts, Death, Pose, Soma, Neurites, Branches, Beading, MitochondrialPuncta, MitochondrialNetwork, Nucleus, Chromatin,
    Fragments, Blebs, Vacuoles, Aggregates, Lysosomes, Actin, Synapses, Filopodia, Camera, Library, Counts,
}

/// <summary>
/// The generative truth of the cohort: how classes draw concepts, and how concepts drive death. Concept j of a cell of class c is
/// active with probability p[c, j]; an active intensity is s[c, j] (0.25 + 0.75 q) with q uniform on (0, 1), so its mean is 0.625 p s.
/// A Gaussian copula with three factors (degeneration, maturation, bioenergetics) ties the concepts of one cell together.
/// </summary>
public static class CohortModel
{
    /// <summary>Share of each class among the cells.</summary>
    public static IReadOnlyList<double> ClassShares { get; } = [0.34, 0.28, 0.21, 0.17];

    /// <summary>Names of the copula's factors.</summary>
    public static IReadOnlyList<string> Factors { get; } = ["degeneration", "maturation", "bioenergetics"];

    /// <summary>Standard deviation of the noise on the logit of the death rate.</summary>
    public const double DeathNoise = 0.35;

    /// <summary>Logit of the death rate of a cell that carries no concept.</summary>
    public const double DeathIntercept = -2.6;

    internal const double LowestActive = 0.25;
    private const double GoldenRatio = 0.61803398874989484820;

    // Rows: concepts; columns: Control, SNCA, GBA, LRRK2. Each mutant has traits of its own (aggregates; lysosomes and vacuoles; actin and
    // clustered mitochondria), shares others, and every pair of classes lies at its own distance (0.51 Control-LRRK2 to 0.96 Control-SNCA
    // between expected intensities): no relabelling of the classes keeps all distances, so a mirrored alignment cannot fit.
    private static readonly double[,] s_activation =
    {
        { .45, .35, .40, .60 }, { .75, .32, .40, .66 }, { .55, .30, .42, .22 }, { .08, .50, .28, .16 }, { .30, .50, .44, .52 },
        { .62, .18, .28, .44 }, { .10, .32, .20, .42 }, { .16, .62, .36, .20 }, { .35, .28, .35, .30 }, { .07, .42, .26, .10 },
        { .04, .25, .14, .06 }, { .46, .26, .35, .42 }, { .35, .40, .35, .35 }, { .06, .35, .22, .09 }, { .08, .18, .58, .18 },
        { .04, .74, .34, .08 }, { .18, .30, .84, .34 }, { .32, .22, .18, .60 }, { .66, .28, .34, .56 }, { .40, .18, .30, .28 },
    };

    // Rows: concepts; columns: degeneration, maturation, bioenergetics. Squares of a row sum to less than one.
    private static readonly double[,] s_loadings =
    {
        { 0, .35, 0 }, { -.45, .50, 0 }, { -.20, .60, 0 }, { .50, 0, 0 }, { 0, 0, .50 },
        { -.35, 0, .60 }, { 0, 0, -.50 }, { .55, 0, -.30 }, { 0, -.30, 0 }, { .75, 0, 0 },
        { .70, 0, 0 }, { 0, .30, .20 }, { .15, 0, 0 }, { .65, 0, 0 }, { .30, 0, -.35 },
        { .25, 0, -.35 }, { 0, 0, -.45 }, { 0, .20, .15 }, { -.40, .60, 0 }, { 0, -.40, .15 },
    };

    private static readonly double[] s_death = BuildDeathWeights();

    /// <summary>Weight of each concept in the logit of the death rate.</summary>
    public static IReadOnlyList<double> DeathWeights => s_death;

    /// <summary>Probability that a cell of this class carries this concept.</summary>
    public static double Activation(int cellClass, int concept) => s_activation[concept, cellClass];

    /// <summary>Largest intensity of this concept in this class, 0.55 to 1: traits are strongest where they are most frequent.</summary>
    public static double Strength(int cellClass, int concept)
    {
        double highest = 0;
        for (int c = 0; c < ClassShares.Count; c++) highest = Math.Max(highest, s_activation[concept, c]);
        return 0.55 + 0.45 * s_activation[concept, cellClass] / highest;
    }

    /// <summary>Expected intensity of this concept in this class.</summary>
    public static double ExpectedIntensity(int cellClass, int concept) =>
        Activation(cellClass, concept) * Strength(cellClass, concept) * (LowestActive + (1 - LowestActive) / 2);

    /// <summary>Loading of a concept on a factor of the copula.</summary>
    public static double Loading(int concept, int factor) => s_loadings[concept, factor];

    /// <summary>Death rate without noise: 1 / (1 + exp(-(intercept + Σ weight · intensity))).</summary>
    public static double ExpectedDeathRate(ReadOnlySpan<double> concepts) => Logistic(DeathLogit(concepts));

    internal static double DeathLogit(ReadOnlySpan<double> concepts)
    {
        double logit = DeathIntercept;
        for (int j = 0; j < s_death.Length; j++) logit += s_death[j] * concepts[j];
        return logit;
    }

    internal static double Logistic(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>Class of cell i: shares are met to within one or two cells for any number of cells (a Kronecker sequence from a seeded start).</summary>
    internal static int DrawClass(ulong seed, CohortModality modality, int cell)
    {
        double start = new CounterRandom(seed, (ulong)modality << 60 | 0xC1A55).NextDouble();
        double u = (start + cell * GoldenRatio) % 1.0;
        int label = 0;
        while (label < ClassShares.Count - 1 && u >= ClassShares[label]) u -= ClassShares[label++];
        return label;
    }

    internal static void DrawConcepts(ulong seed, CohortModality modality, int cell, int cellClass, Span<double> concepts)
    {
        CounterRandom random = Stream(seed, modality, cell, CohortStream.Concepts);
        Span<double> factors = [random.NextNormal(), random.NextNormal(), random.NextNormal()];
        for (int j = 0; j < concepts.Length; j++)
        {
            double z = 0, common = 0;
            for (int f = 0; f < factors.Length; f++)
            {
                z += s_loadings[j, f] * factors[f];
                common += s_loadings[j, f] * s_loadings[j, f];
            }
            z += Math.Sqrt(1 - common) * random.NextNormal();
            double p = Activation(cellClass, j), u = NormalCdf(z);
            double q = (u - (1 - p)) / p;
            concepts[j] = q <= 0 ? 0 : Strength(cellClass, j) * (LowestActive + (1 - LowestActive) * Math.Min(q, 1));
        }
    }

    internal static double DrawDeathRate(ulong seed, CohortModality modality, int cell, ReadOnlySpan<double> concepts)
    {
        CounterRandom random = Stream(seed, modality, cell, CohortStream.Death);
        return Logistic(DeathLogit(concepts) + DeathNoise * random.NextNormal());
    }

    internal static CounterRandom Stream(ulong seed, CohortModality modality, int cell, CohortStream purpose) =>
        new(seed, (ulong)modality << 60 | (ulong)purpose << 40 | (uint)cell);

    /// <summary>Φ(z) by Abramowitz and Stegun 7.1.26, absolute error below 1e-7.</summary>
    internal static double NormalCdf(double z)
    {
        double x = Math.Abs(z) / Math.Sqrt(2), t = 1 / (1 + 0.3275911 * x);
        double tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.Exp(-x * x) / 2;
        return z >= 0 ? 1 - tail : tail;
    }

    private static double[] BuildDeathWeights()
    {
        double[] weights = new double[CohortNames.ConceptCount];
        weights[(int)CohortConcept.NuclearCondensation] = 2.4;
        weights[(int)CohortConcept.NuclearFragmentation] = 2.0;
        weights[(int)CohortConcept.MembraneBlebbing] = 1.8;
        weights[(int)CohortConcept.Calcium] = 1.3;
        weights[(int)CohortConcept.NeuriteBeading] = 0.7;
        weights[(int)CohortConcept.MitochondrialNetwork] = -0.6;
        return weights;
    }
}

/// <summary>Imaged and sequenced cells are different cells: each has random numbers of its own.</summary>
internal enum CohortModality
{
    Image = 1,
    Rna = 2,
}
