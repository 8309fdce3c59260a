using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Embedding;

/// <summary>UMAP on the GPU, or the emulated one: another layout than the processor's, as good a one, the same every time.</summary>
public sealed class UmapCudaTests
{
    private const int Cells = 300;

    [Fact]
    public void The_layout_keeps_neighbours_as_the_processors_does()
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        using Matrix<double> x = Branches(cpu);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 15));
        double host = 0, device = 0;
        foreach (ulong seed in (ulong[])[1, 2])
        {
            UmapOptions options = new() { Seed = seed };
            host += Trust(cpu, x, graph, options) / 2;
            device += Trust(gpu, x, graph, options) / 2;
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"host {host}, device {device}");
        Assert.True(device >= host - 0.01, $"trustworthiness {device} on the device, {host} on the host");
        Assert.InRange(host, 0.9, 1);
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    /// <summary>The processor's gate: umap-learn 0.5.3 reaches 0.9456 to 0.9516 on these cells.</summary>
    [Fact]
    public void Blood_cells_keep_their_neighbours_as_in_umap_learn()
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string missing);
        Assert.SkipWhen(folder is null, missing);
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        using Matrix<double> all = MatrixReader.ReadDouble(cpu, Path.Combine(folder!, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
        using Matrix<double> x = Matrix<double>.From(cpu, all.Rows, 30, [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())]);
        double found = Trust(gpu, x, Connectivities.Umap(NearestCells.Find(x, 15)), new UmapOptions());
        TestContext.Current.TestOutputHelper?.WriteLine($"{found}");
        Assert.True(found >= 0.9456 - 0.01, $"trustworthiness {found}");
    }

    [Fact]
    public void Bytes_repeat_and_a_stop_is_heard_between_passes()
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(1);
        using Matrix<double> x = Branches(cpu);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 15));
        foreach (int dimensions in (int[])[2, 3])
        {
            UmapOptions options = new() { Dimensions = dimensions, Epochs = 40, Seed = 3 };
            using Matrix<float> first = Umap.Run(gpu, graph, options), second = Umap.Run(gpu, graph, options);
            Assert.Equal(first.ToArray(), second.ToArray());
        }
        using CancellationTokenSource stop = new();
        StopAt progress = new(stop, 20);
        Assert.Throws<OperationCanceledException>(() => Umap.Run(gpu, graph, new UmapOptions { Epochs = 1_000_000 }, progress, stop.Token));
        Assert.Equal(20, progress.Last);
        Assert.Equal(0, gpu.Pool.BytesInUse);
    }

    private static double Trust(ComputeDevice device, Matrix<double> x, CellGraph graph, UmapOptions options)
    {
        using Matrix<float> layout = Umap.Run(device, graph, options);
        using Matrix<double> wide = Matrix<double>.From(x.Device, x.Rows, 2, Array.ConvertAll(layout.ToArray(), v => (double)v));
        return Trustworthiness.Of(x, wide, 15);
    }

    /// <summary>Three noisy arms of ten coordinates that leave one place.</summary>
    private static Matrix<double> Branches(CpuDevice device)
    {
        CounterRandom random = new(12);
        Matrix<double> x = device.AllocateMatrix<double>(Cells, 10);
        for (int i = 0; i < Cells; i++)
        {
            double along = 8 * random.NextDouble();
            for (int d = 0; d < 10; d++) x.Row(i)[d] = 0.4 * random.NextNormal() + (d == i % 3 ? along : 0);
        }
        return x;
    }

    private sealed class StopAt(CancellationTokenSource stop, long pass) : IProgressReporter
    {
        public long Last { get; private set; }

        public void Report(string stage, long done, long total, string? detail = null)
        {
            Last = done;
            if (done == pass) stop.Cancel();
        }
    }
}
