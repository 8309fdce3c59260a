using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>Which genes images predict best, and the profiles by which those are grouped.</summary>
public sealed class GeneRanking
{
    private GeneRanking(string targets, string measure, double[] scores) => (Targets, Measure, Scores) = (targets, measure, scores);

    /// <summary>The target set that was ranked: denoised genes where there are any, raw ones otherwise.</summary>
    public string Targets { get; }

    /// <summary>"z", or "R²" where no permutations were made.</summary>
    public string Measure { get; }

    /// <summary>Per gene its measure over all labels together, or the mean of the measures within each.</summary>
    public double[] Scores { get; }

    /// <summary>Ranks the genes of a study by the ridge regression.</summary>
    /// <param name="runs">The study.</param>
    /// <param name="within">Whether the measures within labels count, where differences between labels cannot make a gene predictable, or that over all labels.</param>
    public static GeneRanking Of(IReadOnlyList<PredictabilityRun> runs, bool within = true) => Of(runs, r => r.Label is not null == within);

    /// <summary>Ranks the genes by the ridge regression within one label.</summary>
    public static GeneRanking OfLabel(IReadOnlyList<PredictabilityRun> runs, string label) => Of(runs, r => r.Label == label);

    private static GeneRanking Of(IReadOnlyList<PredictabilityRun> runs, Func<PredictabilityRun, bool> counts)
    {
        string targets = runs.Any(r => r.Targets == GwMapTargets.Denoised) ? GwMapTargets.Denoised : GwMapTargets.Raw;
        PredictabilityRun[] counted = [.. runs.Where(r => counts(r) && r.Targets == targets && r.Model == GwMapTargets.Ridge)];
        if (counted.Length == 0) throw new ArgumentException("There is no prediction of genes to rank by.", nameof(runs));
        bool z = counted.All(r => r.Result.ZScore is not null);
        double[] scores = new double[counted[0].Columns.Count];
        foreach (PredictabilityRun run in counted)
            for (int g = 0; g < scores.Length; g++) scores[g] += (z ? run.Result.ZScore![g] : run.Result.RSquared[g]) / counted.Length;
        return new GeneRanking(targets, z ? "z" : "R²", scores);
    }

    /// <summary>Genes by falling score, equal ones in the order of the columns.</summary>
    public int[] Top(int genes) => [.. Enumerable.Range(0, Scores.Length).OrderByDescending(g => Scores[g]).ThenBy(g => g).Take(genes)];

    /// <summary>Soft targets of some genes over all images: genes are grouped by them.</summary>
    /// <param name="coupling">[images, cells] in host memory.</param>
    /// <param name="sample">Labels of both.</param>
    /// <param name="expression">Values of the cells by gene.</param>
    /// <param name="genes">Columns of the expression.</param>
    /// <param name="within">Takes each image through the block of its own label and centres every gene there, so that genes are not grouped by how they differ between labels.</param>
    /// <returns>[genes, images]; images in the order of the sample, or label after label.</returns>
    public static Matrix<float> Profiles(Matrix<double> coupling, BalancedSample sample, GeneValues expression, int[] genes, bool within, CancellationToken cancellation = default)
    {
        Matrix<float> profiles = coupling.Device.Host.AllocateMatrix<float>(genes.Length, sample.Images.Length);
        if (!within)
        {
            using GeneValues chosen = expression.Select(genes);
            using Matrix<float> all = GeneSoftTargets.Project(coupling, chosen, chosen.AllCells(), 0, null, cancellation);
            Transpose(all, profiles);
            return profiles;
        }
        int first = 0;
        foreach (string label in sample.Labels)
        {
            using Matrix<float> own = LabelProfiles(coupling, sample, expression, genes, label, cancellation);
            for (int g = 0; g < genes.Length; g++)
            {
                double mean = 0;
                foreach (float value in own.Row(g)) mean += value;
                mean /= own.Columns;
                Span<float> profile = profiles.Row(g).Slice(first, own.Columns);
                for (int i = 0; i < own.Columns; i++) profile[i] = (float)(own.Row(g)[i] - mean);
            }
            first += own.Columns;
        }
        return profiles;
    }

    /// <summary>Soft targets of some genes over the images of one label, through its block of the coupling alone.</summary>
    /// <returns>[genes, images of the label].</returns>
    /// <inheritdoc cref="Profiles"/>
    public static Matrix<float> LabelProfiles(Matrix<double> coupling, BalancedSample sample, GeneValues expression, int[] genes, string label, CancellationToken cancellation = default)
    {
        int[] images = sample.ImagesOf(label), cells = sample.CellsOf(label);
        using Matrix<double> block = CouplingReading.Block(coupling, images, cells);
        using GeneValues chosen = expression.Select(genes);
        using Matrix<float> soft = GeneSoftTargets.Project(block, chosen, cells, 0, null, cancellation);
        Matrix<float> profiles = coupling.Device.Host.AllocateMatrix<float>(genes.Length, images.Length);
        Transpose(soft, profiles);
        return profiles;
    }

    private static void Transpose(Matrix<float> soft, Matrix<float> profiles)
    {
        for (int g = 0; g < profiles.Rows; g++)
            for (int i = 0; i < soft.Rows; i++) profiles.Row(g)[i] = soft.Row(i)[g];
    }
}

/// <summary>Names of target sets and models, as they stand in results.</summary>
public static class GwMapTargets
{
    public const string Latent = "latent", Raw = "raw", Denoised = "denoised";
    public const string Ridge = "ridge", Mlp = "mlp", Trees = "trees";
}
