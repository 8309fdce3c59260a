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
        using Matrix<double> wide = latents.Device.AllocateMatrix<double>(latents.Rows, latents.Columns);
        Elementwise.Copy(latents.View, wide.View);
        return Components(wide, components);
    }

    /// <summary>Cells for which no latent space is given: principal components of their log-normalised expression, genes centred and not scaled.</summary>
    /// <param name="expression">Expression as <see cref="CellExpression.LogNormalise"/> leaves it.</param>
    /// <param name="host">Where the work is done.</param>
    /// <param name="components">Components; fewer where there are fewer genes or cells.</param>
    public static PrincipalScores Cells(GeneValues expression, CpuDevice host, int components)
    {
        using Matrix<double> wide = host.AllocateMatrix<double>(expression.Cells, expression.Genes);
        expression.Fill(expression.AllCells(), 0, expression.Genes, wide);
        return Components(wide, components);
    }

    private static PrincipalScores Components(Matrix<double> wide, int components)
    {
        using Pca pca = Pca.Fit(wide, Math.Min(components, Math.Min(wide.Rows - 1, wide.Columns)));
        return new PrincipalScores(pca.Transform(wide), pca.ExplainedVarianceRatio);
    }
}
