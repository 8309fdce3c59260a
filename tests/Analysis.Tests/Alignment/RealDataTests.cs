using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>The Patch-seq neurons, prepared once: components of log counts per million, z-scored electrophysiology, families.</summary>
public sealed class PatchSeqFixture : IDisposable
{
    private const int Cells = 400;

    public PatchSeqFixture()
    {
        string? folder = SharedData.Find("patchseq_m1", out string reason);
        Reason = reason;
        if (folder is null) return;
        using Matrix<double> counts = MatrixReader.ReadDouble(Device, Path.Combine(folder, "rna_counts.npy")), ephys = MatrixReader.ReadDouble(Device, Path.Combine(folder, "ephys.npy"));
        Families = ColumnReader.Read(Path.Combine(folder, "cells.csv:rna_family")).Text;
        Rna = RealDataTests.Components(Device, RealDataTests.LogCountsPerMillion(counts), 30);
        Electric = RealDataTests.ZScored(Device, ephys);
        // Every third cell, the first 400 of them: as many as SOURCE.md measured the effect of a prior on.
        FewFamilies = [.. Enumerable.Range(0, Cells).Select(i => Families[3 * i])];
        (FewRna, FewElectric) = (Every(Rna), Every(Electric));
    }

    public CpuDevice Device { get; } = new();
    public string Reason { get; }
    public string[] Families { get; } = [];
    public string[] FewFamilies { get; } = [];
    public Matrix<double>? Rna { get; }
    public Matrix<double>? Electric { get; }
    public Matrix<double>? FewRna { get; }
    public Matrix<double>? FewElectric { get; }

    public void Dispose()
    {
        foreach (Matrix<double>? matrix in new[] { Rna, Electric, FewRna, FewElectric }) matrix?.Dispose();
        Device.Dispose();
    }

    private Matrix<double> Every(Matrix<double> all)
    {
        Matrix<double> few = Device.AllocateMatrix<double>(Cells, all.Columns);
        for (int i = 0; i < Cells; i++) all.Row(3 * i).CopyTo(few.Row(i));
        return few;
    }
}

/// <summary>The two other real data sets: scGEM with its band of tie-breaks, and the Patch-seq neurons on which unsupervised alignment fails.</summary>
public sealed class RealDataTests(PatchSeqFixture patchSeq) : IClassFixture<PatchSeqFixture>
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
        Assert.True(result.Verdict.Trust == Trust.Reliable, string.Join(" ", result.Verdict.Against));
    }

    /// <summary>
    /// SOURCE.md, 400 cells: a start that knows the families ends at FOSCTTM 0.28 to 0.33, where none ends at 0.5; supervised ridge regression reaches 0.149. A cost of 1 between families, weighed
    /// with half a per cent, gives what that start gives or a little better (where ties of hops are broken moves it by 0.04); with one per cent it does better. Families are not shown to the verdict: what was put in is no evidence.
    /// Without families no partners are found, and only the lower bound says something: 0.599 with AVX2, 0.603 with AVX-512, 0.606 with the reference kernels, whose last bits break those ties differently.
    /// </summary>
    [Theory]
    [InlineData(1.0, 0.5, 0.65, Trust.NotReliable)]
    [InlineData(0.995, 0.2, 0.33, null)]
    [InlineData(0.99, 0.149, 0.28, Trust.Reliable)]
    public void Patch_seq_with_the_families_as_a_fused_cost_comes_into_its_band(double alpha, double lowest, double highest, Trust? trust)
    {
        Assert.SkipWhen(patchSeq.FewRna is null, patchSeq.Reason);
        int n = patchSeq.FewFamilies.Length;
        using Matrix<double> families = patchSeq.Device.AllocateMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) families.Row(i)[j] = patchSeq.FewFamilies[i] == patchSeq.FewFamilies[j] ? 0 : 1;
        AlignmentOptions options = AlignmentOptions.Scot(20, 5e-3) with { TruthIsIdentity = true };
        options = options with { Gromov = options.Gromov with { Alpha = alpha, Tolerance = 1e-6, MaxIterations = 300 } };
        using AlignmentResult result = GromovAlignment.Align(patchSeq.FewRna!, patchSeq.FewElectric!, options, fused: alpha < 1 ? families : null);
        TestContext.Current.TestOutputHelper?.WriteLine($"alpha {alpha}: FOSCTTM {result.Foscttm!.Average:F4}, loss {result.Gromov.Loss:F5}, {result.Gromov.Iterations} iterations, inner {result.Gromov.InnerIterations}; {string.Join(" ", result.Verdict.Against)}");
        Assert.InRange(result.Foscttm!.Average, lowest, highest);
        if (trust is not null) Assert.Equal(trust, result.Verdict.Trust);
    }

    /// <summary>
    /// The same 400 cells with a coupling restricted to equal families, and with a solve that only starts from that coupling. FOSCTTM comes below the 0.33 of SOURCE.md, not below the 0.149 of supervised
    /// regression; but among the cells of a family partners are no better than chance, and the verdict says so.
    /// </summary>
    [Fact]
    public void Patch_seq_with_its_families_as_blocks_comes_into_its_band_and_is_not_called_reliable()
    {
        Assert.SkipWhen(patchSeq.FewRna is null, patchSeq.Reason);
        string[] families = patchSeq.FewFamilies;
        AlignmentOptions options = AlignmentOptions.Scot(20, 5e-3) with { TruthIsIdentity = true };
        options = options with { Gromov = options.Gromov with { Tolerance = 1e-6, MaxIterations = 300 } };
        using AlignmentResult within = GromovAlignment.Align(patchSeq.FewRna!, patchSeq.FewElectric!, options with { Blocks = new BlockLabels(families, families) }, families, families);
        using AlignmentResult started = GromovAlignment.Align(patchSeq.FewRna!, patchSeq.FewElectric!, options, initial: within.Coupling);
        foreach (AlignmentResult result in (ReadOnlySpan<AlignmentResult>)[within, started])
            TestContext.Current.TestOutputHelper?.WriteLine($"FOSCTTM {result.Foscttm!.Average:F4}, within {result.FoscttmWithinBlocks?.Average:F4}, loss {result.Gromov.Loss:F5}, vote {result.NeighbourVote?.Accuracy:F3}, {result.Gromov.Iterations} iterations, converged {result.Gromov.Converged}; {string.Join(" ", result.Verdict.Against)}");
        Assert.True(within.Gromov.Converged && started.Gromov.Converged);
        Assert.InRange(within.Foscttm!.Average, 0.149, 0.33);
        Assert.InRange(within.FoscttmWithinBlocks!.Average, 0.4, 0.6);
        // SOURCE.md has 0.28 to 0.33 by conditional gradients from such a start; a different draw of cells moves it by about as much.
        Assert.InRange(started.Foscttm!.Average, 0.26, 0.36);
        Assert.InRange(within.NeighbourVote!.Accuracy, 0.59, 1);
        Assert.Equal(Trust.NotReliable, within.Verdict.Trust);
    }

    [Fact]
    public void Patch_seq_alignment_is_called_not_reliable()
    {
        Assert.SkipWhen(patchSeq.Rna is null, patchSeq.Reason);
        AlignmentOptions options = AlignmentOptions.Scot(30, 5e-3) with { Starts = 2, TruthIsIdentity = true };
        options = options with { Gromov = options.Screening };
        using AlignmentResult result = GromovAlignment.Align(patchSeq.Rna!, patchSeq.Electric!, options, patchSeq.Families, patchSeq.Families);
        foreach (string line in result.Verdict.Against.Concat(result.Verdict.For)) TestContext.Current.TestOutputHelper?.WriteLine(line);
        foreach (StartOutcome start in result.Starts) TestContext.Current.TestOutputHelper?.WriteLine(start.ToString());
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Gromov.Timing}, {result.Gromov.Iterations} iterations, inner {result.Gromov.InnerIterations}");
        Assert.Equal(Trust.NotReliable, result.Verdict.Trust);
        // Labels, truth and the mirrored start say so independently of each other.
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("not above"));
        Assert.Contains(result.Verdict.Against, reason => reason.StartsWith("FOSCTTM", StringComparison.Ordinal));
        Assert.Contains(result.Verdict.Against, reason => reason.Contains("does not single one out"));
    }

    internal static Matrix<double> LogCountsPerMillion(Matrix<double> counts)
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

    internal static Matrix<double> ZScored(CpuDevice device, Matrix<double> x)
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
    internal static Matrix<double> Components(CpuDevice device, Matrix<double> x, int count)
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
