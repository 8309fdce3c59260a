using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>Which of a cell's random decisions a stream of numbers serves; each has its own, so that one trait never shifts another.</summary>
internal enum CohortStream
{
    Concepts, Death, Pose, Soma, Neurites, Branches, Beading, MitochondrialPuncta, MitochondrialNetwork, Nucleus, Chromatin,
    Fragments, Blebs, Vacuoles, Aggregates, Lysosomes, Actin, Synapses, Filopodia, Camera, Library, Counts,
}

/// <summary>A turn in the course of a class: from <paramref name="Onset"/> on, cells carry the concept with another probability than resting ones.</summary>
/// <param name="Concept">What changes.</param>
/// <param name="Probability">Probability of carrying the concept once the change is complete.</param>
/// <param name="Onset">Stage at which it begins, 0 to 1; it is complete <see cref="CohortModel.EventWidth"/> later.</param>
public sealed record CohortEvent(CohortConcept Concept, double Probability, double Onset);

/// <summary>
/// The generative truth of the cohort: how classes draw concepts, and how concepts drive death. Every cell stands at a stage t in [0, 1] of the course
/// of its class; stage 0 is the resting, mature cell, and is the same for all classes. Along a course concepts appear or vanish one after another
/// (<see cref="CohortEvent"/>), so that the cells of the four classes form one tree of four branches. Given class and stage, concepts are independent:
/// concept j is active with probability p[c, j](t); an active intensity is (0.55 + 0.45 p / max p) (0.5 + 0.5 q) with q uniform on (0, 1).
/// </summary>
public static class CohortModel
{
    /// <summary>Share of each class among the cells.</summary>
    public static IReadOnlyList<double> ClassShares { get; } = [0.34, 0.28, 0.21, 0.17];

    /// <summary>Standard deviation of the noise on the logit of the death rate.</summary>
    public const double DeathNoise = 0.35;

    /// <summary>Logit of the death rate of a cell that carries no concept.</summary>
    public const double DeathIntercept = -2.6;

    /// <summary>Span of stages that a change of probability takes.</summary>
    public const double EventWidth = 0.22;

    internal const double LowestActive = 0.5;
    private const double GoldenRatio = 0.61803398874989484820;
    private const int StagesOfMean = 512;

    // By concept: probability in a resting, mature cell of any class.
    private static readonly double[] s_resting = [.08, .96, .94, .05, .08, .94, .04, .06, .10, .03, .02, .10, .08, .04, .04, .04, .05, .05, .94, .06];

    // The branches differ in length (SNCA eleven changes, GBA and Control five, the latter towards immature cells, LRRK2 four) and in how cells spread over them
    // (stage exponents below): a tree with no symmetry, so that no mirrored alignment keeps the distances as well as the true one. LRRK2 and SNCA share
    // the loss of the mitochondrial network, GBA and SNCA that of branching.
    private static readonly CohortEvent[][] s_courses =
    [
        [
            new(CohortConcept.NeuriteBranching, .10, .35), new(CohortConcept.SynapticPuncta, .06, .45), new(CohortConcept.Filopodia, .90, .55),
            new(CohortConcept.NucleolarProminence, .75, .62), new(CohortConcept.NuclearSize, .80, .70),
        ],
        [
            new(CohortConcept.Aggregates, .97, .02), new(CohortConcept.Calcium, .95, .12), new(CohortConcept.SynapticPuncta, .04, .22),
            new(CohortConcept.MitochondrialNetwork, .05, .30), new(CohortConcept.MitochondrialPuncta, .75, .36), new(CohortConcept.NeuriteBeading, .90, .42),
            new(CohortConcept.NeuriteBranching, .04, .48), new(CohortConcept.NeuriteLength, .06, .55), new(CohortConcept.NuclearCondensation, .95, .62),
            new(CohortConcept.MembraneBlebbing, .90, .70), new(CohortConcept.NuclearFragmentation, .85, .78),
        ],
        [
            new(CohortConcept.LysosomalPuncta, .97, 0), new(CohortConcept.Vacuoles, .95, .08), new(CohortConcept.SomaSize, .90, .16), new(CohortConcept.ChromatinTexture, .90, .26),
            new(CohortConcept.NeuriteBranching, .15, .36),
        ],
        [
            new(CohortConcept.ActinBundles, .96, 0), new(CohortConcept.MitochondrialClustering, .95, .05), new(CohortConcept.MitochondrialNetwork, .30, .30),
            new(CohortConcept.Filopodia, .60, .50),
        ],
    ];

    // Stage = u^(1/a) for mutants, crowded towards the end of their course; 1 - u^(1/a) for Control, crowded at rest. u uniform.
    private static readonly double[] s_stageExponent = [2.2, 1.15, 2.0, 1.4];

    private static readonly double[] s_highest = [.. Enumerable.Range(0, CohortNames.ConceptCount).Select(j =>
        s_courses.SelectMany(course => course).Where(e => (int)e.Concept == j).Select(e => e.Probability).Append(s_resting[j]).Max())];

    private static readonly double[] s_death = BuildDeathWeights();

    /// <summary>Weight of each concept in the logit of the death rate.</summary>
    public static IReadOnlyList<double> DeathWeights => s_death;

    /// <summary>What changes along the course of a class.</summary>
    public static IReadOnlyList<CohortEvent> Course(int cellClass) => s_courses[cellClass];

    /// <summary>Probability that a resting cell, of any class, carries this concept.</summary>
    public static double RestingProbability(int concept) => s_resting[concept];

    /// <summary>Exponent a of the stages of a class: t = u^(1/a) for the mutants, 1 - u^(1/a) for Control, u uniform on (0, 1).</summary>
    public static double StageExponent(int cellClass) => s_stageExponent[cellClass];

    /// <summary>Probability that a cell of this class at this stage carries this concept.</summary>
    public static double Probability(int cellClass, int concept, double stage)
    {
        double p = s_resting[concept];
        foreach (CohortEvent change in s_courses[cellClass])
        {
            if ((int)change.Concept != concept) continue;
            double s = Math.Clamp((stage - change.Onset) / EventWidth, 0, 1);
            p += (change.Probability - p) * s * s * (3 - 2 * s);
        }
        return p;
    }

    /// <summary>Share of the cells of this class that carry this concept.</summary>
    public static double Activation(int cellClass, int concept) => MeanOverStages(cellClass, stage => Probability(cellClass, concept, stage));

    /// <summary>Expected intensity of this concept in this class.</summary>
    public static double ExpectedIntensity(int cellClass, int concept) => MeanOverStages(cellClass, stage =>
    {
        double p = Probability(cellClass, concept, stage);
        return p * Strength(concept, p) * (LowestActive + (1 - LowestActive) / 2);
    });

    /// <summary>Largest intensity of a concept that is carried with probability p: traits are strongest where they are most frequent.</summary>
    private static double Strength(int concept, double p) => 0.55 + 0.45 * p / s_highest[concept];

    private static double Stage(int cellClass, double u)
    {
        double power = Math.Pow(u, 1 / s_stageExponent[cellClass]);
        return cellClass == 0 ? 1 - power : power;
    }

    private static double MeanOverStages(int cellClass, Func<double, double> f)
    {
        double sum = 0;
        for (int i = 0; i < StagesOfMean; i++) sum += f(Stage(cellClass, (i + 0.5) / StagesOfMean));
        return sum / StagesOfMean;
    }

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

    /// <summary>Draws the concepts of a cell and returns its stage.</summary>
    internal static double DrawConcepts(ulong seed, CohortModality modality, int cell, int cellClass, Span<double> concepts)
    {
        CounterRandom random = Stream(seed, modality, cell, CohortStream.Concepts);
        double stage = Stage(cellClass, random.NextDouble());
        for (int j = 0; j < concepts.Length; j++)
        {
            double p = Probability(cellClass, j, stage), q = (random.NextDouble() - (1 - p)) / p;
            concepts[j] = q <= 0 ? 0 : Strength(j, p) * (LowestActive + (1 - LowestActive) * Math.Min(q, 1));
        }
        return stage;
    }

    internal static double DrawDeathRate(ulong seed, CohortModality modality, int cell, ReadOnlySpan<double> concepts)
    {
        CounterRandom random = Stream(seed, modality, cell, CohortStream.Death);
        return Logistic(DeathLogit(concepts) + DeathNoise * random.NextNormal());
    }

    internal static CounterRandom Stream(ulong seed, CohortModality modality, int cell, CohortStream purpose) =>
        new(seed, (ulong)modality << 60 | (ulong)purpose << 40 | (uint)cell);

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
