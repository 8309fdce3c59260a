using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>Principal components of one domain.</summary>
/// <param name="Scores">[rows, components].</param>
/// <param name="Shares">Share of the variance that each component holds.</param>
public sealed record PrincipalScores(Matrix<double> Scores, double[] Shares) : IDisposable
{
    public void Dispose() => Scores.Dispose();

    /// <summary>Share of the variance that the first components hold together.</summary>
    public double ExplainedBy(int components) => Shares.Take(components).Sum();

    /// <summary>The first components, as a matrix of its own: the components of a smaller analysis of the same data.</summary>
    public Matrix<double> Leading(int components)
    {
        int[] first = [.. Enumerable.Range(0, Math.Min(components, Scores.Columns))];
        return Gather.Columns(Scores, first);
    }
}

/// <summary>The spaces in which GW-map compares images with images and cells with cells.</summary>
public static class GwMapSpaces
{
    /// <summary>Total that every cell is scaled to.</summary>
    public const double CellTotal = 1e4;

    /// <summary>Expression whose largest value is at or below this is taken to be logarithmic already (GW-map's rule).</summary>
    public const double LargestLogarithm = 50;

    /// <summary>
    /// Images: ln(1 + max(x, 0)), every latent to mean 0 and deviation 1, every image to unit length, principal components. The coupling uses the first 30 of the 100 that
    /// genes are predicted from: the components of a smaller analysis are the first ones of a larger.
    /// </summary>
    /// <param name="latents">[images, latents that passed the filters]; changed in place.</param>
    /// <param name="components">Components; fewer where there are fewer latents or images.</param>
    public static PrincipalScores Images(Matrix<float> latents, int components)
    {
        CellPreprocessing.Log1p(latents);
        CellPreprocessing.Standardise(latents);
        CellPreprocessing.NormaliseRows(latents);
        return Components(latents, components);
    }

    /// <summary>Cells for which no latent space is given: principal components of their log-normalised expression, genes centred and not scaled.</summary>
    /// <param name="expression">[cells, genes] as <see cref="LogNormalise"/> leaves it.</param>
    /// <param name="components">Components; fewer where there are fewer genes or cells.</param>
    public static PrincipalScores Cells(Matrix<float> expression, int components) => Components(expression, components);

    /// <summary>Scales every cell to <see cref="CellTotal"/> and takes ln(1 + x), in place, unless the values are logarithms already.</summary>
    /// <returns>Whether the values were counts.</returns>
    public static bool LogNormalise(Matrix<float> expression)
    {
        if (!(MatrixElements.Summarise(expression.View).Largest > LargestLogarithm)) return false;
        CellPreprocessing.NormaliseTotal(expression, CellTotal);
        CellPreprocessing.Log1p(expression);
        return true;
    }

    /// <summary>The genes whose log-normalised expression varies most, in the order of the columns; genes that do not vary are never among them.</summary>
    /// <param name="expression">[cells, genes] in host memory.</param>
    /// <param name="most">How many to keep.</param>
    public static int[] VariableGenes(Matrix<float> expression, int most)
    {
        double[] variance = new double[expression.Columns];
        using (DeviceBuffer<double> means = expression.Device.Allocate<double>(expression.Columns), variances = expression.Device.Allocate<double>(expression.Columns))
        {
            Reductions.ColumnVariances(expression.View, means.View, variances.View);
            variances.CopyTo(variance);
        }
        return [.. Enumerable.Range(0, variance.Length).Where(g => variance[g] > 0).OrderByDescending(g => variance[g]).ThenBy(g => g).Take(most).Order()];
    }

    private static PrincipalScores Components(Matrix<float> values, int components)
    {
        using Matrix<double> wide = values.Device.AllocateMatrix<double>(values.Rows, values.Columns);
        Elementwise.Copy(values.View, wide.View);
        using Pca pca = Pca.Fit(wide, Math.Min(components, Math.Min(values.Rows - 1, values.Columns)));
        return new PrincipalScores(pca.Transform(wide), pca.ExplainedVarianceRatio);
    }
}
