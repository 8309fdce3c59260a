using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>What happens to a matrix before its cells are compared: named recipes instead of a chain of options.</summary>
internal static class Preparation
{
    public const string None = "none", Latents = "latents", Counts = "counts";

    /// <summary>Reads a matrix and prepares it.</summary>
    /// <param name="recipe">"none"; "latents": ln(1+x), standardise, unit rows, PCA; "counts": equal totals, ln(1+x), standardise, PCA.</param>
    /// <param name="components">Principal components kept; fewer when there are fewer cells or columns.</param>
    /// <param name="whiten">Divides every component by its standard deviation (divisor n - 1, as scikit-learn's PCA(whiten=True)).</param>
    public static Matrix<double> Read(ComputeDevice device, string locator, string recipe, int components, bool whiten = false)
    {
        if (recipe == None) return MatrixReader.ReadDouble(device, locator);
        if (recipe is not (Latents or Counts)) throw new UsageException($"'{recipe}' is no way to prepare a matrix; expected none, latents or counts.");
        if (components < 1) throw new UsageException($"align.pca = {components}: expected 1 or more principal components.");
        using Matrix<float> values = MatrixReader.ReadSingle(device, locator);
        if (recipe == Counts) CellPreprocessing.NormaliseTotal(values, target: 1e4);
        CellPreprocessing.Log1p(values);
        CellPreprocessing.Standardise(values);
        if (recipe == Latents) CellPreprocessing.NormaliseRows(values);
        using Matrix<double> wide = device.AllocateMatrix<double>(values.Rows, values.Columns);
        Elementwise.Copy(values.View, wide.View);
        using Pca pca = Pca.Fit(wide, Math.Min(components, Math.Min(values.Rows - 1, values.Columns)));
        Matrix<double> scores = pca.Transform(wide);
        if (whiten) Whiten(scores, pca.ExplainedVariance);
        return scores;
    }

    /// <summary>Components beyond the rank of the data are zero and stay so.</summary>
    private static void Whiten(Matrix<double> scores, double[] variance)
    {
        using DeviceBuffer<double> deviations = scores.Device.Allocate<double>(variance.Length);
        deviations.CopyFrom(Array.ConvertAll(variance, v => Math.Sqrt(Math.Max(v, 0))));
        Standardise.Columns(scores.View, default, deviations.View, scores.View);
    }
}
