using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>SCOT's published run on the SNARE-seq cell-line mixture: the printed convergence trace and FOSCTTM.</summary>
public sealed class SnareSeqTests
{
    /// <summary>replication/SNAREseq_SCOT_alignment.ipynb, every tenth iteration.</summary>
    private static readonly double[] s_published =
    [
        1.758021e-03, 4.650066e-04, 5.551472e-05, 1.489434e-05, 4.868141e-06, 1.787543e-06, 7.141842e-07, 3.011861e-07,
        1.308225e-07, 5.766123e-08, 2.559230e-08, 1.139643e-08, 5.083008e-09, 2.268915e-09, 1.013200e-09, 4.525532e-10,
    ];

    [Fact]
    public void Published_trace_and_foscttm_are_reproduced()
    {
        string? folder = SharedData.Find("gw_snareseq", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new();
        using Matrix<double> atac = MatrixReader.ReadDouble(device, Path.Combine(folder!, "atac.npy"));
        using Matrix<double> rna = MatrixReader.ReadDouble(device, Path.Combine(folder!, "rna.npy"));
        using DomainCostResult c1 = DomainCosts.Build(atac, DomainCostOptions.Scot(110)), c2 = DomainCosts.Build(rna, DomainCostOptions.Scot(110));
        Assert.Equal(1, c1.Components);
        Assert.Equal(6, c1.Divisor);
        Assert.Equal(4, c2.Divisor);

        using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, new GromovOptions { Epsilon = 1e-3, InnerSolve = InnerSolve.PotIterates });

        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Timing} total {result.Timing.Total:F2} s, inner {result.InnerIterations}, fill {result.KernelFill:F3}, loss {result.Loss:R}");
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(" ", result.ErrorTrace.Select(e => e.ToString("e6"))));
        Assert.True(result.Converged);
        Assert.Equal(151, result.Iterations);
        Assert.Equal(s_published.Length, result.ErrorTrace.Count);
        for (int i = 0; i < s_published.Length; i++) Assert.InRange(result.ErrorTrace[i] / s_published[i], 1 - 1e-3, 1 + 1e-3);
        Assert.InRange(result.Loss, 0.037038, 0.037039);

        using Matrix<double> target = DomainCosts.NormalisedRows(rna);
        using Matrix<double> projected = MatchAccuracy.BarycentricProjection(result.Coupling, target);
        FosctTm foscttm = MatchAccuracy.Foscttm(projected, target);
        TestContext.Current.TestOutputHelper?.WriteLine($"FOSCTTM {foscttm.Average:F8} ({foscttm.FirstToSecond:F6}, {foscttm.SecondToFirst:F6})");
        Assert.InRange(foscttm.Average, 0.14964 - 0.0005, 0.14964 + 0.0005);
    }

    [Fact]
    public void Verdict_is_reliable_from_labels_and_from_starts()
    {
        string? folder = SharedData.Find("gw_snareseq", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new();
        using Matrix<double> atac = MatrixReader.ReadDouble(device, Path.Combine(folder!, "atac.npy")), rna = MatrixReader.ReadDouble(device, Path.Combine(folder!, "rna.npy"));
        string[] labels = ColumnReader.Read(Path.Combine(folder!, "cells.csv:label_name")).Text;
        AlignmentOptions options = AlignmentOptions.Scot(110, 1e-3) with { Starts = 2, TruthIsIdentity = true };
        using AlignmentResult result = GromovAlignment.Align(atac, rna, options with { Gromov = options.Screening }, labels, labels);
        foreach (string line in result.Verdict.Against.Concat(result.Verdict.For)) TestContext.Current.TestOutputHelper?.WriteLine(line);
        foreach (StartOutcome start in result.Starts) TestContext.Current.TestOutputHelper?.WriteLine(start.ToString());
        TestContext.Current.TestOutputHelper?.WriteLine($"{result.Gromov.Timing}, {result.Gromov.Iterations} iterations, inner {result.Gromov.InnerIterations}, 5-NN {result.NeighbourVote!.Accuracy:F4}");
        Assert.True(result.Verdict.Trust == Trust.Reliable, string.Join(" ", result.Verdict.Against));
        Assert.InRange(result.NeighbourVote!.Accuracy, 0.9, 1);
    }
}
