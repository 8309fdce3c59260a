using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>The two other real data sets: scGEM with its band of tie-breaks, and the Patch-seq neurons on which unsupervised alignment fails.</summary>
public sealed class RealDataTests
{
    [Fact]
    public void Scgem_lies_in_the_band_of_its_tie_breaks()
    {
        string? folder = SharedData.Find("gw_scgem", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new();
        using Matrix<double> rna = MatrixReader.ReadDouble(device, Path.Combine(folder!, "rna.npy")), methylation = MatrixReader.ReadDouble(device, Path.Combine(folder!, "methylation.npy"));
        using AlignmentResult result = GromovAlignment.Align(rna, methylation, AlignmentOptions.Scot(35, 5e-3) with { TruthIsIdentity = true });
        TestContext.Current.TestOutputHelper?.WriteLine($"FOSCTTM {result.Foscttm!.Average:F5}, loss {result.Gromov.Loss:F6}, {result.Gromov.Timing.Total:F2} s");
        Assert.InRange(result.Foscttm!.Average, 0.187, 0.194);
        Assert.InRange(result.Gromov.Loss, 0.0315, 0.0328);
    }

    [Fact]
    public void Patch_seq_alignment_is_called_not_reliable()
    {
        string? folder = SharedData.Find("patchseq_m1", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new();
        using Matrix<double> counts = MatrixReader.ReadDouble(device, Path.Combine(folder!, "rna_counts.npy")), ephys = MatrixReader.ReadDouble(device, Path.Combine(folder!, "ephys.npy"));
        string[] family = ColumnReader.Read(Path.Combine(folder!, "cells.csv:rna_family")).Text;
        using Matrix<double> rna = Components(device, LogCountsPerMillion(counts), 30), electric = ZScored(device, ephys);
        AlignmentOptions options = AlignmentOptions.Scot(30, 5e-3) with { Starts = 2, TruthIsIdentity = true };
        options = options with { Gromov = options.Screening };
        using AlignmentResult result = GromovAlignment.Align(rna, electric, options, family, family);
        foreach (string line in result.Verdict.Against.Concat(result.Verdict.For)) TestContext.Current.TestOutputHelper?.WriteLine(line);
        foreach (StartOutcome start in result.Starts) TestContext.Current.TestOutputHelper?.WriteLine(start.ToString());
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Gromov.Timing}, {result.Gromov.Iterations} iterations, inner {result.Gromov.InnerIterations}");
        Assert.Equal(Trust.NotReliable, result.Verdict.Trust);
        // Labels, truth and the mirrored start say so independently of each other.
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("not above"));
        Assert.Contains(result.Verdict.Against, reason => reason.StartsWith("FOSCTTM", StringComparison.Ordinal));
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("does not single one out"));
    }

    private static Matrix<double> LogCountsPerMillion(Matrix<double> counts)
    {
        Matrix<double> result = counts.Device.AllocateMatrix<double>(counts.Rows, counts.Columns);
        for (int i = 0; i < counts.Rows; i++)
        {
            double total = 0;
            foreach (double c in counts.Row(i)) total += c;
            for (int j = 0; j < counts.Columns; j++) result.Row(i)[j] = Math.Log(1 + 1e6 * counts.Row(i)[j] / total);
        }
        return result;
    }

    private static Matrix<double> ZScored(CpuDevice device, Matrix<double> x)
    {
        Matrix<double> result = device.AllocateMatrix<double>(x.Rows, x.Columns);
        for (int j = 0; j < x.Columns; j++)
        {
            double mean = 0, squares = 0;
            for (int i = 0; i < x.Rows; i++) mean += x.Row(i)[j] / x.Rows;
            for (int i = 0; i < x.Rows; i++) squares += Math.Pow(x.Row(i)[j] - mean, 2) / x.Rows;
            for (int i = 0; i < x.Rows; i++) result.Row(i)[j] = squares > 0 ? (x.Row(i)[j] - mean) / Math.Sqrt(squares) : 0;
        }
        return result;
    }

    /// <summary>Leading principal components of the z-scored columns, by subspace iteration on the covariance.</summary>
    private static Matrix<double> Components(CpuDevice device, Matrix<double> x, int count)
    {
        const int extra = 30, rounds = 25, multiplies = 4;
        using Matrix<double> z = ZScored(device, x), gram = device.AllocateMatrix<double>(x.Columns, x.Columns);
        x.Dispose();
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0 / z.Rows, z.View, z.View, 0.0, gram.View);
        using Matrix<double> basis = Clouds.Normal(device, z.Columns, count + extra, seed: 1), image = device.AllocateMatrix<double>(z.Columns, count + extra);
        using Matrix<double> other = device.AllocateMatrix<double>(z.Columns, count + extra);
        for (int round = 0; round < rounds; round++)
        {
            for (int k = 0; k < multiplies; k += 2)
            {
                Gemm.Multiply(Transpose.No, Transpose.No, 1.0, gram.View, basis.View, 0.0, other.View);
                Gemm.Multiply(Transpose.No, Transpose.No, 1.0, gram.View, other.View, 0.0, basis.View);
            }
            for (int i = 0; i < z.Columns; i++) basis.Row(i).CopyTo(image.Row(i));
            Orthonormalise(image, basis);
        }
        using Matrix<double> small = device.AllocateMatrix<double>(count + extra, count + extra), rotated = device.AllocateMatrix<double>(z.Columns, count);
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, gram.View, basis.View, 0.0, image.View);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, basis.View, image.View, 0.0, small.View);
        var eigen = MathNet.Numerics.LinearAlgebra.Double.DenseMatrix.Create(count + extra, count + extra, (i, j) => 0.5 * (small.Row(i)[j] + small.Row(j)[i])).Evd(MathNet.Numerics.LinearAlgebra.Symmetricity.Symmetric);
        using Matrix<double> rotation = device.AllocateMatrix<double>(count + extra, count);
        for (int i = 0; i < count + extra; i++)
            for (int j = 0; j < count; j++) rotation.Row(i)[j] = eigen.EigenVectors[i, count + extra - 1 - j];
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, basis.View, rotation.View, 0.0, rotated.View);
        Matrix<double> scores = device.AllocateMatrix<double>(z.Rows, count);
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, z.View, rotated.View, 0.0, scores.View);
        return scores;
    }

    private static void Orthonormalise(Matrix<double> source, Matrix<double> target)
    {
        for (int j = 0; j < source.Columns; j++)
        {
            for (int pass = 0; pass < 2; pass++)
                for (int k = 0; k < j; k++)
                {
                    double dot = 0;
                    for (int i = 0; i < source.Rows; i++) dot += source.Row(i)[j] * target.Row(i)[k];
                    for (int i = 0; i < source.Rows; i++) source.Row(i)[j] -= dot * target.Row(i)[k];
                }
            double squares = 0;
            for (int i = 0; i < source.Rows; i++) squares += source.Row(i)[j] * source.Row(i)[j];
            for (int i = 0; i < source.Rows; i++) target.Row(i)[j] = source.Row(i)[j] / Math.Sqrt(squares);
        }
    }
}
