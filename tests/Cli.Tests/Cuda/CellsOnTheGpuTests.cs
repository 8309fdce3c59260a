using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Cuda;

/// <summary><c>cells --device cuda</c> beside <c>--device cpu</c>: components and neighbours agree, the layout is the device's own and is said to be.</summary>
public sealed class CellsOnTheGpuTests : IDisposable
{
    private const int Cells = 90;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-cells-gpu-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Components_neighbours_and_layout_run_on_the_device()
    {
        TestDevice.RequireGpu();
        using (CpuDevice device = new(1))
        using (Matrix<float> x = device.AllocateMatrix<float>(Cells, 48))
        {
            CounterRandom random = new(5);
            for (int i = 0; i < Cells; i++)
                for (int j = 0; j < 48; j++) x.Row(i)[j] = (float)(random.NextNormal() + (j < 6 ? 4 * random.NextNormal() : 0) + (i % 3 == j ? 20 : 0));
            MatrixWriter.Write(At("x.npy"), x.View);
        }
        string host = Run("cpu", "cpu.h5ad"), there = Run("cuda", "cuda.h5ad"), again = Run("cuda", "again.h5ad");
        Assert.Contains("in 2 dimensions on cpu, 40 passes", host);
        Assert.Contains("in 2 dimensions on cuda:0, 40 passes", there);
        Assert.Contains("in 2 dimensions on cuda:0, 40 passes", again);
        float[] expected = Embedding("cpu.h5ad", "X_pca"), components = Embedding("cuda.h5ad", "X_pca"), first = Embedding("cuda.h5ad", "X_umap");
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], components[i], 1e-4f);
        Assert.Equal(first, Embedding("again.h5ad", "X_umap"));
        Assert.All(first, v => Assert.True(float.IsFinite(v)));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Run(string device, string output)
    {
        (int code, string said, string error) = CommandFrameTests.Invoke("cells", At("x.npy"), "--out", At(output), "--steps", "pca:n_comps=8,neighbors:n_neighbors=10,umap:maxiter=40", "--device", device, "--threads", "1");
        Assert.True(code == 0, error);
        return said;
    }

    private float[] Embedding(string file, string key)
    {
        using CpuDevice device = new(1);
        using Matrix<float> matrix = MatrixReader.ReadSingle(device, $"{At(file)}:obsm/{key}");
        return matrix.ToArray();
    }
}
