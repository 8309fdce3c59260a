using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>ZCA whitening (Bell and Sejnowski 1997): the symmetric matrix U (L + epsilon)^(-1/2) U' of the covariance U L U'.</summary>
internal static class Whitener
{
    private const int BlockRows = 1024;

    /// <param name="samples">[n, d].</param>
    /// <param name="epsilon">Added to every eigenvalue, as a fraction of their mean.</param>
    /// <returns>Column means, and the d x d whitening matrix (owned by the caller).</returns>
    public static (float[] Mean, Matrix<float> Whitening) Fit(CpuDevice device, Matrix<float> samples, double epsilon)
    {
        int d = samples.Columns;
        double[] mean = new double[d];
        for (int i = 0; i < samples.Rows; i++)
        {
            ReadOnlySpan<float> row = samples.Row(i);
            for (int j = 0; j < d; j++) mean[j] += row[j];
        }
        for (int j = 0; j < d; j++) mean[j] /= samples.Rows;
        using Matrix<double> covariance = Covariance(device, samples, mean);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(covariance, vectors: true);
        ReadOnlySpan<double> vectors = eigen.Vectors.Buffer.View.Host;
        double meanValue = eigen.Values.Sum() / d;
        if (!(meanValue > 0)) throw new DataException("images", null, "all windows are alike, so there is nothing to learn a dictionary from");
        double floor = epsilon * meanValue;
        Matrix<float> whitening = device.AllocateMatrix<float>(d, d);
        double[] scale = [.. eigen.Values.Select(value => 1 / Math.Sqrt(Math.Max(value, 0) + floor))];
        for (int i = 0; i < d; i++)
            for (int j = i; j < d; j++)
            {
                double sum = 0;
                for (int k = 0; k < d; k++) sum += vectors[k * d + i] * scale[k] * vectors[k * d + j];
                whitening.Row(i)[j] = whitening.Row(j)[i] = (float)sum;
            }
        return ([.. mean.Select(value => (float)value)], whitening);
    }

    private static Matrix<double> Covariance(CpuDevice device, Matrix<float> samples, double[] mean)
    {
        // Centred copies keep the product free of cancellation; the double product is exact enough for any number of windows.
        int d = samples.Columns;
        using Matrix<double> centred = device.AllocateMatrix<double>(BlockRows, d);
        Matrix<double> sum = device.AllocateMatrix<double>(d, d);
        for (int start = 0; start < samples.Rows; start += BlockRows)
        {
            int count = Math.Min(BlockRows, samples.Rows - start);
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<float> row = samples.Row(start + i);
                Span<double> target = centred.Row(i);
                for (int j = 0; j < d; j++) target[j] = row[j] - mean[j];
            }
            Gemm.Multiply(Transpose.Yes, Transpose.No, 1, centred.View.RowBlock(0, count), centred.View.RowBlock(0, count), start == 0 ? 0 : 1, sum.View);
        }
        for (int i = 0; i < d; i++)
            for (int j = i; j < d; j++) sum.Row(i)[j] = sum.Row(j)[i] = (sum.Row(i)[j] + sum.Row(j)[i]) / (2.0 * samples.Rows);
        return sum;
    }
}
