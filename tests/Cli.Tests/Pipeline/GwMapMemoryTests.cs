using System.CommandLine;
using BioSup.Analysis.GwMap;
using BioSup.Analysis.Prediction;
using BioSup.Cli.Pipeline;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Pipeline;

/// <summary>Runs alone: the accounting of native memory is one for the whole process.</summary>
[CollectionDefinition(nameof(GwMapMemoryTests), DisableParallelization = true)]
public sealed class GwMapMemoryCollection;

/// <summary>What a map holds is what it said it would, and zeros of the expression are no part of it.</summary>
[Collection(nameof(GwMapMemoryTests))]
public sealed class GwMapMemoryTests : IDisposable
{
    private const int Cells = 400, PerLabel = 40, Genes = 6000, Predicted = 1500;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-memory-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_step_stays_within_its_plan()
    {
        Write();
        ParseResult parsed = BiosupApplication.CreateRoot().Parse(["gw", "map", "none.json", "--out", _folder, "--threads", "2", "--quiet"]);
        using CommandContext context = new("map", parsed, default, null, new CreatedFolders());
        GwMapConfig config = GwMapConfigFile.Parse($$"""
            { "images": { "latents": "latents.npy", "labels": "cells.csv:label", "differential": false }, "rna": { "expression": "rna.h5ad:X", "labels": "cells.csv:label", "max_genes": {{Predicted}} },
              "sample": { "max_images": {{2 * PerLabel}} }, "predictability": { "mlp": { "runs": 1, "epochs": 1, "permutations": 1 } } }
            """, "config", []);
        WarmThreads.Run(context.Host, () => Map(config, context, required: false));
        long start = MemoryAccounting.CurrentBytes;
        Map(config, context, required: true);
        Assert.Equal(start, MemoryAccounting.CurrentBytes);
    }

    private void Map(GwMapConfig config, CommandContext context, bool required)
    {
        string Locate(string locator) => Path.Combine(_folder, locator);
        long start = MemoryAccounting.CurrentBytes;
        GwMapInput? read = null;
        long reading = Peak(() => read = GwMapInput.Read(config, Locate, ResultFolder.Create(context, _folder), context));
        using GwMapInput input = read!;
        long entries = input.Expression.Entries, dense = 2L * PerLabel * Genes * sizeof(float);
        Assert.InRange(entries, 1, dense / sizeof(float) / 15);
        // A segment of entries is taken at once.
        Assert.InRange(reading, entries * 8, CellExpression.ReadingBytes(Math.Max(entries, 1 << 20)));
        Assert.Equal(entries * 8, input.Expression.Bytes);

        string spaces = Locate("spaces.npz");
        long finding = input.Expression.Bytes + Peak(() => GwMapSpacesBuilt.Find(config, input, spaces, context));
        using GwMapSpacesBuilt built = GwMapSpacesBuilt.Build(config, input, spaces, context);
        using Matrix<double> coupling = context.Host.AllocateMatrix<double>(2 * PerLabel, 2 * PerLabel);
        coupling.Buffer.View.Host.Fill(1);
        coupling.Row(0)[0] = 5;
        PredictabilityStudyOptions options = new() { Ridge = new RidgeOptions { Permutations = 3 }, Mlp = new MlpOptions { Runs = 1, Epochs = 1, Patience = 1, Permutations = 1 } };
        long predicting = MemoryAccounting.CurrentBytes - start + Peak(() => PredictabilityStudy.Run(coupling, input.Sample, built.Targets(), options, null, null, SilentProgress.Instance));
        if (!required) return;
        Assert.InRange(finding, 1, GwMapMemory.Spaces(config, input).TotalBytes);
        Assert.InRange(predicting, 1, GwMapMemory.AfterCoupling(config, input, built, 2).TotalBytes);
    }

    private static long Peak(Action run)
    {
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        run();
        return MemoryAccounting.PeakBytes - before;
    }

    private void Write()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(8);
        using Matrix<float> latents = device.AllocateMatrix<float>(Cells, 40), counts = device.AllocateMatrix<float>(Cells, Genes);
        foreach (ref float value in latents.Buffer.View.Host) value = (float)random.NextDouble();
        foreach (ref float value in counts.Buffer.View.Host) value = random.NextInt32(20) == 0 ? 1 + random.NextInt32(90) : 0;
        MatrixWriter.Write(Path.Combine(_folder, "latents.npy"), latents.View);
        CsvFile.Write(Path.Combine(_folder, "cells.csv"), new Table(new Column("label", [.. Enumerable.Range(0, Cells).Select(i => i % 2 == 0 ? "a" : "b")])));
        AnnDataFile.Write(Path.Combine(_folder, "rna.h5ad"), new AnnData(DataFrame.OfRows(Cells), DataFrame.OfRows(Genes)) { X = SparseMatrix.FromDense(counts.View) });
    }
}
