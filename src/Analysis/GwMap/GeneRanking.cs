using BioSup.Kernels;
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
    public static GeneRanking Of(IReadOnlyList<PredictabilityRun> runs, bool within = true)
    {
        string targets = runs.Any(r => r.Targets == GwMapTargets.Denoised) ? GwMapTargets.Denoised : GwMapTargets.Raw;
        PredictabilityRun[] counted = [.. runs.Where(r => r.Label is not null == within && r.Targets == targets && r.Model == GwMapTargets.Ridge)];
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
    /// <param name="expression">[cells, genes] in host memory.</param>
    /// <param name="genes">Columns of the expression.</param>
    /// <param name="within">Takes each image through the block of its own label and centres every gene there, so that genes are not grouped by how they differ between labels.</param>
    /// <returns>[genes, images]; images in the order of the sample, or label after label.</returns>
    public static Matrix<float> Profiles(Matrix<double> coupling, BalancedSample sample, Matrix<float> expression, int[] genes, bool within, CancellationToken cancellation = default)
    {
        using Matrix<float> chosen = Gather.Columns(expression, genes);
        Matrix<float> profiles = expression.Device.AllocateMatrix<float>(genes.Length, sample.Images.Length);
        if (!within)
        {
            using Matrix<float> all = GeneSoftTargets.Project(coupling, chosen, 0, null, cancellation);
            for (int g = 0; g < genes.Length; g++)
                for (int i = 0; i < all.Rows; i++) profiles.Row(g)[i] = all.Row(i)[g];
            return profiles;
        }
        int first = 0;
        foreach (string label in sample.Labels)
        {
            int[] images = sample.ImagesOf(label), cells = sample.CellsOf(label);
            using Matrix<double> block = CouplingReading.Block(coupling, images, cells);
            using Matrix<float> values = Gather.Rows(chosen, cells), soft = GeneSoftTargets.Project(block, values, 0, null, cancellation);
            for (int g = 0; g < genes.Length; g++)
            {
                double mean = 0;
                for (int i = 0; i < images.Length; i++) mean += soft.Row(i)[g];
                mean /= images.Length;
                Span<float> profile = profiles.Row(g).Slice(first, images.Length);
                for (int i = 0; i < images.Length; i++) profile[i] = (float)(soft.Row(i)[g] - mean);
            }
            first += images.Length;
        }
        return profiles;
    }
}

/// <summary>Names of target sets and models, as they stand in results.</summary>
public static class GwMapTargets
{
    public const string Latent = "latent", Raw = "raw", Denoised = "denoised";
    public const string Ridge = "ridge", Mlp = "mlp", Trees = "trees";
}
