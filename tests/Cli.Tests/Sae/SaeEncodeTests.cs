using System.Globalization;
using BioSup.Cli.Tests.CommandLine;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Cli.Tests.Sae;

/// <summary>`biosup sae encode` on a folder of token shards: pooled and not, as npz and as h5ad, which anndata opens.</summary>
public sealed class SaeEncodeTests : IDisposable
{
    private static readonly (string Id, int Tokens)[] s_images = [("well B7, x 0", 4), ("µ-plate/2", 9), ("third", 1), ("fourth", 6)];
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-encode-").FullName;

    public SaeEncodeTests()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(11);
        // Seven rows a shard: images lie across shards.
        using (TokenShardWriter writer = new(At("tokens"), 8, rowsPerShard: 7))
        {
            foreach ((string id, int tokens) in s_images)
            {
                using Matrix<float> image = device.AllocateMatrix<float>(tokens, 8);
                foreach (ref float v in image.Buffer.View.Host) v = (float)(0.35 * random.NextNormal());
                writer.AppendImage(id, image.View);
            }
            writer.Complete();
        }
        File.WriteAllText(At("sae.json"), """{ "d_sae": 12, "batch": 10, "log_every": 1, "sparsity_coeff": 0.01 }""");
        Run("train", "--tokens", At("tokens"), "--config", At("sae.json"), "--steps", "20", "--out", At("model"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Pooled_latents_are_the_means_over_the_tokens_of_each_image_under_its_id()
    {
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "none", "--out", At("all.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "mean", "--out", At("mean.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("default.npz"));
        NdArray all = NpzFile.Read(At("all.npz"), "X"), mean = NpzFile.Read(At("mean.npz"), "X");
        Assert.Equal([20, 12], all.Shape);
        Assert.Equal([4, 12], mean.Shape);
        Assert.Equal(s_images.Select(image => image.Id), NpzFile.Read(At("mean.npz"), "ids").As<string>());
        using (NpzFile file = NpzFile.Open(At("all.npz"))) Assert.Equal(["X"], file.Members);
        Assert.Equal(mean.As<float>(), NpzFile.Read(At("default.npz"), "X").As<float>());
        float[] tokens = all.As<float>(), pooled = mean.As<float>();
        Assert.Contains(tokens, v => v > 0);
        int row = 0;
        for (int image = 0; image < s_images.Length; row += s_images[image++].Tokens)
            for (int j = 0; j < 12; j++)
                Assert.Equal(Enumerable.Range(row, s_images[image].Tokens).Average(t => (double)tokens[t * 12 + j]), pooled[image * 12 + j], 1e-6);
    }

    [Fact]
    public void The_h5ad_holds_the_same_latents_with_the_images_as_names_of_obs()
    {
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("mean.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("mean.h5ad"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "none", "--out", At("all.h5ad"));
        AnnData data = AnnDataFile.Read(At("mean.h5ad"));
        Assert.Equal(s_images.Select(image => image.Id), data.Obs.Index);
        Assert.Equal(NpzFile.Read(At("mean.npz"), "X").As<float>(), Assert.IsType<NdArray>(data.X).As<float>());
        Assert.Equal(["0", "1", "2"], AnnDataFile.ReadObservationNames(At("all.h5ad"))[..3]);
        Assert.Equal((20, 12), MatrixReader.ReadShape(At("all.h5ad")));
    }

    [Fact]
    public void Anndata_opens_the_h5ad_with_equal_content()
    {
        const string Script = """
            import sys, numpy, anndata
            a = anndata.read_h5ad(sys.argv[1])
            z = numpy.load(sys.argv[2])
            assert a.shape == (4, 12) and a.X.dtype == numpy.float32, (a.shape, a.X.dtype)
            assert list(a.obs_names) == list(z["ids"]), list(a.obs_names)
            assert numpy.array_equal(a.X, z["X"])
            print("equal")
            """;
        string? python = Python.Find("import anndata", out string reason);
        Assert.SkipWhen(python is null, reason);
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("mean.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--out", At("mean.h5ad"));
        Assert.Contains("equal", Python.Run(python, "-c", Script, At("mean.h5ad"), At("mean.npz")), StringComparison.Ordinal);
    }

    /// <summary>Sparse rows hold what dense ones hold, as our own reader, SciPy and anndata see them.</summary>
    [Fact]
    public void Sparse_latents_are_the_dense_ones_for_scipy_and_anndata_too()
    {
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "none", "--out", At("all.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--sparse", "--out", At("sparse.npz"));
        Run("encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "none", "--sparse", "--out", At("sparse.h5ad"));
        float[] dense = NpzFile.Read(At("all.npz"), "X").As<float>();
        using (CpuDevice device = new(1))
        using (Matrix<float> read = AnnDataFile.ReadSingle(device, At("sparse.h5ad"), "X"))
            Assert.Equal(dense, read.ToArray());
        using (NpzFile file = NpzFile.Open(At("sparse.npz")))
        {
            Assert.Equal(["indices", "indptr", "format", "shape", "data"], file.Members);
            Assert.Equal(dense.Where(v => v != 0), file.Read("data").As<float>());
        }
        Assert.DoesNotContain(Directory.GetFiles(_folder, ".*"), name => name.EndsWith(".tmp", StringComparison.Ordinal));
        Assert.Equal(2, CommandFrameTests.Invoke(["sae", "encode", "--model", At("model"), "--tokens", At("tokens"), "--pool", "mean", "--sparse", "--out", At("no.npz"), "--quiet"]).Code);
        const string Script = """
            import sys, numpy, anndata, scipy.sparse
            dense = numpy.load(sys.argv[1])["X"]
            s = scipy.sparse.load_npz(sys.argv[2])
            a = anndata.read_h5ad(sys.argv[3])
            assert s.format == "csr" and scipy.sparse.isspmatrix_csr(a.X) and a.X.dtype == numpy.float32, (s.format, type(a.X))
            assert s.has_sorted_indices and s.nnz == numpy.count_nonzero(dense)
            assert numpy.array_equal(s.toarray(), dense) and numpy.array_equal(a.X.toarray(), dense)
            print("equal")
            """;
        string? python = Python.Find("import anndata, scipy.sparse", out string reason);
        Assert.SkipWhen(python is null, reason);
        Assert.Contains("equal", Python.Run(python, "-c", Script, At("all.npz"), At("sparse.npz"), At("sparse.h5ad")), StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static void Run(params string[] arguments)
    {
        (int code, string output, string error) = CommandFrameTests.Invoke(["sae", .. arguments, "--threads", "1", "--quiet"]);
        Assert.True(code == 0, string.Create(CultureInfo.InvariantCulture, $"exit code {code}: {output}{error}"));
    }
}
