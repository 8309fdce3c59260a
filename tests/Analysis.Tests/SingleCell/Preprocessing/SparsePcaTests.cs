using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

/// <summary>Principal components of cells, dense in single precision and sparse, with more and with fewer cells than variables, against scikit-learn.</summary>
public sealed class SparsePcaTests : IDisposable
{
    private const int Components = 8;
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Components_are_those_of_scikit_learn()
    {
        string? python = Python.Find("import sklearn.decomposition", out string reason);
        Assert.SkipWhen(python is null, reason);
        (int Cells, int Genes)[] shapes = [(150, 40), (40, 150)];
        string folder = Directory.CreateTempSubdirectory("pca").FullName;
        try
        {
            List<string> arguments = [Path.Combine(RepositoryRoot.Path, "tests", "golden", "preprocessing", "sklearn_pca.py")];
            foreach ((int cells, int genes) in shapes)
            {
                using CellMatrix x = Logarithms(_device, cells, genes, sparse: false);
                arguments.AddRange([Path.Combine(folder, $"{cells}.npy"), $"{Components}"]);
                MatrixWriter.Write(arguments[^2], x.Dense.View);
            }
            JsonArray expected = JsonNode.Parse(Python.Run(python!, [.. arguments]))!.AsArray();
            for (int s = 0; s < shapes.Length; s++)
                foreach (bool sparse in new[] { false, true })
                {
                    using CellMatrix x = Logarithms(_device, shapes[s].Cells, shapes[s].Genes, sparse);
                    using Pca pca = Pca.Fit(x, Components);
                    using Matrix<double> scores = pca.Transform(x);
                    CountsFixture.Near(Of(expected[s]!, "variance"), pca.ExplainedVariance, 1e-11);
                    CountsFixture.Near(Of(expected[s]!, "ratio"), pca.ExplainedVarianceRatio, 1e-11);
                    CountsFixture.Near(Of(expected[s]!, "components"), pca.Components.ToArray(), 1e-9);
                    CountsFixture.Near(Of(expected[s]!, "scores"), scores.ToArray(), 1e-9);
                }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        static double[] Of(JsonNode node, string key) => [.. node[key]!.AsArray().Select(v => (double)v!)];
    }

    [Theory]
    [InlineData(120, 30)]
    [InlineData(30, 120)]
    public void A_fit_with_more_components_begins_with_those_of_a_fit_with_fewer(int cells, int genes)
    {
        foreach (bool sparse in new[] { false, true })
        {
            using CellMatrix x = Logarithms(_device, cells, genes, sparse);
            using Pca many = Pca.Fit(x, 20), few = Pca.Fit(x, 5);
            Assert.Equal(few.ExplainedVariance, many.ExplainedVariance[..5]);
            CountsFixture.Near(few.Components.ToArray(), many.Components.ToArray()[..(5 * genes)], 1e-12);
        }
    }

    [Theory]
    [InlineData(120, 30)]
    [InlineData(30, 120)]
    public void The_bytes_of_a_sparse_fit_do_not_depend_on_the_number_of_threads(int cells, int genes)
    {
        using CpuDevice one = new(1), three = new(3);
        (double[] Components, double[] Scores) Fit(CpuDevice device)
        {
            using CellMatrix x = Logarithms(device, cells, genes, sparse: true);
            using Pca pca = Pca.Fit(x, 6);
            using Matrix<double> scores = pca.Transform(x);
            return (pca.Components.ToArray(), scores.ToArray());
        }

        (double[] components, double[] scores) = Fit(one);
        (double[] Components, double[] Scores) other = Fit(three);
        Assert.Equal(components, other.Components);
        Assert.Equal(scores, other.Scores);
    }

    [Fact]
    public void Slabs_of_centred_rows_give_what_one_matrix_gives()
    {
        // Wider than a slab of 64 rows holds, so that components and scores are put together from several.
        const int cells = 150, genes = 70_000;
        CounterRandom random = new(3, stream: 4);
        float[] values = [.. Enumerable.Range(0, cells * 20).Select(_ => (float)random.NextNormal())];
        SparseMatrix wide = new(cells, genes, SparseLayout.Csr, [.. Enumerable.Range(0, cells + 1).Select(i => 20L * i)],
            [.. Enumerable.Range(0, cells * 20).Select(k => k % 20 * 3000 + k / 20 % 5)], NdArray.Vector(values));
        using CellMatrix sparse = CellMatrix.From(wide, _device, "wide", "X"), dense = new(sparse.ToDense());
        using Pca a = Pca.Fit(sparse, 3), b = Pca.Fit(dense, 3);
        using Matrix<double> left = a.Transform(sparse), right = b.Transform(dense);
        CountsFixture.Near(a.ExplainedVariance, b.ExplainedVariance, 1e-11);
        CountsFixture.Near(left.ToArray(), right.ToArray(), 1e-9);
    }

    [Fact]
    public void Components_beyond_the_rank_are_zero_and_too_many_are_refused()
    {
        using CellMatrix x = CellMatrix.From(new SparseMatrix(4, 6, SparseLayout.Csr, [0, 1, 2, 2, 3], [0, 0, 0], NdArray.Vector(new[] { 1f, 2, 5 })), _device, "thin", "X");
        using Pca pca = Pca.Fit(x, 3);
        Assert.Equal([0.0, 0], pca.ExplainedVariance[1..]);
        Assert.Equal(1, pca.Components.Row(0)[0], 12);
        Assert.All(pca.Components.ToArray()[6..], v => Assert.Equal(0, v));
        Assert.Contains("has 1 to 4", Assert.Throws<UsageException>(() => Pca.Fit(x, 5)).Message);
    }

    private static CellMatrix Logarithms(CpuDevice device, int cells, int genes, bool sparse)
    {
        using Matrix<float> counts = CountsFixture.Draw(device, cells, genes, seed: 31);
        CellMatrix x = sparse ? CellMatrix.From(SparseMatrix.FromDense(counts.View), device, "counts", "X") : new CellMatrix(counts.CopyOnHost());
        ExpressionScaling.NormaliseTotal(x);
        ExpressionScaling.Log1p(x);
        return x;
    }
}
