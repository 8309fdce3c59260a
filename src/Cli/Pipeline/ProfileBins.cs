using BioSup.Analysis.GwMap;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Soft targets of the grouped genes over the images, coarse enough to be drawn: images of every label in the order of their first principal component, averaged in bins.</summary>
internal sealed class ProfileBins
{
    private const int MostBins = 40;
    private const double Widest = 2.5;

    private ProfileBins(double[,] values, int perLabel) => (Values, PerLabel) = (values, perLabel);

    /// <summary>[genes, bins of the first label, of the second, …]: mean of the standardised soft target, cut off at 2.5 deviations.</summary>
    public double[,] Values { get; }

    /// <summary>Bins of each label.</summary>
    public int PerLabel { get; }

    /// <param name="profiles">[genes, images of the sample].</param>
    /// <param name="sample">Labels of the images.</param>
    /// <param name="images">[images, components].</param>
    public static ProfileBins Of(Matrix<float> profiles, BalancedSample sample, Matrix<double> images)
    {
        int bins = Math.Min(MostBins, sample.PerLabel);
        double[,] values = new double[profiles.Rows, bins * sample.Labels.Count];
        int[][] order = [.. sample.Labels.Select(label => sample.ImagesOf(label).OrderBy(i => images.Row(i)[0]).ToArray())];
        for (int g = 0; g < profiles.Rows; g++)
        {
            float[] row = profiles.Row(g).ToArray();
            double mean = row.Average(v => (double)v), deviation = Math.Sqrt(row.Average(v => (v - mean) * (v - mean)));
            for (int l = 0; l < order.Length; l++)
            {
                int[] own = order[l];
                for (int b = 0; b < bins; b++)
                {
                    int first = (int)((long)own.Length * b / bins), end = (int)((long)own.Length * (b + 1) / bins);
                    double bin = Enumerable.Range(first, end - first).Average(i => (double)row[own[i]]);
                    values[g, l * bins + b] = deviation > 0 ? Math.Clamp((bin - mean) / deviation, -Widest, Widest) : 0;
                }
            }
        }
        return new ProfileBins(values, bins);
    }
}
